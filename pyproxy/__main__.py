"""`python -m pyproxy` is the `pyproxy` command."""

import sys

from pyproxy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
