"""What every pod and service account of ours says explicitly, wherever it is written: manifests, chart, operator."""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
DISK = "ephemeral-storage"


def find_pods(value: Any, place: str = "") -> Iterator[tuple[str, Json]]:
    """Yield each pod's spec below a value with its JSON pointer: of Pods, and of templates of whatever kind."""
    if isinstance(value, Mapping):
        if isinstance(value.get("containers"), list):
            yield place, value
            return
        for key, item in value.items():
            yield from find_pods(item, f"{place}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_pods(item, f"{place}/{index}")


def find_faults(document: Json) -> list[str]:
    """Return what an object leaves to defaults that it has to say, each with its place."""
    name = f"{document['kind']}/{document['metadata']['name']}"
    if document["kind"] == "CustomResourceDefinition":
        return []
    faults: list[str] = []
    if document["kind"] == "ServiceAccount" and document.get("automountServiceAccountToken") is not False:
        faults.append(f"{name}: automountServiceAccountToken is not false")
    for place, pod in find_pods(document):
        if not isinstance(pod.get("automountServiceAccountToken"), bool):
            faults.append(f"{name} {place}: automountServiceAccountToken is not said")
        for kind in ("initContainers", "containers"):
            for container in pod.get(kind) or ():
                at = f"{name} {place}/{kind}/{container['name']}"
                resources = container.get("resources") or {}
                faults += [
                    f"{at}: no {part} of {what}"
                    for part, what in (
                        ("requests", DISK),
                        ("limits", DISK),
                        ("requests", "memory"),
                        ("limits", "memory"),
                    )
                    if what not in (resources.get(part) or {})
                ]
        for volume in pod.get("volumes") or ():
            folder = volume.get("emptyDir")
            if folder is not None and "sizeLimit" not in folder:
                faults.append(f"{name} {place}/volumes/{volume['name']}: an emptyDir without sizeLimit")
    return faults


def find_tokens(document: Json) -> list[str]:
    """Return the pods of an object that are given the token of their service account."""
    name = f"{document['kind']}/{document['metadata']['name']}"
    return [name for _, pod in find_pods(document) if pod.get("automountServiceAccountToken")]
