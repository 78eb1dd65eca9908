"""`python -m dltemplates` is `dlt`."""

import sys

from dltemplates.cli.main import main

sys.exit(main())
