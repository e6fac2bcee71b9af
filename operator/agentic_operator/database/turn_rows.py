"""Writes the rows of ``session_turns``, in batches beside the reconciling, and asks what is in them.

What the status says is the truth about which turn is on; a row follows it, and a warm pod is told of its next turn once
the row is there. It is told of answers, too, on the same channel, and looks at its session.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agentic_core.errors import TransientError
from agentic_core.resources import AgenticSession, SessionStatus
from agentic_operator.batch_writer import BatchWriter
from agentic_operator.faults import Faults
from agentic_operator.sessions.record import build_turns
from agentic_store.protocols import Turns
from agentic_store.records import TurnRecord, TurnRow

# How often a turn is tried whose session has no row: it is gone, or the next resync makes both.
MOST_TRIES: Final = 20


@dataclass(frozen=True)
class _Hint:
    """A session in whose status something is new for a warm pod."""

    uid: str
    namespace: str
    name: str


class TurnRecorder:
    """Collects rows of turns and writes them; the last one of a turn wins."""

    def __init__(self, turns: Turns, faults: Faults | None = None) -> None:
        self._turns = turns
        self._faults = faults or Faults()
        # What is dropped because too much is pending, or refused, the next resync finds.
        self.writer: BatchWriter[TurnRecord | _Hint] = BatchWriter("turns", self._write, _describe, self._faults)
        """What is not written yet, by session and number."""
        self._missed: Counter[tuple[str, int]] = Counter()
        self.counts: Counter[str] = Counter()
        """How many turns ended, by phase, since this process leads."""

    def submit(self, session: AgenticSession, old: SessionStatus) -> None:
        """Have the rows of those turns written soon that changed since the status was ``old``, and its pod told."""
        uid = session.metadata.uid
        if len(session.status.answers) > len(old.answers):
            self.writer.put(f"{uid}/answers", _Hint(uid, session.namespace, session.name))
        if not session.is_conversation:
            return
        over = {each.name for each in old.turns if each.is_over}
        self.counts.update(each.phase for each in session.status.turns if each.is_over and each.name not in over)
        with self._faults.apart("turns", namespace=session.namespace, session=session.name):
            for record in build_turns(session, old):
                self.writer.put(f"{record.session_uid}/{record.number}", record)

    def forget(self, uid: str) -> None:
        """Drop what is pending of a session that is gone."""
        self.writer.drop(f"{uid}/answers")
        for record in self.writer.list_pending():
            if isinstance(record, TurnRecord) and record.session_uid == uid:
                self.writer.drop(f"{uid}/{record.number}")

    async def run(self) -> None:
        """Write what is pending, for ever."""
        await self.writer.run()

    async def find_end(self, uid: str, number: int) -> TurnRow | None:
        """Return how a turn ended, where a run stored that."""
        return await self._turns.find_end(uid, number)

    async def find_used_names(self, uid: str, names: Collection[str]) -> frozenset[str]:
        """Return which of these names turns of a session had."""
        return await self._turns.find_used_names(uid, names)

    async def _write(self, batch: Sequence[TurnRecord | _Hint]) -> None:
        if hints := [each.uid for each in batch if isinstance(each, _Hint)]:
            await self._turns.notify(hints)
        if records := [each for each in batch if isinstance(each, TurnRecord)]:
            await self._record(records)

    async def _record(self, records: Sequence[TurnRecord]) -> None:
        missing = await self._turns.record(records)
        for each in records:
            if (each.session_uid, each.number) not in missing:
                self._missed.pop((each.session_uid, each.number), None)
        self._missed.update(missing)
        given_up = [key for key in missing if self._missed[key] > MOST_TRIES]
        for key in given_up:
            del self._missed[key]
        if len(missing) > len(given_up):
            raise TransientError("the rows of some turns' sessions are not there yet")


def _describe(item: TurnRecord | _Hint) -> Mapping[str, str]:
    if isinstance(item, _Hint):
        return {"namespace": item.namespace, "session": item.name}
    return {"namespace": item.project_name, "session": item.session_name}
