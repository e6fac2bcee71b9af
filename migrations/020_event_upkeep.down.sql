-- WARNING: the newest values of sessions' states are deleted. Messages that were joined stay so, and what was joined into
-- them counts as events that are no longer kept.

DROP FUNCTION IF EXISTS agentic_append_events(text, text, integer, text[], text[], bigint);
DROP FUNCTION IF EXISTS agentic_checkpoint_values(text, text, text, bigint);
DROP TABLE IF EXISTS thread_values;
DROP TRIGGER IF EXISTS agentic_bound ON session_events;
DROP FUNCTION IF EXISTS agentic_bound_event();
ALTER TABLE IF EXISTS session_events DROP COLUMN IF EXISTS since;
