"""``python -m agentic_cli`` is ``agentic``."""

from agentic_cli.main import main

main()
