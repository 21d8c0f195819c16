"""`python -m gateway.cli` is `portico`."""

import sys

from gateway.cli import main

sys.exit(main())
