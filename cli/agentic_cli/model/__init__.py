"""What the commands know of sessions, definitions and pods. Pure."""
