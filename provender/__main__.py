"""``python -m provender`` is the ``provender`` command."""

import sys

from provender.cli.main import main

sys.exit(main())
