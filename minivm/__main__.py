"""`python -m minivm` is `minivm`."""

import sys

from minivm.cli.main import main

sys.exit(main())
