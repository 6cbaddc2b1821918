"""The filter `referer_restriction` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import Proxy, filter_example, running

EXAMPLE = json.dumps(filter_example("referer_restriction"))


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    config = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes:
      - {{match: {{path: /example}}, respond: {{}}, filters: {EXAMPLE}}}
      - match: {{path: /denied}}
        respond: {{}}
        filters: [{{referer_restriction: {{deny: ["*.bad.example"]}}}}]
    """
    with running(config) as started:
        yield started


@pytest.mark.parametrize(
    ("referer", "status"),
    [
        ("https://example.com/page", 200),
        ("http://WWW.Example.com:8080?x", 200),
        ("https://user@deep.www.example.com#x", 200),
        ("https://example.com", 200),
        ("https://example.com.evil.net/", 403),
        ("https://evil.net/https://example.com/", 403),
        ("https://example.com@evil.net/", 403),
        ("https://evilexample.com/", 403),
        ("example.com", 403),
        ("https:///example.com", 403),
        ("://", 403),
    ],
)
def test_the_example_lets_its_own_sites_link(proxy: Proxy, referer: str, status: int) -> None:
    assert proxy.get("/example", headers={"Referer": referer}).status == status


def test_without_the_field_it_depends(proxy: Proxy) -> None:
    assert proxy.get("/example").status == 200
    assert proxy.get("/denied").status == 403


def test_what_is_denied_is_refused_and_all_else_is_not(proxy: Proxy) -> None:
    for referer, status in {"https://a.bad.example/": 403, "https://bad.example/": 200}.items():
        assert proxy.get("/denied", headers={"Referer": referer}).status == status
