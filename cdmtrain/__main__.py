"""`python -m cdmtrain` is the command `cdmtrain`."""

import sys

from cdmtrain.cli import main

sys.exit(main())
