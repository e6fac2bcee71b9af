"""Checks the operator's rights in chosen namespaces, and reports each missing right once, by name.

With Roles instead of one ClusterRole, a right can be missing in one namespace only. A namespace whose objects the
operator may not list and watch is skipped, and the others are served. Once the rights exist, the process ends, to
restart with that namespace: the operator must know what runs there before its first decision. Other missing rights are
also reported; sessions that need them report them in their status.

``manifests/namespaced`` and the chart grant exactly these (``tests/unit/operator/kube/test_rights.py``).
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agentic_core.errors import TransientError
from agentic_core.names import GROUP
from agentic_operator.config import Settings
from agentic_operator.kube.client import Kind, Kube
from agentic_operator.variables import ClusterDefinitions

RULES_REVIEWS: Final = Kind("apis/authorization.k8s.io/v1", "selfsubjectrulesreviews")
ACCESS_REVIEWS: Final = Kind("apis/authorization.k8s.io/v1", "selfsubjectaccessreviews")
INTERVAL_SECONDS: Final = 30.0
_RBAC: Final = "rbac.authorization.k8s.io"
_SEES: Final = ("get", "list", "watch")

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """Verbs on one resource, all of its objects or those of these names, and what for."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    is_essential: bool = False
    """Whether a namespace cannot be served at all without."""

    def describe(self, verbs: Iterable[str]) -> str:
        """Return these verbs of the rule in words, as ``get, list pods``."""
        name = f" {', '.join(self.names)}" if self.names else ""
        return f"{', '.join(verbs)} {self.resource}{f'.{self.group}' if self.group else ''}{name}"


def list_served_rules(settings: Settings) -> tuple[Rule, ...]:
    """Return the required rights in each served namespace."""
    return (
        Rule(GROUP, "workflowdefinitions", _SEES, is_essential=True),
        Rule(GROUP, "workflowdefinitions/status", ("patch",)),
        Rule(GROUP, "agenticsessions", _SEES, is_essential=True),
        Rule(GROUP, "agenticsessions", ("patch", "delete")),
        Rule(GROUP, "agenticsessions/status", ("patch",)),
        Rule("batch", "jobs", _SEES, is_essential=True),
        Rule("batch", "jobs", ("create", "patch", "delete")),
        Rule("", "pods", _SEES, is_essential=True),
        Rule("", "pods", ("patch", "delete")),
        Rule("", "pods/log", ("get",)),
        Rule("", "namespaces", ("get",)),
        Rule("", "persistentvolumeclaims", ("get", "create")),
        Rule("", "serviceaccounts", ("get", "create")),
        Rule("", "serviceaccounts", ("patch",), ("agentic-runner",)),
        Rule(_RBAC, "rolebindings", ("create",)),
        Rule(_RBAC, "clusterroles", ("bind",), (settings.runner_cluster_role,)),
        Rule("", "secrets", ("create",)),
        Rule("", "secrets", ("get", "patch"), ("agentic-postgres", "agentic-results", "agentic-encryption")),
        Rule("networking.k8s.io", "networkpolicies", ("create",)),
        Rule("networking.k8s.io", "networkpolicies", ("get", "patch"), ("agentic-runner",)),
        Rule("events.k8s.io", "events", ("create", "list")),
    )


def list_inspection_rules() -> tuple[Rule, ...]:
    """Return the required rights in the namespace of cluster definitions' inspections.

    Sessions and definitions are watched there because one list of namespaces is watched for all kinds; none count.
    """
    return (
        Rule(GROUP, "workflowdefinitions", ("list", "watch")),
        Rule(GROUP, "agenticsessions", ("list", "watch")),
        Rule("batch", "jobs", (*_SEES, "create", "patch", "delete")),
        Rule("", "pods", (*_SEES, "patch", "delete")),
        Rule("", "pods/log", ("get",)),
        Rule("", "serviceaccounts", ("create",)),
        Rule("events.k8s.io", "events", ("list",)),
    )


def list_cluster_rules(settings: Settings) -> tuple[Rule, ...]:
    """Return the required cluster-wide rights: none without cluster definitions."""
    if settings.cluster_definitions is ClusterDefinitions.OFF:
        return ()
    seen = Rule(GROUP, "clusterworkflowdefinitions", _SEES, is_essential=True)
    if settings.cluster_definitions is ClusterDefinitions.READ:
        return (seen,)
    return (seen, Rule(GROUP, "clusterworkflowdefinitions/status", ("patch",)))


@dataclass(frozen=True)
class Lack:
    """Verbs of a rule that are not allowed."""

    rule: Rule
    verbs: tuple[str, ...]

    def __str__(self) -> str:
        return self.rule.describe(self.verbs)


def find_lacks(rules: Iterable[Rule], granted: Sequence[Mapping[str, Any]]) -> list[Lack]:
    """Return what of the rules is not granted; ``granted`` as a SelfSubjectRulesReview has it."""
    lacks = []
    for rule in rules:
        names = rule.names or ("",)
        verbs = tuple(v for v in rule.verbs if not all(_is_granted(rule, v, name, granted) for name in names))
        if verbs:
            lacks.append(Lack(rule, verbs))
    return lacks


def _is_granted(rule: Rule, verb: str, name: str, granted: Sequence[Mapping[str, Any]]) -> bool:
    def holds(field: str, value: str, each: Mapping[str, Any]) -> bool:
        return bool({value, "*"} & set(each.get(field) or ()))

    return any(
        holds("apiGroups", rule.group, each)
        and (holds("resources", rule.resource, each))
        and holds("verbs", verb, each)
        and (not each.get("resourceNames") or name in each["resourceNames"])
        for each in granted
    )


class Rights:
    """Asks the API server what this account may do, at the start and now and then."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self._kube = kube
        self._settings = settings
        self._told: dict[str, tuple[str, ...]] = {}

    async def choose_served(self) -> Settings:
        """Return the settings with those of the namespaces that can be served; wait until there is one."""
        if not self._settings.watch_namespaces:
            return self._settings
        while not (served := await self._look()):
            logger.error("serves no namespace for want of rights; looks again every %g s", INTERVAL_SECONDS)
            await asyncio.sleep(INTERVAL_SECONDS)
        return replace(self._settings, watch_namespaces=served)

    async def watch(self, served: tuple[str, ...]) -> None:
        """Return once a skipped namespace can be served; report lost and new rights in the meantime."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            try:
                found = await self._look()
            except TransientError as error:
                logger.debug("the rights cannot be asked for: %s", error)
                continue
            if more := [namespace for namespace in found if namespace not in served]:
                logger.info("ends, to begin anew with the rights in %s", ", ".join(more))
                return

    async def _look(self) -> tuple[str, ...]:
        """Report changes, and return the namespaces that can be served."""
        settings = self._settings
        served = []
        for namespace in settings.watch_namespaces:
            lacks = await self._find_lacks(namespace, list_served_rules(settings))
            is_left_out = any(lack.rule.is_essential for lack in lacks)
            self._tell(namespace, lacks, "serves nothing until it may" if is_left_out else "has to be allowed to")
            if not is_left_out:
                served.append(namespace)
        if settings.cluster_definitions is ClusterDefinitions.INSPECT:
            place = settings.inspection_namespace
            self._tell(place, await self._find_lacks(place, list_inspection_rules()), "has to be allowed to")
        if rules := list_cluster_rules(settings):
            lacks = [lack for rule in rules for lack in await self._ask(rule, rule.verbs, "")]
            self._tell("", lacks, "has to be allowed to (unless CLUSTER_DEFINITIONS is off)")
        return tuple(served)

    async def _find_lacks(self, namespace: str, rules: Sequence[Rule]) -> list[Lack]:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        status = (await self._kube.create(RULES_REVIEWS, "", body)).get("status") or {}
        lacks = find_lacks(rules, status.get("resourceRules") or ())
        if not status.get("incomplete"):
            return lacks
        # An authorizer that lists no rules, such as a webhook, may still allow them.
        return [lack for each in lacks for lack in await self._ask(each.rule, each.verbs, namespace)]

    async def _ask(self, rule: Rule, verbs: Iterable[str], namespace: str) -> list[Lack]:
        resource, _, part = rule.resource.partition("/")
        lacking = []
        for verb in verbs:
            for name in rule.names or ("",):
                wanted = {"namespace": namespace, "verb": verb, "group": rule.group, "resource": resource}
                spec = {"resourceAttributes": {**wanted, "subresource": part, "name": name}}
                body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
                answer = await self._kube.create(ACCESS_REVIEWS, "", body)
                if not (answer.get("status") or {}).get("allowed"):
                    lacking.append(verb)
                    break
        return [Lack(rule, tuple(lacking))] if lacking else []

    def _tell(self, namespace: str, lacks: Sequence[Lack], what: str) -> None:
        said = tuple(map(str, lacks))
        if said == self._told.get(namespace, ()):
            return
        self._told[namespace] = said
        place = f"namespace {namespace!r}" if namespace else "the cluster"
        about = {"namespace": namespace} if namespace else {}
        if not said:
            logger.info("the operator has all of its rights in %s", place, extra=about)
            return
        logger.warning(
            "in %s the operator %s: %s; grant it by the Role of manifests/namespaced (Helm: rbac.scope and"
            " watchNamespaces, part `rights`)",
            place,
            what,
            "; ".join(said),
            extra=about,
        )
