"""Real processes for end-to-end tests.

    from testenv import running, origin, get

    def test_it_proxies() -> None:
        with origin() as app, running(f'''
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app}}]
        ''') as proxy:
            assert get(proxy.port("web"), "/hello").status == 200
            assert app.requests[0].path == "/hello"

Every port is 0 and found out afterwards; everything that is started is ended, by its process id.
"""

from .client import GUARD_SECONDS, Response, connect, exchange, get, read_response, send
from .filters import filter_example
from .foreign import foreign_environment
from .origin import Origin, OriginRequest, Reply, origin
from .proxy import Ended, Proxy, free_port, run_to_end, running, wait_until

__all__ = [
    "GUARD_SECONDS",
    "Ended",
    "Origin",
    "OriginRequest",
    "Proxy",
    "Reply",
    "Response",
    "connect",
    "exchange",
    "filter_example",
    "foreign_environment",
    "free_port",
    "get",
    "origin",
    "read_response",
    "run_to_end",
    "running",
    "send",
    "wait_until",
]
