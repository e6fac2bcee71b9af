"""Sessions by the hundred thousand, made by the database itself."""

from typing import Any

import psycopg

# 90 of 100 sessions are those of 99 projects, the others of one big project; one in ten has an output of 4 kB, which
# is stored out of line: of hexadecimal digits, because anything simpler would be compressed away.
_FILL = """
INSERT INTO workflow_sessions (
    session_uid, project_name, session_name, workflow_name, status, input_data, output_data, thread_id, run,
    created_at, started_at, completed_at
)
SELECT
    'uid-' || n,
    project,
    's' || lpad((CASE WHEN project = 'big' THEN n ELSE n % {per_project} END)::text, 8, '0'),
    'analysis',
    CASE WHEN n % 50 = 1 THEN 'running' ELSE 'completed' END,
    jsonb_build_object(
        'file_path', format('data-%%s.csv', n % {per_project}),
        'number', n,
        'kind', CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END,
        'workflow_version', '1.' || n % 7,
        'options', jsonb_build_object('depth', n % 10, 'name', md5(n::text))
    ),
    CASE WHEN n % 10 = 0 THEN jsonb_build_object('table', (
        SELECT string_agg(md5((n * 1000 + part)::text), '') FROM generate_series(1, {parts}) AS part
    )) END,
    format('project-%%s:session-s%%s', project, n),
    1,
    '2026-01-01 00:00:00+00'::timestamptz + make_interval(secs => n % {per_project}),
    '2026-01-01 00:00:00+00',
    CASE WHEN n % 50 <> 1 THEN '2026-01-02 00:00:00+00'::timestamptz END
FROM (
    SELECT
        n,
        CASE WHEN n / {per_project} < {projects} * 9 / 10 THEN 'project-' || n / {per_project} ELSE 'big' END
            AS project
    FROM generate_series(0, {sessions} - 1) AS n
) AS numbered
"""


def fill_sessions(conn: psycopg.Connection[Any], sessions: int, *, per_project: int = 1000, output_kb: int = 4) -> None:
    """Write ``sessions`` sessions into an empty table, and have the database look at them."""
    statement = _FILL.format(
        sessions=sessions, per_project=per_project, projects=sessions // per_project, parts=output_kb * 32
    ).replace("%%", "%")
    conn.execute(statement.encode())
    conn.execute("VACUUM ANALYZE workflow_sessions")
