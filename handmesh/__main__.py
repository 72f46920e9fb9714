"""`python -m handmesh`."""

import sys

from handmesh.cli import main

sys.exit(main())
