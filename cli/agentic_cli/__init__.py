"""The ``agentic`` command."""
