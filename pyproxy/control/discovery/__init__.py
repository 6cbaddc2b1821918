"""Endpoints that are found while the service runs.

A *source* is made from its section of the configuration and tells what it finds, again and again.
What it tells goes to the supervisor, which has the workers serve it (supervise/discovery.py).
"""

from pyproxy.config.model import Config


def wanted(config: Config, kind: str = "") -> bool:
    """Is there an upstream with a source, of that kind (`dns`, `file`, `plugin`) if it is given?"""
    sections = (upstream.discover for upstream in config.upstreams.values())
    return any(s is not None and (not kind or getattr(s, kind) is not None) for s in sections)
