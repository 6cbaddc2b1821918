"""What the micro-benchmarks print is read correctly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import micros, parsers

ROUTER = "\n".join(
    json.dumps({"set": name, "routes": routes, "ns": ns, "ns_min": ns - 1, "ns_max": ns + 1})
    for name, routes, ns in (
        ("application", 100, 60.0),
        ("tenants", 100, 55.0),
        ("application, one host", 100, 90.0),
        ("tenants", 100000, 180.0),
        ("hosts and headers", 100000, 300.0),
    )
)
HEADS = """head              bytes  step                ns      MB/s
browser request     700  parse            350.0      2000
browser request     700  parse+rules      500.0      1400
"""


def test_the_routers_figure_is_the_slowest_set_without_hosts() -> None:
    found = micros.router_figures(ROUTER)
    assert found["router_100_ns"].median == 60.0
    assert found["router_100000_ns"].median == 180.0
    assert found["router_conditions_ns"].median == 300.0
    assert found["router, 100 routes, application, one host, ns"].median == 90.0


def test_head_rates_are_read_by_head_and_step() -> None:
    assert micros.head_rates(HEADS) == {
        ("browser request", "parse"): pytest.approx(2e9),
        ("browser request", "parse+rules"): pytest.approx(1.4e9),
    }


def test_parser_ratios_are_geometric_means_over_heads() -> None:
    in_c = [{("a", "parse+rules"): 4e9, ("b", "parse+rules"): 1e9}]
    from_python = {
        "a": {"pyproxy": [4.0], "httptools": [1.0], "httptools bare": [1e9]},
        "b": {"pyproxy": [9.0], "httptools": [1.0], "httptools bare": [1e9]},
    }
    found = micros.parser_figures(in_c, from_python)
    assert found["parser_ratio"].median == pytest.approx(6.0)
    assert found["parser_c_ratio"].median == pytest.approx(2.0)


def test_both_parsers_read_the_heads_of_the_c_benchmark(root: Path) -> None:
    source = root / "benchmarks" / "micro" / "bench_http1_head.c"
    heads = parsers.samples(source.read_text())
    assert heads
    for head in heads.values():
        assert head.endswith(b"\r\n\r\n")
        assert b"Content-Length" not in head
        for read in (parsers.ours(), parsers.theirs(callbacks=True)):
            read([head], 2)


def test_heads_of_a_connection_share_what_a_client_repeats() -> None:
    head = b"GET /page/00 HTTP/1.1\r\nHost: h.example\r\nX-Request-Id: abc\r\n\r\n"
    first, second, *rest = parsers.connection(head)
    assert len(rest) == parsers.HEADS - 2
    assert first == b"GET /page/00 HTTP/1.1\r\nHost: h.example\r\nX-Request-Id: a00\r\n\r\n"
    assert second == b"GET /page/01 HTTP/1.1\r\nHost: h.example\r\nX-Request-Id: a01\r\n\r\n"


def test_mixed_heads_share_names_alone() -> None:
    heads = parsers.mixed(b"GET /page/00 HTTP/1.1\r\nHost: h.example\r\nDNT: 1\r\n\r\n")
    assert heads[1] == b"GET /page/01 HTTP/1.1\r\nHost: h.examp01\r\nDNT: 01\r\n\r\n"
    assert len(set(heads)) == parsers.HEADS


def test_a_source_without_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="no request heads"):
        parsers.samples("int main(void) { return 0; }")
