"""Checkpoints that were acknowledged and are missing after a failover or a restore.

Each run compares the status with the database when it enters its thread. It continues from the saved checkpoints, and
the status reports the loss: lost steps run again, and none is skipped.
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
    """The last saved checkpoint; None without one."""
    steps_left: int

    def describe(self) -> str:
        """Return what happened, for people."""
        return (
            f"the database lacks checkpoint {self.checkpoint_id}, which it had acknowledged: it went back, by a"
            f" failover or a restore; of {self.steps} super-steps {self.steps_left} are there, the others run again"
        )


def find_loss(tip: ThreadEnd, known: str | None, steps: int, *, first_step: int) -> LostCheckpoints | None:
    """Return the loss of a thread that ends at ``tip`` if ``known`` was acknowledged after ``steps`` super-steps."""
    if known is None or tip.has_known:
        return None
    left = 0 if tip.step is None else max(0, tip.step - first_step + 1)
    return LostCheckpoints(known, max(steps, left), tip.latest, left)
