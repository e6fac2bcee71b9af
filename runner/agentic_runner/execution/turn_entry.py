"""Where a turn enters its thread: which checkpoint it goes on from, and whether its input is given there.

Pure. The invariant of all of this: **a turn's input is in the thread's line of checkpoints at most once, and it is
there before anything of the turn is told.** It holds because

- every checkpoint that a process writes for a turn has the turn's label in its metadata, ``agentic_turn``, and the
  metadata is in the same row as the state: there is no moment at which the input is in the state and the label is not;
- the first checkpoint that a turn's input leads to is written from the input alone, before any node runs
  (``input`` in LangGraph's words), and a command's is written the same way (``fork``): see :func:`decide_turn_entry`;
- one process writes a thread (the fence), so between looking at the newest checkpoint and writing the next one nobody
  else gives anything;
- the input is given only where the newest checkpoint does not have the label. Where it does, the turn goes on from
  there like any run: with ``None``, with answers, or not at all.

So a process that dies before that first checkpoint is saved leaves the thread as it was, and the next one gives the
input; one that dies after it leaves the label, and the next one does not. A turn that failed or was cancelled leaves
tasks that never ended: LangGraph drops them when the next input is given, and with them the writes that they made.

A command's ``update`` and ``goto`` would be saved as writes of nobody's task on the checkpoint that the thread ends
with, which is another turn's: a process that died then would leave them for whatever runs next, and a second try would
apply them twice. Addressed by its id, the same checkpoint is branched from, and the branch's first checkpoint has the
command applied and the label. Only where that checkpoint was itself made by a branch or an update LangGraph would not
branch again: it is copied first, and the original, which then is not the newest any more, is branched from.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from agentic_core.errors import PermanentError
from agentic_core.strict_json import json_pointer
from agentic_runner.execution.thread_entry import Entry, EntryAction, ThreadState, decide_entry

TURN_LABEL: Final = "agentic_turn"
"""Key of a checkpoint's metadata: the number of the turn that it belongs to, as text."""
FORK_TURN: Final = 0
"""The number of the inputs that a one-shot session gives to a thread which it forked."""
END_NODE: Final = "__end__"


class TurnRefused(PermanentError):
    """The turn cannot be given to the thread as it is."""


class Gift(StrEnum):
    """What a turn gives to the graph."""

    INPUT = "input"
    COMMAND = "command"
    NOTHING = "nothing"
    """It goes on from the checkpoint."""


@dataclass(frozen=True)
class Turn:
    """One turn of a thread; ``place`` is where the session has it, as a JSON pointer."""

    number: int
    gift: Gift
    input: Any = None
    goto: tuple[str, ...] = ()
    update: Mapping[str, Any] = field(default_factory=dict)
    from_checkpoint: str | None = None
    """Where it branches off; empty for the thread as it was before its first turn, None for the thread's end."""
    place: str = "/spec"
    rolled_back: frozenset[str] = frozenset()
    """Labels of turns that were rolled back: what they left at the thread's end is nothing to go on from."""

    @property
    def label(self) -> str:
        """Return what the metadata of its checkpoints says."""
        return str(self.number)


class Base(StrEnum):
    """From where the graph is entered."""

    NEWEST = "newest"
    CHECKPOINT = "checkpoint"
    """The one that is named, by a branch."""
    EMPTY = "empty"
    """No checkpoint, though the thread may have some."""


@dataclass(frozen=True)
class TurnEntry:
    """How to enter the thread for a turn."""

    entry: Entry
    gift: Gift = Gift.NOTHING
    base: Base = Base.NEWEST
    checkpoint_id: str | None = None
    """The checkpoint that is branched from."""
    copies_first: bool = False
    """Whether that checkpoint has to be copied before, so that it can be branched from."""

    @property
    def action(self) -> str:
        """Return what is done, in one word for logs and events."""
        return self.gift.value if self.gift is not Gift.NOTHING else self.entry.action.value


def decide_turn_entry(
    turn: Turn,
    newest: ThreadState,
    base: ThreadState | None,
    responses: Mapping[str, Any],
    *,
    asked: Collection[str] = (),
    breakpoints: Collection[str] = (),
) -> TurnEntry:
    """Decide how to enter the thread for ``turn``.

    ``newest`` is the state that the thread ends with, ``base`` that of the checkpoint which the turn names, if it names
    one. Raises :class:`TurnRefused` if there is nothing to go on from.
    """
    if newest.turn == turn.label:
        return TurnEntry(decide_entry(newest, responses, asked=asked, breakpoints=breakpoints))
    if turn.from_checkpoint == "":
        if turn.gift is not Gift.INPUT:
            raise TurnRefused(f"{turn.place}/fromCheckpoint: an empty thread begins with an input; give one")
        return TurnEntry(_start(), Gift.INPUT, Base.EMPTY)
    if turn.from_checkpoint is None or turn.from_checkpoint == newest.checkpoint_id:
        return _enter_newest(turn, newest, responses, asked, breakpoints)
    if base is None or not base.exists:
        raise TurnRefused(
            f"{turn.place}/fromCheckpoint: the session has no checkpoint {turn.from_checkpoint!r} (any more):"
            " `agentic checkpoints` lists what it has"
        )
    return TurnEntry(
        Entry(EntryAction.CONTINUE, {}, takes_inputs=turn.gift is Gift.INPUT),
        turn.gift,
        Base.CHECKPOINT,
        turn.from_checkpoint,
    )


def _enter_newest(
    turn: Turn,
    newest: ThreadState,
    responses: Mapping[str, Any],
    asked: Collection[str],
    breakpoints: Collection[str],
) -> TurnEntry:
    if turn.gift is Gift.INPUT:
        return TurnEntry(_start(), Gift.INPUT)
    if not newest.exists:
        what = "a command is" if turn.gift is Gift.COMMAND else "a turn without input goes on"
        raise TurnRefused(f"{turn.place}: the thread is empty, and {what} from a checkpoint; give an input first")
    if turn.gift is Gift.NOTHING:
        return TurnEntry(decide_entry(newest, responses, asked=asked, breakpoints=breakpoints))
    return TurnEntry(
        Entry(EntryAction.CONTINUE, {}),
        Gift.COMMAND,
        Base.CHECKPOINT,
        newest.checkpoint_id,
        copies_first=newest.is_branch,
    )


def _start() -> Entry:
    return Entry(EntryAction.START, {}, takes_inputs=True)


def check_command(turn: Turn, nodes: Collection[str], channels: Collection[str]) -> None:
    """Raise :class:`TurnRefused` where a command names a node or a key of the state that the graph does not have.

    LangGraph would pass both over without a word.
    """
    known = {*nodes, END_NODE}
    for name in turn.goto:
        if name not in known or (name.startswith("__") and name != END_NODE):
            raise TurnRefused(
                f"{turn.place}/command/goto: the graph has no node {name!r}; it has {_list(nodes) or 'none'}"
            )
    for key in turn.update:
        if key not in channels or key.startswith("__"):
            raise TurnRefused(
                f"{turn.place}/command/update{json_pointer((key,))}: is no key of the graph's state; it has"
                f" {_list(channels) or 'none'}"
            )


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(name for name in names if not name.startswith("__"))[:20])
