"""`python -m domstats` is the command `domstats`."""

import sys

from domstats.cli import main

sys.exit(main())
