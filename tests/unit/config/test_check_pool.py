"""Connections that are kept and opened ahead."""

import pytest

from pyproxy.config.load import inspect_texts

BASE = """
listeners:
  web: {bind: "127.0.0.1:8080"}
  db: {bind: "127.0.0.1:8081", protocol: tcp, upstream: plain, sni: {a.example: named}}
  dns: {bind: "127.0.0.1:8082", protocol: udp, upstream: datagrams}
routes: [{upstream: app}]
"""


def faults_of(name, upstream):
    others = {"app", "plain", "named", "datagrams"} - {name}
    lines = [f'  {other}: {{endpoints: "127.0.0.1:9000"}}' for other in sorted(others)]
    lines.append(f'  {name}: {{endpoints: "127.0.0.1:9000", {upstream}}}')
    text = "\n".join([BASE + "upstreams:", *lines])
    return [str(fault) for fault in inspect_texts([("f.yaml", text)]).faults]


@pytest.mark.parametrize(
    "upstream", ["pool: {warm: 4}", "pool: {warm: 128}", "pool: {warm: 2, max_idle: 2}, tls: true"]
)
def test_connections_may_be_opened_ahead(upstream):
    assert [fault for fault in faults_of("app", upstream) if "pool" in fault] == []


@pytest.mark.parametrize("name", ["app", "plain", "named", "datagrams"])
def test_none_need_be(name):
    assert faults_of(name, "pool: {warm: 0}") == []


@pytest.mark.parametrize(
    ("name", "upstream", "says"),
    [
        ("app", "pool: {warm: -1}", "out of range"),
        ("app", "pool: {warm: 3, max_idle: 2}", "3 connections are opened, and only 2 are kept"),
        ("app", "pool: {warm: 1}, proxy_protocol: v2", "cannot be opened ahead"),
        ("plain", "pool: {warm: 1}", "a tcp listener sends here"),
        ("named", "pool: {warm: 1}", "a tcp listener sends here"),
        ("datagrams", "pool: {warm: 1}", "a udp listener sends here"),
    ],
)
def test_where_it_makes_no_sense_is_told(name, upstream, says):
    (fault,) = faults_of(name, upstream)
    assert f"upstreams.{name}.pool.warm" in fault
    assert says in fault
