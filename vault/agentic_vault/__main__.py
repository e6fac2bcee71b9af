"""``python -m agentic_vault`` is what the init container runs."""

import sys

from agentic_vault.main import main

sys.exit(main())
