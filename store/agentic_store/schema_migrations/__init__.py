"""Migrations of the database: applied, undone and verified."""
