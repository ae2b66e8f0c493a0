"""`python -m cdmtrain` is the command `cdmtrain`."""

import sys

from cdmtrain.cli import main

if __name__ == "__main__":
    sys.exit(main())
