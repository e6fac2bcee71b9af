"""Follows a list of sessions: its rows as they are, then each one that changes, through lost connections."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from agentic_cli.interaction.following import Clock, Outage
from agentic_cli.kube.client import TABLE, WATCH_SECONDS, Api
from agentic_cli.kube.errors import Expired
from agentic_cli.model.kinds import SESSIONS
from agentic_cli.output.rendering import Row, read_table
from agentic_core.errors import ApiUnavailable

# It changes by itself, and says nothing.
_AGE: Final = "AGE"
DELETED: Final = "(deleted)"


@dataclass
class _Rows:
    """What has been shown of each session, by namespace and name, but for its age."""

    wide: bool
    header: Row = ()
    columns: object = None

    def __post_init__(self) -> None:
        self._shown: dict[tuple[str, str], Row] = {}

    def read(self, table: dict[str, Any], *, is_gone: bool = False) -> list[tuple[str, Row]]:
        """Return the rows that differ from what was shown."""
        # Only the first table has to define the columns.
        self.columns = table.get("columnDefinitions") or self.columns
        header, rows = read_table({**table, "columnDefinitions": self.columns}, wide=self.wide)
        self.header = header
        changed = []
        for namespace, cells in rows:
            key = (namespace, dict(zip(header, cells, strict=True))["NAME"])
            if is_gone:
                self._shown.pop(key, None)
                marked = (DELETED if title == "PHASE" else cell for title, cell in zip(header, cells, strict=True))
                changed.append((namespace, tuple(marked)))
                continue
            stable = tuple(cell for title, cell in zip(header, cells, strict=True) if title != _AGE)
            if self._shown.get(key) != stable:
                self._shown[key] = stable
                changed.append((namespace, cells))
        return changed


def follow_rows(
    api: Api,
    namespace: str | None,
    selector: str | None,
    clock: Clock,
    on_trouble: Callable[[str], None],
    *,
    wide: bool,
) -> Iterator[tuple[Row, list[tuple[str, Row]]]]:
    """Yield the header with the rows of all sessions, then with each row that changed, without end."""
    rows = _Rows(wide)
    outage = Outage(clock, on_trouble)
    is_first = True
    while True:
        try:
            version, changed = "", []
            for page in api.list_pages(SESSIONS, namespace, selector=selector, accept=TABLE):
                changed += rows.read(page)
                version = page["metadata"]["resourceVersion"]
            outage.end()
            if changed or is_first:
                is_first = False
                yield rows.header, changed
            for event in api.watch(
                SESSIONS, namespace, version=version, selector=selector, seconds=WATCH_SECONDS, accept=TABLE
            ):
                if event.type != "BOOKMARK" and (
                    changed := rows.read(dict(event.object), is_gone=event.type == "DELETED")
                ):
                    yield rows.header, changed
        except Expired:
            continue
        except ApiUnavailable as error:
            outage.bear(error)
