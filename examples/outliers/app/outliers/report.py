"""Groups in numbers, and the report in Markdown."""

from collections import defaultdict
from statistics import fmean
from typing import Any

SHOWN_OUTLIERS = 20


def summarize_groups(rows: list[Any]) -> list[dict[str, Any]]:
    """Return count and, by column, mean, lowest and highest value of each group, the largest group first."""
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row["values"])
    return [
        {
            "group": group,
            "rows": len(members),
            "columns": {
                column: {
                    "mean": round(fmean(member[column] for member in members), 3),
                    "min": min(member[column] for member in members),
                    "max": max(member[column] for member in members),
                }
                for column in members[0]
            },
        }
        for group, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def build_report(state: dict[str, Any]) -> str:
    """Return the report of a finished analysis."""
    outliers, groups = state["outliers"], state["groups"]
    method, threshold = state.get("method", "iqr"), state.get("threshold", 1.5)
    lines = [
        f"# Outliers in {state.get('dataset', 'seattle-weather')}",
        "",
        f"Method `{method}`, threshold {threshold:g}: {len(outliers)} outliers.",
        f"Incomplete rows that were left out: {len(state['rejected'])}.",
        "",
        "| column | value | ordinary from | to | row |",
        "|---|---:|---:|---:|---|",
    ]
    lines += [
        "| {column} | {value:g} | {low:.3g} | {high:.3g} | {label} |".format(**outlier)
        for outlier in sorted(outliers, key=_excess, reverse=True)[:SHOWN_OUTLIERS]
    ]
    if len(outliers) > SHOWN_OUTLIERS:
        lines += ["", f"The {SHOWN_OUTLIERS} farthest of {len(outliers)}."]
    columns = list(groups[0]["columns"]) if groups else []
    lines += [
        "",
        "## Means by group",
        "",
        f"| group | rows | {' | '.join(columns)} |",
        f"|---|---:|{'---:|' * len(columns)}",
    ]
    lines += [
        f"| {group['group']} | {group['rows']} | "
        f"{' | '.join(format(group['columns'][column]['mean'], '.2f') for column in columns)} |"
        for group in groups
    ]
    return "\n".join(lines) + "\n"


def _excess(outlier: dict[str, Any]) -> float:
    """Return how far a value lies outside its bounds, measured by their width."""
    low, high, value = outlier["low"], outlier["high"], outlier["value"]
    return float(max(low - value, value - high) / ((high - low) or 1.0))
