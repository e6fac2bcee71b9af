"""``python -m agentic_gateway``."""

import sys

from agentic_gateway.main import main

if __name__ == "__main__":
    sys.exit(main())
