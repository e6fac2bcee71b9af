"""The lines of an exported trail, apart from its table: what spells them takes longer to load than a runner has."""

from agentic_core.trail import spell_line
from agentic_store.records import TrailRow


def spell_row(row: TrailRow) -> str:
    """Return the line of an export for an entry."""
    return spell_line(
        namespace=row.project_name,
        session=row.session_name,
        uid=row.session_uid,
        entry=row.entry,
        hash_=row.hash,
        value=row.value,
        message=row.message,
    )
