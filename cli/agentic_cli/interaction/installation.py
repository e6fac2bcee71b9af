"""Reads of a cluster what `agentic check` judges. Changes nothing, and keeps no Secret's value."""

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
from agentic_core.errors import AgenticError
from agentic_core.names import GROUP


def observe_installation(api: Api, place: Place) -> Seen:
    """Read everything that the steps are about; what cannot be read says why in its place."""
    try:
        version = api.fetch_version()
    except AgenticError as error:
        return Seen(trouble=str(error))
    deployment = _look(api, DEPLOYMENTS, place.namespace, place.name)
    missing, trouble = _find_missing_rights(api, place, list_served(deployment))
    return Seen(
        version=version,
        resources={plural: _look(api, CUSTOM_RESOURCES, None, f"{plural}.{GROUP}") for plural in RESOURCES},
        namespace=_look(api, NAMESPACES, None, place.namespace),
        vault=_look(api, CONFIG_MAPS, place.namespace, place.vault_config),
        secrets={name: _has_key(api, place.namespace, name) for name in SECRETS},
        migration=_find_migration(api, place),
        missing_rights=missing,
        rights_trouble=trouble,
        policies={
            f"{kind.singular}/{name}": _look(api, kind, None, name)
            for name in place.name_policies(deployment)
            for kind in (POLICY_KIND, POLICY_BINDINGS)
        },
        deployment=deployment,
        lease=_look(api, LEASES, place.namespace, LEASE),
    )


def _look(api: Api, kind: Kind, namespace: str | None, name: str) -> Look:
    try:
        return Look(api.get(kind, namespace, name))
    except (NotFound, NotInstalled):
        return Look()
    except AgenticError as error:
        return Look(trouble=str(error))


def _find_migration(api: Api, place: Place) -> Look:
    """Read the migration's Job; one that is named by its revision is known by its label, and the newest counts."""
    named = _look(api, JOBS, place.namespace, place.migration)
    if named.found or named.trouble:
        return named
    try:
        pages = api.list_pages(JOBS, place.namespace, selector=MIGRATIONS)
        jobs = [each for page in pages for each in page.get("items") or ()]
    except AgenticError as error:
        return Look(trouble=str(error))
    return Look(max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]), default=None))


def _has_key(api: Api, namespace: str, name: str) -> bool | str:
    look = _look(api, SECRET_KIND, namespace, name)
    return look.trouble or bool(((look.found or {}).get("data") or {}).get(DSN_KEY))


def _find_missing_rights(api: Api, place: Place, served: list[str]) -> tuple[list[str], str]:
    """Return what the operator may not and has to; in each namespace that it serves, or in all."""
    wanted: list[tuple[Right, str]] = [(right, name) for name in served or [""] for right in RIGHTS]
    wanted += [(RIGHT_TO_ONE_NAMESPACE, name) for name in served] or [(RIGHT_TO_ALL_NAMESPACES, "")]
    missing = []
    try:
        for right, namespace in wanted:
            if not _may(api, place, right, namespace):
                missing.append(right.show() + (f" in {namespace}" if namespace else ""))
    except AgenticError as error:
        return missing, str(error)
    return missing, ""


def _may(api: Api, place: Place, right: Right, namespace: str) -> bool:
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
    return bool(api.create(ACCESS_REVIEWS, "", review)["status"].get("allowed"))
