"""Reading sessions that others wrote to: what cannot be read of a status never keeps from reading the rest.

The API server checks what is written today; what it took under earlier rules, or from somebody who may write statuses,
may still be there. What people want (``stop``, ``suspend``, a deletion) must not hang on it. So of a status that is
wrong somewhere, just that field is taken for absent. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from agentic_core.resources import AgenticSession

# A list of questions and one of checkpoints may be wrong in every entry.
_MOST_FAULTS: Final = 1000
# Stands for a spec that nobody can read any more, of a session that is being deleted.
_NO_SPEC: Final[Mapping[str, Any]] = {"workflowRef": {"name": "unknown"}}


@dataclass(frozen=True)
class ReadSession:
    """A session, and the paths of what in its status (or of its spec) was taken for absent."""

    session: AgenticSession
    ignored: tuple[str, ...] = ()


def read_session(raw: Mapping[str, Any]) -> ReadSession:
    """Return a session without the invalid parts of its status; raise ``ValidationError`` for other faults.

    A session that is being deleted is read even where its spec is wrong: letting it go needs nothing of that.
    """
    body = {**raw, "kind": "AgenticSession"}
    ignored: list[str] = []
    while True:
        try:
            return ReadSession(AgenticSession.model_validate(body), tuple(ignored))
        except ValidationError as error:
            places = [
                each["loc"] for each in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            is_deleting = bool((raw.get("metadata") or {}).get("deletionTimestamp"))
            if len(ignored) > _MOST_FAULTS:
                body.pop("status", None)
                continue
            if is_deleting and any(place[:1] == ("spec",) for place in places):
                body["spec"] = _NO_SPEC
                ignored.append("/spec")
            elif all(place[:1] == ("status",) for place in places):
                dropped = _find_dropped(places)
                ignored += ["/" + "/".join(map(str, place)) for place in dropped]
                body["status"] = _without(body.get("status"), [place[1:] for place in dropped])
            else:
                raise


def _find_dropped(places: list[tuple[int | str, ...]]) -> list[tuple[int | str, ...]]:
    """Return the parts to remove because of these faults: an entry of a list, or else a whole field of the status."""
    short = (place[:3] if len(place) > 2 and isinstance(place[2], int) else place[:2] for place in places)
    found = list(dict.fromkeys(short))
    whole = {place for place in found if len(place) <= 2}
    return [place for place in found if place in whole or place[:2] not in whole]


def _without(status: object, places: list[tuple[int | str, ...]]) -> dict[str, Any]:
    if not isinstance(status, Mapping) or () in places:
        return {}
    kept = dict(status)
    for name in {place[0] for place in places}:
        indexes = {place[1] for place in places if place[0] == name and len(place) > 1}
        if indexes and isinstance(kept.get(str(name)), list):
            kept[str(name)] = [each for index, each in enumerate(kept[str(name)]) if index not in indexes]
        else:
            kept.pop(str(name), None)
    return kept
