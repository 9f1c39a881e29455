"""`python -m enrich` is `enrich`."""

import sys

from enrich.cli import main

if __name__ == "__main__":
    sys.exit(main())
