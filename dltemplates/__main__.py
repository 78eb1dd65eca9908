"""Run `dlt` as `python -m dltemplates`."""

import sys

from dltemplates.cli.main import main

sys.exit(main())
