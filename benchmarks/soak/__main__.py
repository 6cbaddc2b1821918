"""`python -m benchmarks.soak`; see benchmarks/README.md."""

import sys

from benchmarks.soak.run import main

sys.exit(main())
