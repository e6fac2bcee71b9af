"""What the operator ends itself is no loss: any order of people's words, passes, crashes, conflicts and new leaders."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_core.lifecycle import Phase
from agentic_core.names import job_name
from agentic_core.resources import AgenticSession
from agentic_operator.sessions.children import ObservedJob, ObservedPod
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.plan import Plan
from agentic_operator.sessions.status import is_withdrawn, last_run
from tests.support.builders import NOW, a_definition, a_job, a_pod, a_session


@dataclass
class World:
    """A session, its Jobs and pods as the API server has them, and the one who changes them."""

    spec: dict[str, Any] = field(default_factory=lambda: {"workflowRef": {"name": "report"}})
    status: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    jobs: dict[str, ObservedJob] = field(default_factory=dict)
    pods: dict[str, ObservedPod] = field(default_factory=dict)
    made: int = 0
    now: datetime = NOW

    @property
    def session(self) -> AgenticSession:
        built = replace(a_session(), spec=self.spec, status=self.status)
        return built.with_metadata(resourceVersion=str(self.version)).build()

    def suspend(self, *, is_suspended: bool) -> None:
        self.spec = {**self.spec, "suspend": is_suspended}
        self.version += 1

    def write(self, session: AgenticSession) -> None:
        self.status = session.status.to_wire()
        self.version += 1

    def see(self, memory: frozenset[int]) -> Observation:
        """Return what a pass sees: what it looks up by name, and of the rest what its process heard of."""
        session = self.session
        names = {session.status.job_name} if session.status.phase is not Phase.SUSPENDED else set()
        if session.spec.suspend or is_withdrawn(session):
            names |= {job_name("s", run) for run in (last_run(session), last_run(session) + 1) if run}
        jobs = tuple(job for job in self.jobs.values() if job.name in names or job.run in memory)
        shown = {job.name for job in jobs}
        return Observation(
            definition=a_definition(), jobs=jobs, pods=tuple(pod for pod in self.pods.values() if pod.job in shown)
        )

    def reconcile(self, memory: frozenset[int], *, crash_at: int, is_disturbed: bool) -> None:
        """One pass: in the order of the plan, up to a crash, and a conflict where somebody else wrote meanwhile."""
        read, version = self.session, self.version
        plan = decide(read, self.see(memory), self.now, Rules())
        for number, step in enumerate((self._create, self._settle, self._delete)):
            if number == crash_at:
                return
            if number == 1 and is_disturbed:
                self.version += 1
            if not step(plan, version):
                return

    def _create(self, plan: Plan, _version: int) -> bool:
        if plan.job is not None and plan.job["metadata"]["name"] not in self.jobs:
            name = plan.job["metadata"]["name"]
            run = int(name.rpartition("-r")[2])
            self.made += 1
            self.jobs[name] = a_job(run, uid=f"job-{self.made}")
        return True

    def _settle(self, plan: Plan, version: int) -> bool:
        if plan.status is None or plan.status == self.session.status:
            return True
        if version != self.version:
            return False
        self.write(self.session.model_copy(update={"status": plan.status}))
        return True

    def _delete(self, plan: Plan, _version: int) -> bool:
        for name in plan.delete_jobs:
            if name in self.jobs:
                self.jobs[name] = replace(self.jobs[name], is_deleting=True, deleting_since=self.now)
        for pod in list(self.pods.values()):
            if pod.job in plan.delete_jobs or pod.name in plan.delete_pods:
                self.pods[pod.name] = replace(pod, deleting_since=self.now)
        return True

    def start_pods(self) -> None:
        """The Job controller makes pods, and their runners say that they run."""
        for job in self.jobs.values():
            if not job.is_deleting and not any(pod.job == job.name for pod in self.pods.values()):
                self.pods[job.name] = a_pod(job.run, name=job.name, phase="Running", has_started=True)
        session = self.session
        running = self.pods.get(session.status.job_name or "")
        if running is not None and running.deleting_since is None and session.status.phase is Phase.CREATING:
            self.write(
                session.model_copy(update={"status": session.status.model_copy(update={"phase": Phase.RUNNING})})
            )

    def collect(self) -> None:
        """What is being deleted goes."""
        self.pods = {name: pod for name, pod in self.pods.items() if pod.deleting_since is None}
        self.jobs = {name: job for name, job in self.jobs.items() if not job.is_deleting}

    def check(self) -> None:
        assert self.status.get("phase") != "Failed", self.status
        assert "restarts" not in self.status, self.status
        living = [pod for pod in self.pods.values() if pod.deleting_since is None]
        assert len(living) <= 1, living


ACTIONS = st.one_of(
    st.tuples(st.just("suspend"), st.booleans()),
    st.tuples(
        st.just("reconcile"),
        st.frozensets(st.integers(1, 8), max_size=8),
        st.sampled_from([0, 1, 2, 3, 3, 3]),
        st.sampled_from([False, False, False, True]),
    ),
    st.tuples(st.just("start")),
    st.tuples(st.just("collect")),
    st.tuples(st.just("pass time")),
)


@given(st.lists(ACTIONS, max_size=60))
@settings(max_examples=150)
def test_own_deletions_are_never_counted_as_losses_and_never_let_two_runs_live(actions: list[Any]) -> None:
    world = World()
    for name, *arguments in actions:
        match name:
            case "suspend":
                world.suspend(is_suspended=arguments[0])
            case "reconcile":
                world.reconcile(arguments[0], crash_at=arguments[1], is_disturbed=arguments[2])
            case "start":
                world.start_pods()
            case "collect":
                world.collect()
            case _:
                world.now += timedelta(seconds=7)
        world.check()
    everything = frozenset(range(1, 1000))
    world.suspend(is_suspended=False)
    for _ in range(8):
        world.reconcile(everything, crash_at=3, is_disturbed=False)
        world.collect()
        world.start_pods()
        world.check()
    assert world.status["phase"] == "Running"
    (living,) = world.pods.values()
    assert living.job == world.status["jobName"]
    world.suspend(is_suspended=True)
    for _ in range(3):
        world.reconcile(everything, crash_at=3, is_disturbed=False)
        world.collect()
    assert (world.status["phase"], world.jobs, world.pods) == ("Suspended", {}, {})
