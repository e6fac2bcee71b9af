"""Decisions about workflow definitions and their inspections. Pure."""
