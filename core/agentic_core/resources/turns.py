"""Turns of a conversation: what people ask for, which turn is on, and how each ended (decision 33)."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from agentic_core.contract import MAX_TURNS
from agentic_core.resources.graph_config import GraphConfig, GraphContext
from agentic_core.resources.results import RunError
from agentic_core.times import Time
from agentic_core.wire import AnyJson, ApiModel, Count, JsonObject

MAX_USERNAME: Final = 256
MAX_CHECKPOINT_ID: Final = 128
# What spec.turns holds, and those whose entries were just removed from there.
MAX_RECORDS: Final = 2 * MAX_TURNS

TurnName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Seq = Annotated[int, Field(ge=0, le=9_007_199_254_740_991)]

TurnPhase = Literal["Running", "Completed", "Failed", "Canceled", "Refused"]
EndPhase = Literal["Completed", "Failed", "Canceled"]


class TurnCommand(ApiModel):
    """LangGraph's Command: where the graph goes on, and what it changes of the state first."""

    goto: Annotated[AnyJson, Field(description="The node to go to, or a list of nodes.")] = None
    update: Annotated[JsonObject | None, Field(description="State values to change.")] = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of ``goto``; raises ``ValueError`` where it is neither a name nor a list of names."""
        given = [] if self.goto is None else [self.goto] if isinstance(self.goto, str) else self.goto
        if not isinstance(given, list) or not all(isinstance(each, str) and each for each in given):
            raise ValueError("goto is the name of a node, or a list of names")
        return tuple(given)


class Turn(ApiModel):
    """One input to a conversation. Once written, nothing of it changes but ``cancel`` with ``cancelledBy``."""

    name: Annotated[
        TurnName, Field(description="Name of the turn: a DNS label that no other turn of the session ever had.")
    ]
    input: Annotated[
        AnyJson,
        Field(description="The input, any JSON that the workflow's input schema takes. At most 32 KiB of JSON."),
    ] = None
    command: Annotated[
        TurnCommand | None,
        Field(description="A command instead of an input. Without either the graph goes on from its checkpoint."),
    ] = None
    from_checkpoint: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_CHECKPOINT_ID,
            description="Go on from this checkpoint of the session's own thread rather than from its end.",
        ),
    ] = None
    preempt: Annotated[
        Literal["Interrupt", "Rollback"] | None,
        Field(
            description="Cancel the turn that is on and go before all others that wait: Interrupt goes on from where"
            " that turn stopped, Rollback from where it began. Turns queue in order where absent."
        ),
    ] = None
    config: Annotated[
        GraphConfig | None, Field(description="LangGraph's config of this turn, over the session's, by key.")
    ] = None
    context: GraphContext = None
    by: Annotated[
        str,
        Field(
            max_length=MAX_USERNAME,
            description="Whose turn it is: the writer's own name, as the API server knows them; admission refuses any"
            " other. Empty where it is not stated.",
        ),
    ] = ""
    cancel: Annotated[
        bool | None, Field(description="True cancels the turn, whether it runs or waits; it cannot be taken back.")
    ] = None
    cancelled_by: Annotated[
        str | None,
        Field(
            max_length=MAX_USERNAME,
            description="Who cancels it: the writer's own name, as for by. Absent where it is not stated.",
        ),
    ] = None

    @property
    def has_input(self) -> bool:
        """Whether an input is given, which may be ``null``."""
        return "input" in self.model_fields_set


class CurrentTurn(ApiModel):
    """The turn that is on. The operator writes it, and a runner runs this turn and no other."""

    name: Annotated[TurnName, Field(description="Name of the turn.")]
    number: Annotated[Count, Field(description="Number of the turn in its session, from 1.")]
    by: Annotated[
        str, Field(max_length=MAX_USERNAME, description="Whose turn it is; empty where it is not stated.")
    ] = ""
    started_at: Annotated[Time | None, Field(description="When it began.")] = None
    cancel: Annotated[bool | None, Field(description="Whether it is being cancelled.")] = None
    preempted_by: Annotated[
        TurnName | None, Field(description="The turn for which it is cancelled; absent where none preempts it.")
    ] = None
    from_checkpoint: Annotated[
        str | None,
        Field(
            max_length=MAX_CHECKPOINT_ID,
            description="The checkpoint to go on from, where the turn before was rolled back; empty for the thread as"
            " it was before its first turn.",
        ),
    ] = None


class TurnEnd(ApiModel):
    """How the turn that was on ended, as its runner says."""

    name: Annotated[TurnName, Field(description="Name of the turn.")]
    number: Annotated[Count, Field(description="Number of the turn that ended.")]
    phase: Annotated[EndPhase, Field(description="How it ended.")]
    checkpoint_id: Annotated[
        str | None, Field(max_length=MAX_CHECKPOINT_ID, description="The thread's last checkpoint then.")
    ] = None
    finished_at: Annotated[Time | None, Field(description="When it ended.")] = None
    error: Annotated[RunError | None, Field(description="Why it failed.")] = None
    first_seq: Annotated[Seq | None, Field(description="Number of its first event.")] = None
    last_seq: Annotated[Seq | None, Field(description="Number of its last event.")] = None


class TurnRecord(ApiModel):
    """A turn as the operator recorded it."""

    name: Annotated[TurnName, Field(description="Name of the turn.")]
    number: Annotated[Count | None, Field(description="Number of the turn; absent where it never began.")] = None
    phase: Annotated[TurnPhase, Field(description="How it stands, or how it ended.")]
    by: Annotated[
        str, Field(max_length=MAX_USERNAME, description="Whose turn it is; empty where it is not stated.")
    ] = ""
    started_at: Annotated[Time | None, Field(description="When it began.")] = None
    finished_at: Annotated[Time | None, Field(description="When it ended.")] = None
    checkpoint_id: Annotated[
        str | None, Field(max_length=MAX_CHECKPOINT_ID, description="The thread's last checkpoint at its end.")
    ] = None
    error: Annotated[RunError | None, Field(description="Why it failed or was refused.")] = None
    preempted_by: Annotated[
        TurnName | None, Field(description="The turn for which it was cancelled; absent where none preempted it.")
    ] = None
    rolled_back: Annotated[
        bool | None, Field(description="Whether that turn begins where this one had begun (preempt: Rollback).")
    ] = None
    first_seq: Annotated[Seq | None, Field(description="Number of its first event.")] = None
    last_seq: Annotated[Seq | None, Field(description="Number of its last event.")] = None
    result: Annotated[
        AnyJson, Field(description="Its result, up to 2 KiB; the oldest ones go where all take more than 24 KiB.")
    ] = None

    @property
    def is_over(self) -> bool:
        return self.phase != "Running"


class ConversationSpec(ApiModel):
    """What only a conversation says."""

    mode: Annotated[
        Literal["OneShot", "Conversation"] | None,
        Field(
            description="OneShot takes inputs once and ends; Conversation takes turns and is Idle between them. OneShot"
            " where absent."
        ),
    ] = None
    turns: Annotated[
        tuple[Turn, ...],
        Field(
            max_length=MAX_TURNS,
            description="Inputs to a conversation, in order. Anyone who may patch the session can add one; the operator"
            " removes those that ended, and Git never declares them. At most 512 KiB of JSON.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    idle_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=315_360_000,
            description="How long a conversation may be Idle before it ends as Completed. The time to live of finished"
            " sessions where absent, else the time that checkpoints are kept; for ever without either.",
        ),
    ] = None
    close: Annotated[bool | None, Field(description="True ends a conversation as Completed once no turn is left.")] = (
        None
    )
    revision: Annotated[
        Literal["Latest", "Pinned"] | None,
        Field(
            description="Which revision of the workflow the next turn of a conversation uses: the definition as it is"
            " by then, or the one that the session began with. Latest where absent."
        ),
    ] = None


def only_in_conversations(field: str, *, is_list: bool = False) -> dict[str, Any]:
    """Return the rule that sessions of other modes do not have a field."""
    absent = f"!has(self.{field})" + (f" || self.{field}.size() == 0" if is_list else "")
    return {
        "rule": f"{absent} || (has(self.mode) && self.mode == 'Conversation')",
        "message": f"{field} is for conversations: make the session with mode Conversation, or leave {field} out",
        "fieldPath": f".{field}",
        "reason": "FieldValueForbidden",
    }
