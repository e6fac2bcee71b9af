"""What a decision is made from: the observed objects and the settings."""

from dataclasses import dataclass, field

from agentic_core.resources import AgenticSession
from agentic_operator.author_pods import AllowedPods
from agentic_operator.config import JobDefaults
from agentic_operator.images import EVERY_IMAGE, AllowedImages
from agentic_operator.manifests.jobs import Definition
from agentic_operator.sessions.admission import Queue, Refused
from agentic_operator.sessions.answers import AnswerChecks
from agentic_operator.sessions.children import ObservedJob, ObservedPod, StuckPod
from agentic_operator.sessions.status import last_run
from agentic_operator.sessions.trail import Stored
from agentic_operator.sessions.turn_checks import TurnCheck
from agentic_store.records import TurnRow


@dataclass(frozen=True)
class Rules:
    """What holds for every session."""

    jobs: JobDefaults = field(default_factory=JobDefaults)
    allowed: AllowedImages = EVERY_IMAGE
    pods: AllowedPods = field(default_factory=AllowedPods)
    has_cluster_definitions: bool = True
    """Whether ClusterWorkflowDefinitions are looked at at all."""
    has_trail: bool = False
    """Whether a trail of answers is kept: where there is a database."""
    max_conversations: int = 0
    """How many conversations a namespace may have; 0 for any number."""


@dataclass(frozen=True)
class Observation:
    """What was observed beside the session itself.

    ``jobs`` and ``pods`` are those of this very session (by uid); a Job that the status names and that is not among
    them does not exist.
    """

    definition: Definition | None = None
    jobs: tuple[ObservedJob, ...] = ()
    pods: tuple[ObservedPod, ...] = ()
    queue: Queue = field(default_factory=Queue)
    refused_inputs: Refused | None = None
    """Why the inputs are refused, where they were checked and are."""
    input_warning: str = ""
    """Which keys of the inputs the graph does not know, where they were checked."""
    stuck_pod: StuckPod | None = None
    """What keeps the run that is on from getting its pod, or its pod from starting."""
    managers: frozenset[str] = frozenset()
    """Who wrote fields of the session, by ``metadata.managedFields``."""
    fresh: frozenset[str] = frozenset()
    """Questions, by id, that were not there when this process looked at the session before."""
    answers: AnswerChecks = field(default_factory=AnswerChecks)
    """What was found out about the answers."""
    stored: Stored | None = None
    """How far the database has the trail, where it said so to this process."""
    turn: TurnCheck | None = None
    """What was found out about the turn that could begin; None if none could."""
    stored_end: TurnRow | None = None
    """How the turn that is on ended, where a run stored that and nothing of it lives to tell it."""
    is_end_unknown: bool = False
    """Whether a run may have stored that, and the database did not say."""


def find_job(seen: Observation, run: int | None) -> ObservedJob | None:
    """Return the Job of a run."""
    return next((job for job in seen.jobs if job.run == run), None)


def find_present(jobs: tuple[ObservedJob, ...]) -> list[ObservedJob]:
    """Return the Jobs that nobody deletes already."""
    return [job for job in jobs if not job.is_deleting]


def find_pending(session: AgenticSession, jobs: tuple[ObservedJob, ...]) -> list[ObservedJob]:
    """Return the Jobs that were made just before a crash, for a run that the status does not tell yet."""
    return [job for job in jobs if job.run > last_run(session)]


def has_living_run(session: AgenticSession, seen: Observation) -> bool:
    """Return whether anything of the runs that the status tells of may still run, as far as was observed."""
    pending = {job.name for job in find_pending(session, seen.jobs)}
    return any(not job.is_finished and job.name not in pending for job in seen.jobs) or any(
        not pod.is_over and pod.job not in pending for pod in seen.pods
    )


def list_names(jobs: list[ObservedJob]) -> tuple[str, ...]:
    """Return the names of Jobs."""
    return tuple(job.name for job in jobs)
