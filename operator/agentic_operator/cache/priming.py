"""First lists: every session and its children, known before the first decision."""

from agentic_core.names import MANAGED_BY, MANAGED_BY_LABEL
from agentic_operator.cache.index import Index
from agentic_operator.cache.workqueue import WorkQueue
from agentic_operator.faults import Faults
from agentic_operator.kube.client import JOBS, PODS, SESSIONS, Json, Kind, Kube
from agentic_operator.sessions.children import observe_job, observe_pod, owner_of
from agentic_operator.sessions.keys import Key, SessionKey


async def prime(
    kube: Kube,
    index: Index,
    queue: WorkQueue[Key],
    namespaces: tuple[str, ...],
    inspections: str,
    faults: Faults,
) -> None:
    """Put every session and its children into the index, and the sessions into the queue.

    Only the complete list shows how many slots of a workflow are used, and that a session has no Job any more.
    """
    selector = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    for namespace in namespaces or ("",):
        for kind in (JOBS, PODS):
            async for page in kube.list_pages(kind, namespace, selector=selector):
                for raw in page:
                    with faults.apart("start", object=raw["metadata"]["name"]):
                        _see_child(index, kind, raw, inspections)
        async for page in kube.list_pages(SESSIONS, namespace):
            for raw in page:
                key = SessionKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
                with faults.apart("start", namespace=key.namespace, session=key.name):
                    if index.see_session(raw, keep_body=True):
                        queue.add(key, urgent=not (raw.get("status") or {}).get("phase"))


def _see_child(index: Index, kind: Kind, raw: Json, inspections: str) -> None:
    owner = owner_of(raw, inspections)
    if owner is None:
        return
    if kind is JOBS:
        index.see_job(owner, observe_job(raw))
    else:
        index.see_pod(owner, observe_pod(raw))
