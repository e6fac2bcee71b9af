"""Rows of sessions, links to results and retention."""
