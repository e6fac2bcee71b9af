"""The operator: turns definitions and sessions into Jobs, watches them and writes their status."""
