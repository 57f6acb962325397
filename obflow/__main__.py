"""`python -m obflow`: the command of this very Python, wherever its scripts are installed; children are started so."""

import sys

from obflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
