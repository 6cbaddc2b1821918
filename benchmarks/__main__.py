"""`python -m benchmarks`: measure pyproxy beside other proxies. See README.md."""

import sys

from benchmarks.run import main

sys.exit(main())
