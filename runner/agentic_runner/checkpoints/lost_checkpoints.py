"""Checkpoints that were acknowledged and are missing after a failover or a restore.

Found by comparing what the status tells of with what the database has, whenever a run enters its thread. The run goes
on from what is there, and the session says so: what was lost runs again, nothing is skipped, nobody is left to guess.
"""

from dataclasses import dataclass

from agentic_store.thread_end import ThreadEnd


@dataclass(frozen=True)
class LostCheckpoints:
    """An acknowledged checkpoint that the database does not have."""

    checkpoint_id: str
    steps: int
    """Super-steps that were acknowledged."""
    latest: str | None
    """The last checkpoint that is there; None where none is."""
    steps_left: int

    def describe(self) -> str:
        """Return what happened, for people."""
        return (
            f"the database lacks checkpoint {self.checkpoint_id}, which it had acknowledged: it went back, by a"
            f" failover or a restore; of {self.steps} super-steps {self.steps_left} are there, the others run again"
        )


def find_loss(tip: ThreadEnd, known: str | None, steps: int, *, first_step: int) -> LostCheckpoints | None:
    """Return what is lost where a thread ends at ``tip`` and ``known`` was acknowledged after ``steps`` super-steps."""
    if known is None or tip.has_known:
        return None
    left = 0 if tip.step is None else max(0, tip.step - first_step + 1)
    return LostCheckpoints(known, max(steps, left), tip.latest, left)
