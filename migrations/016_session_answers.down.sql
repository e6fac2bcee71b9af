-- WARNING: the trail of all answers is deleted: who answered what, when, and what was refused. Export it first:
-- `agentic audit export --all -o FILE`.

DROP FUNCTION IF EXISTS agentic_remove_answers(text[], integer, integer);
DROP TABLE IF EXISTS session_answers;
DROP FUNCTION IF EXISTS agentic_keep_answers();
