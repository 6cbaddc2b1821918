"""What is spoken to endpoints."""

import pytest

from pyproxy.config.load import inspect_texts, loads

BASE = """
listeners: {web: {bind: "127.0.0.1:8080"}}
routes: [{upstream: app}]
"""


def faults_of(upstream):
    text = f'{BASE}upstreams: {{app: {{endpoints: "127.0.0.1:9000", {upstream}}}}}'
    return [str(fault) for fault in inspect_texts([("f.yaml", text)]).faults]


@pytest.mark.parametrize(
    "upstream",
    [
        "protocol: auto",
        "protocol: h1",
        "protocol: h2c",
        "protocol: h2, tls: true",
        "protocol: h2c, http2: {max_concurrent_streams: 1, stream_window: 16KiB}",
    ],
)
def test_protocols_that_fit_are_taken(upstream):
    assert faults_of(upstream) == []


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        ("protocol: h3", "known here: auto, h1, h2, h2c"),
        ("protocol: h2", "h2 is HTTP/2 over TLS"),
        ("protocol: h2, tls: false", "h2 is HTTP/2 over TLS"),
        ("protocol: h2c, tls: true", "h2c is HTTP/2 without TLS"),
        (
            "protocol: h1, http2: {max_concurrent_streams: 3}",
            "with protocol: h1 no HTTP/2 is spoken",
        ),
        ("http2: {max_concurrent_streams: 0}", "max_concurrent_streams"),
        ("http2: {stream_window: 1}", "stream_window"),
    ],
)
def test_others_are_refused(upstream, says):
    (fault,) = faults_of(upstream)
    assert says in fault


def test_the_defaults_are_careful():
    upstream = loads(f"{BASE}upstreams: {{app: {{endpoints: '127.0.0.1:9000'}}}}").upstreams["app"]
    assert upstream.protocol == "auto"
    assert (upstream.http2.max_concurrent_streams, upstream.http2.stream_window_bytes) == (
        100,
        262_144,
    )
