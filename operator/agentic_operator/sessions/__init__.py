"""Decisions about sessions: from what is observed to what shall be. Pure."""
