"""``python -m hack.demo``."""

import sys

from hack.demo.example import main

sys.exit(main())
