"""The operator: turns definitions and sessions into Jobs, watches them, and says in their status how they stand."""
