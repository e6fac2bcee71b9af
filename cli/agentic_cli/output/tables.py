"""Lists in the API server's own Table form: the columns that kubectl shows, without fetching inputs and results."""

from agentic_cli.kube.client import TABLE, Api
from agentic_cli.model.kinds import Kind
from agentic_cli.output.rendering import Row, read_table


def collect_table(
    api: Api, kind: Kind, namespace: str | None, *, selector: str | None, wide: bool
) -> tuple[Row, list[tuple[str, Row]]]:
    """Return the header and all rows, each with its namespace."""
    columns: list[object] = []
    header: Row = ()
    rows: list[tuple[str, Row]] = []
    for page in api.list_pages(kind, namespace, selector=selector, accept=TABLE):
        # Only the first page has to define the columns.
        columns = page.get("columnDefinitions") or columns
        header, found = read_table({**page, "columnDefinitions": columns}, wide=wide)
        rows += found
    return header, rows


def fetch_row(api: Api, kind: Kind, namespace: str, name: str, *, wide: bool) -> tuple[Row, Row]:
    """Return the header and the row of one object."""
    header, rows = read_table(api.get(kind, namespace, name, accept=TABLE), wide=wide)
    return header, rows[0][1]
