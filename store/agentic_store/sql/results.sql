-- Results as the database has them: their text, measured, and read in pieces.

-- name: measure_session
SELECT octet_length(whole.bytes) AS size, encode(sha256(whole.bytes), 'hex') AS sha256
FROM (
    SELECT convert_to(output_data::text, 'UTF8') AS bytes
    FROM workflow_sessions
    WHERE session_uid = %(session_uid)s AND status = 'completed' AND output_data IS NOT NULL
    OFFSET 0
) AS whole;

-- name: measure_turn
SELECT octet_length(whole.bytes) AS size, encode(sha256(whole.bytes), 'hex') AS sha256
FROM (
    SELECT convert_to(output::text, 'UTF8') AS bytes
    FROM session_turns
    WHERE session_uid = %(session_uid)s AND number = %(number)s AND phase = 'completed' AND output IS NOT NULL
    OFFSET 0
) AS whole;

-- name: read_session
SELECT substring(convert_to(output_data::text, 'UTF8') FROM %(start)s + 1 FOR %(length)s) AS piece
FROM workflow_sessions
WHERE session_uid = %(session_uid)s AND status = 'completed' AND output_data IS NOT NULL;

-- name: read_turn
SELECT substring(convert_to(output::text, 'UTF8') FROM %(start)s + 1 FOR %(length)s) AS piece
FROM session_turns
WHERE session_uid = %(session_uid)s AND number = %(number)s AND phase = 'completed' AND output IS NOT NULL;
