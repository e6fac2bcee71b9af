-- outside a transaction
-- Which messages are not joined yet, by turn: a row each, which goes as soon as they are. Built beside writers.

CREATE INDEX CONCURRENTLY IF NOT EXISTS session_events_open_idx
    ON session_events (session_uid, turn)
    WHERE type = 'message-start';
