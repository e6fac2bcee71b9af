"""Reports of a run: its progress while it goes on, and its outcome in the database, the status and the exit code."""
