"""Benchmarks: pyproxy beside other proxies, in one run, on one machine. See README.md."""
