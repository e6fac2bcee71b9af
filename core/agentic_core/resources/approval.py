"""Approval rules: who has to answer a question so that it counts, and what the operator recorded of each question."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from agentic_core.times import Time
from agentic_core.wire import ApiModel, LongText

MAX_PERSONS: Final = 5
MAX_GROUPS: Final = 8
MAX_GIVEN: Final = 16
MAX_EARLY: Final = 256

Demand = Literal["Required", "Optional"]
Group = Annotated[str, Field(min_length=1, max_length=256)]
Digest = Annotated[str, Field(max_length=64)]
_ATOMIC: Final = {"x-kubernetes-list-type": "atomic"}

SOMETHING_RULE: dict[str, Any] = {
    "rule": "self.identity == 'Required' || self.notCreator || has(self.groups) || self.count > 1"
    " || self.digest == 'Required'",
    "message": "approval demands nothing: give identity, notCreator, groups, count or digest, or leave it out",
}


class ApprovalRule(ApiModel):
    """Who has to answer a question so that it counts, as an author says it."""

    identity: Annotated[
        Demand,
        Field(
            description="Whether an answer has to state whose it is. notCreator, groups and a count over 1 demand it,"
            " too."
        ),
    ] = "Optional"
    not_creator: Annotated[
        bool, Field(description="Whether whoever asked for the session (spec.createdBy) may not answer.")
    ] = False
    groups: Annotated[
        tuple[Group, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_GROUPS,
            description="Groups, as the API server knows its users: whoever answers is in one of them.",
            json_schema_extra=_ATOMIC,
        ),
    ] = None
    count: Annotated[int, Field(ge=1, le=MAX_PERSONS, description="How many persons have to give the same answer.")] = 1
    digest: Annotated[
        Demand, Field(description="Whether an answer has to name the digest of the question that it is to.")
    ] = "Optional"


class DefinedRule(ApprovalRule):
    """The rule of a definition, for every question of its sessions."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [SOMETHING_RULE]})


class EffectiveRule(ApiModel):
    """The stricter of the definition's rule and the question's, in each member."""

    identity: Annotated[Demand, Field(description="Whether an answer has to state whose it is.")] = "Optional"
    not_creator: Annotated[bool, Field(description="Whether the session's creator may not answer.")] = False
    groups: Annotated[
        tuple[Annotated[tuple[Group, ...], Field(max_length=MAX_GROUPS, json_schema_extra=_ATOMIC)], ...],
        Field(
            max_length=2,
            description="Of each of these lists, whoever answers is in one group.",
            json_schema_extra=_ATOMIC,
        ),
    ] = ()
    count: Annotated[int, Field(ge=1, le=MAX_PERSONS, description="How many persons have to give the same answer.")] = 1
    digest: Annotated[Demand, Field(description="Whether an answer has to name the question's digest.")] = "Optional"


class GivenAnswer(ApiModel):
    """A person's answer to a question that needs more of them, or the same of others."""

    by: Annotated[str, Field(max_length=256, description="Who gave it.")]
    at: Annotated[Time | None, Field(description="When the operator first counted it.")] = None
    value_digest: Annotated[
        Digest | None, Field(description="SHA-256 of the value in its canonical form: the same for the same answer.")
    ] = None


class Approval(ApiModel):
    """The rule that answers to a question are held against, as it was when the question was asked."""

    # Who wrote which of its fields would take more room than they do.
    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    interrupt_id: Annotated[str, Field(max_length=128, description="The question's id.")]
    rule: Annotated[EffectiveRule, Field(description="Who has to answer.", default_factory=EffectiveRule)]
    digest: Annotated[Digest, Field(description="SHA-256 of the question as it was asked. No other is answered.")] = ""
    at: Annotated[Time | None, Field(description="When it was recorded.")] = None
    problem: Annotated[
        LongText | None, Field(description="Why nobody can answer: the question's own rule cannot be read or met.")
    ] = None
    early: Annotated[
        tuple[Digest, ...],
        Field(
            max_length=MAX_EARLY,
            description="Digests of the answers that were there before the rule was recorded, and that nobody held"
            " against it: they count once they are given anew.",
            json_schema_extra=_ATOMIC,
        ),
    ] = ()
    given: Annotated[
        tuple[GivenAnswer, ...],
        Field(
            max_length=MAX_GIVEN,
            description="The answers that count so far.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["by"]},
        ),
    ] = ()


class UnreadableRule(ValueError):
    """A question's approval rule that is none; the text says where and why."""


_MEMBERS: Final = ("identity", "notCreator", "groups", "count", "digest")


def read_rule(raw: Any) -> ApprovalRule:
    """Return the rule that an interrupt's ``approval`` member is; raise ``UnreadableRule``.

    Nothing is guessed: an unknown member, a number as text or an empty list of groups would each weaken what was meant.
    """
    if not isinstance(raw, Mapping):
        raise UnreadableRule(f"/approval: an object with {', '.join(_MEMBERS)} is expected")
    if unknown := sorted(str(name) for name in raw if name not in _MEMBERS):
        raise UnreadableRule(f"/approval/{unknown[0]}: is none of {', '.join(_MEMBERS)}")
    try:
        return ApprovalRule.model_validate_json(json.dumps(dict(raw)), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = "/".join(map(str, first["loc"]))
        raise UnreadableRule(f"/approval/{place}: {first['msg']}") from None


def combine_rules(*rules: ApprovalRule | None) -> EffectiveRule | None:
    """Return the stricter of the rules in each member; None where they demand nothing."""
    given = [rule for rule in rules if rule is not None]
    groups = tuple(dict.fromkeys(rule.groups for rule in given if rule.groups is not None))
    count = max((rule.count for rule in given), default=1)
    not_creator = any(rule.not_creator for rule in given)
    is_named = not_creator or bool(groups) or count > 1 or any(rule.identity == "Required" for rule in given)
    combined = EffectiveRule(
        identity="Required" if is_named else "Optional",
        not_creator=not_creator,
        groups=groups,
        count=count,
        digest="Required" if any(rule.digest == "Required" for rule in given) else "Optional",
    )
    return combined if combined != EffectiveRule() else None
