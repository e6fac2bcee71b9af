"""Reads of a cluster what `agentic check` judges. Changes nothing, and keeps no Secret's value."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from agentic_cli.kube.client import Api
from agentic_cli.kube.errors import NotFound, NotInstalled
from agentic_cli.model.installation import (
    DSN_KEY,
    LEASE,
    MIGRATIONS,
    RESOURCES,
    RIGHT_TO_ALL_NAMESPACES,
    RIGHT_TO_ONE_NAMESPACE,
    RIGHTS,
    SECRETS,
    Look,
    Place,
    Right,
    Seen,
    list_served,
)
from agentic_cli.model.kinds import (
    ACCESS_REVIEWS,
    CONFIG_MAPS,
    CUSTOM_RESOURCES,
    DEPLOYMENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    POLICY_BINDINGS,
    Kind,
)
from agentic_cli.model.kinds import POLICIES as POLICY_KIND
from agentic_cli.model.kinds import SECRETS as SECRET_KIND
from agentic_core.errors import AgenticError, ApiUnavailable, PermanentError
from agentic_core.names import GROUP

R = TypeVar("R")

# How long answers that do not come are waited for, of all of them together: there are thirty, each tried again.
PATIENCE_SECONDS: Final = 30.0


class _Patient:
    """Asks an API server until it has kept somebody waiting for too long in vain."""

    def __init__(self, api: Api, now: Callable[[], float] = time.monotonic) -> None:
        self.api = api
        self._now = now
        self._waited = 0.0

    def ask(self, call: Callable[[], R]) -> R:
        """Return what it answers; raise ``ApiUnavailable`` where it does not, or was not asked any more."""
        if self._waited >= PATIENCE_SECONDS:
            raise ApiUnavailable(f"not looked at: the API server left {self._waited:.0f} s of questions unanswered")
        started = self._now()
        try:
            return call()
        except ApiUnavailable:
            self._waited += self._now() - started
            raise

    def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any]:
        return self.ask(lambda: self.api.get(kind, namespace, name))


def observe_installation(api: Api, place: Place) -> Seen:
    """Read everything that the steps are about; what cannot be read says why in its place."""
    try:
        version = api.fetch_version()
    except AgenticError as error:
        return Seen(trouble=str(error))
    patient = _Patient(api)
    deployment = _look(patient, DEPLOYMENTS, place.namespace, place.name)
    missing, trouble = _find_missing_rights(patient, place, list_served(deployment))
    return Seen(
        version=version,
        resources={plural: _look(patient, CUSTOM_RESOURCES, None, f"{plural}.{GROUP}") for plural in RESOURCES},
        namespace=_look(patient, NAMESPACES, None, place.namespace),
        vault=_look(patient, CONFIG_MAPS, place.namespace, place.vault_config),
        secrets={name: _has_key(patient, place.namespace, name) for name in SECRETS},
        migration=_find_migration(patient, place),
        missing_rights=missing,
        rights_trouble=trouble,
        policies={
            f"{kind.singular}/{name}": _look(patient, kind, None, name)
            for name in place.name_policies(deployment)
            for kind in (POLICY_KIND, POLICY_BINDINGS)
        },
        deployment=deployment,
        lease=_look(patient, LEASES, place.namespace, LEASE),
    )


def _look(patient: _Patient, kind: Kind, namespace: str | None, name: str) -> Look:
    try:
        found = patient.get(kind, namespace, name)
    except (NotFound, NotInstalled):
        return Look()
    except AgenticError as error:
        return Look(trouble=str(error))
    return _take(kind, found)


def _take(kind: Kind, found: dict[str, Any]) -> Look:
    """Return an object that was answered, if it has the shape of one: what answers need not be an API server."""
    parts = [found.get("metadata"), *(found.get(part) or {} for part in ("spec", "status", "data"))]
    inner = [(found.get("metadata") or {}).get("labels") or {}] if isinstance(found.get("metadata"), dict) else []
    if not all(isinstance(part, dict) for part in (*parts, *inner)):
        return Look(trouble=_not_of_its_shape(kind))
    conditions = (found.get("status") or {}).get("conditions") or []
    if not isinstance(conditions, list) or not all(isinstance(each, dict) for each in conditions):
        return Look(trouble=_not_of_its_shape(kind))
    return Look(found)


def _not_of_its_shape(kind: Kind) -> str:
    return f"what the cluster answers has not the shape of a {kind.singular}: is that a Kubernetes API server?"


def _find_migration(patient: _Patient, place: Place) -> Look:
    """Read the migration's Job; one that is named by its revision is known by its label, and the newest counts."""
    named = _look(patient, JOBS, place.namespace, place.migration)
    if named.found or named.trouble:
        return named
    try:
        jobs = patient.ask(lambda: _list_migrations(patient.api, place))
    except AgenticError as error:
        return Look(trouble=str(error))
    looks = [_take(JOBS, job) if isinstance(job, dict) else Look(trouble=_not_of_its_shape(JOBS)) for job in jobs]
    return max(looks, key=_tell_age, default=Look())


def _tell_age(look: Look) -> str:
    return str(((look.found or {}).get("metadata") or {}).get("creationTimestamp") or "")


def _list_migrations(api: Api, place: Place) -> list[Any]:
    pages = api.list_pages(JOBS, place.namespace, selector=MIGRATIONS)
    return [each for page in pages for each in page.get("items") or ()]


def _has_key(patient: _Patient, namespace: str, name: str) -> bool | str:
    look = _look(patient, SECRET_KIND, namespace, name)
    return look.trouble or bool(((look.found or {}).get("data") or {}).get(DSN_KEY))


def _find_missing_rights(patient: _Patient, place: Place, served: list[str]) -> tuple[list[str], str]:
    """Return what the operator may not and has to; in each namespace that it serves, or in all."""
    wanted: list[tuple[Right, str]] = [(right, name) for name in served or [""] for right in RIGHTS]
    wanted += [(RIGHT_TO_ONE_NAMESPACE, name) for name in served] or [(RIGHT_TO_ALL_NAMESPACES, "")]
    missing = []
    try:
        for right, namespace in wanted:
            if not _may(patient, place, right, namespace):
                missing.append(right.show() + (f" in {namespace}" if namespace else ""))
    except AgenticError as error:
        return missing, str(error)
    return missing, ""


def _may(patient: _Patient, place: Place, right: Right, namespace: str) -> bool:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
        "namespace": namespace,
        "name": namespace if right.resource == NAMESPACES.plural else "",
    }
    review = {
        "apiVersion": f"{ACCESS_REVIEWS.group}/v1",
        "kind": ACCESS_REVIEWS.kind,
        "metadata": {},
        "spec": {
            "user": place.account,
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{place.namespace}", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    said = patient.ask(lambda: patient.api.create(ACCESS_REVIEWS, "", review)).get("status")
    if not isinstance(said, dict):
        raise PermanentError(_not_of_its_shape(ACCESS_REVIEWS))
    return bool(said.get("allowed"))
