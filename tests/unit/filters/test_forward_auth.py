"""The connections of the filter `forward_auth`, without a proxy around it."""

import asyncio
import gc
from types import SimpleNamespace

from pyproxy.config.filters.forward_auth import ForwardAuthFilter
from pyproxy.filters.forward_auth import ForwardAuth


class Fields(dict):
    def get_all(self, _name):
        return []

    def pop_all(self, name):
        self.pop(name, None)


def seen():
    request = SimpleNamespace(method="GET", scheme="http", host="a", target="/", headers=Fields())
    return SimpleNamespace(request=request, client_address="unix", state={})


def test_a_filter_that_is_gone_leaves_no_connections():
    async def run():
        ended = asyncio.Event()

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await reader.read()
            writer.close()
            ended.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            found = ForwardAuth(ForwardAuthFilter(url=f"http://127.0.0.1:{port}/"))
            assert await found.request(seen()) is None
            assert not ended.is_set()
            del found
            gc.collect()
            async with asyncio.timeout(20):
                await ended.wait()

    asyncio.run(run())


def test_phases_that_are_not_needed_are_not_there():
    plain = ForwardAuth(ForwardAuthFilter(url="http://a"))
    assert getattr(plain, "response", None) is None
    more = ForwardAuth(ForwardAuthFilter(url="http://a", success_headers=("x",)))
    assert callable(more.response)
