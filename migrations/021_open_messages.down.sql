-- WARNING: an operator of version 21 reads the whole event log for each round from here on. Nothing is deleted.

DROP INDEX IF EXISTS session_events_open_idx;
