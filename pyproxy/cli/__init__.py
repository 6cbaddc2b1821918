"""The `pyproxy` command: one module for each subcommand, imported when it is the one that runs."""
