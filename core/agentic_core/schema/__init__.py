"""JSON Schema: checks, limits and their sandbox."""
