"""Describes approval rules as text: whose answers a question needs, who has answered, and who is missing.

Works on the wire form, so that the command line needs no models for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Tally",
    "count_given",
    "count_left",
    "describe_missing",
    "describe_needed",
    "describe_rule",
    "find_rule",
    "mark_question",
]


@dataclass(frozen=True)
class Tally:
    """How far a question is: who agrees, and who gave another answer."""

    agreeing: tuple[str, ...]
    dissenting: tuple[str, ...]


def find_rule(value: Any) -> Any:
    """Return the ``approval`` member of an interrupt's value unchanged; None without one."""
    return value.get("approval") if isinstance(value, Mapping) else None


def count_given(given: Sequence[Mapping[str, Any]]) -> Tally:
    """Return who agrees on the answer that most give (the first one of several), and who does not."""
    by_value: dict[str, list[str]] = {}
    for each in given:
        by_value.setdefault(str(each.get("valueDigest") or ""), []).append(str(each.get("by") or ""))
    leading = max(by_value.values(), key=len, default=[])
    return Tally(tuple(leading), tuple(name for names in by_value.values() if names is not leading for name in names))


def describe_rule(rule: Mapping[str, Any], creator: str, asker: str = "") -> str:
    """Return whose answers a rule demands, as ``of group finance, not bob (who started it)``; empty for anybody's.

    ``asker`` is the author of the turn that asks, of a conversation.
    """
    parts = [f"of {_list_groups(groups)}" for groups in rule.get("groups") or ()]
    said = " and ".join(parts)
    if rule.get("notCreator"):
        not_creator = f"not {creator} (who started it)" if creator else "not whoever started it"
        if asker and asker != creator:
            not_creator += f", not {asker} (whose turn it is)"
        said = f"{said}, {not_creator}" if said else not_creator
    return said


def describe_missing(approval: Mapping[str, Any], creator: str, asker: str = "") -> str:
    """Return whose answer to a question is missing, in one line that names the question."""
    return f"question {str(approval.get('interruptId') or '')!r}: {describe_needed(approval, creator, asker)}"


def count_left(approval: Mapping[str, Any], by: str, value_digest: str) -> int:
    """Return how many more persons have to answer once ``by`` has given the answer of this digest."""
    count = int((approval.get("rule") or {}).get("count") or 1)
    given = approval.get("given") or ()
    return max(0, count - len({by} | {each.get("by") for each in given if each.get("valueDigest") == value_digest}))


def describe_needed(approval: Mapping[str, Any], creator: str, asker: str = "") -> str:
    """Return whose answer to a question is missing: who gave one, how many more are needed, and of whom."""
    if problem := approval.get("problem"):
        return f"nobody can answer: {problem}"
    rule = approval.get("rule") or {}
    count = int(rule.get("count") or 1)
    tally = count_given(approval.get("given") or ())
    who = describe_rule(rule, creator, asker)
    if count == 1:
        needed = f"an answer {who}" if who else "an answer that states whose it is"
        if rule.get("identity") != "Required":
            needed = "an answer that names the question's digest"
        return needed
    left = max(0, count - len(tally.agreeing))
    named = f": {', '.join(tally.agreeing)}" if tally.agreeing else ""
    more = f"{left} {'more ' if tally.agreeing else ''}person{'' if left == 1 else 's'}"
    if who:
        more += f" {who}" if who.startswith("of ") else f", {who}"
    dissent = f"; another answer by {', '.join(tally.dissenting)}" if tally.dissenting else ""
    return f"{len(tally.agreeing)} of {count}{named}; {more}{dissent}"


def mark_question(approval: Mapping[str, Any] | None) -> str:
    """Return how many of the persons that a question needs have answered, as ``[1/2] ``; empty if one is enough."""
    count = int(((approval or {}).get("rule") or {}).get("count") or 1)
    if approval is None or count == 1:
        return ""
    return f"[{len(count_given(approval.get('given') or ()).agreeing)}/{count}] "


def _list_groups(groups: Sequence[str]) -> str:
    return f"group {groups[0]}" if len(groups) == 1 else f"one of the groups {', '.join(groups)}"
