"""Messages of grpc.health.v1, byte by byte."""

import pytest

from pyproxy.control.probe_http2 import request_of, serving_of
from pyproxy.control.probes import CheckFailed


def test_requests_name_the_service() -> None:
    assert request_of("") == b"\0\0\0\0\0"
    assert request_of("a.B") == b"\0\0\0\0\x05\x0a\x03a.B"
    assert request_of("x" * 300)[:8] == b"\0\0\0\x01\x2f\x0a\xac\x02"


@pytest.mark.parametrize(
    ("body", "serving"),
    [(b"\0\0\0\0\0", 0), (b"\0\0\0\0\x02\x08\x01", 1), (b"\0\0\0\0\x02\x08\x02", 2)],
)
def test_answers(body, serving) -> None:
    assert serving_of(body) == serving


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x02\x08", b"\0\0\0\0\x02\x10\x01", b"\0" * 6],
)
def test_what_is_no_answer(body) -> None:
    with pytest.raises(CheckFailed):
        serving_of(body)
