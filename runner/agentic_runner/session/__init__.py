"""The session as the API server has it: status, questions, events."""
