-- WARNING: a run that is on during a failover no longer notices that its last checkpoints were lost.

DROP TRIGGER IF EXISTS agentic_parent ON checkpoints;
DROP FUNCTION IF EXISTS agentic_check_parent();
