"""``python -m agentic_operator``."""

import sys

from agentic_operator.main import main

if __name__ == "__main__":
    sys.exit(main())
