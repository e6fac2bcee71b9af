"""``python -m hack.images``."""

import sys

from hack.images.build import main

sys.exit(main())
