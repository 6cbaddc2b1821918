"""How two configurations differ, in lines for people."""

from __future__ import annotations

import pytest

from pyproxy.config.diff import differences
from pyproxy.config.load import loads
from testenv.certificates import certificates

BASE = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: ["127.0.0.1:1"]}}
routes:
  - {name: a, match: {path: /a}, upstream: app}
  - {name: b, match: {path: /b}, respond: {body: b}}
"""


def diff(changed: str) -> list[str]:
    return differences(loads(BASE), loads(changed))


def test_the_same_differs_in_nothing_wherever_it_stands() -> None:
    assert diff("# another line\n" + BASE) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("listeners:", "workers: 3\nlisteners:", "~ workers: auto -> 3"),
        ("listeners:", "drain: 3s\nlisteners:", "~ drain.timeout: 300s -> 3s"),
        ("body: b}", "body: c}", "~ routes.b.respond.body: b -> c"),
        ("path: /a}", "path: /x}", "~ routes.a.match.path: /a -> /x"),
        (
            "127.0.0.1:1",
            "127.0.0.1:2",
            (
                "~ upstreams.app.endpoints: [{address: 127.0.0.1:1, weight: 1}]"
                " -> [{address: 127.0.0.1:2, weight: 1}]"
            ),
        ),
    ],
)
def test_a_changed_value_is_shown(old, new, line) -> None:
    assert diff(BASE.replace(old, new)) == [line]


def test_what_comes_and_goes_is_named() -> None:
    changed = BASE.replace("{name: b,", "{name: c,").replace("web: {bind", "api: {bind")
    assert diff(changed) == ["- listeners.web", "+ listeners.api", "- routes.b", "+ routes.c"]


def test_another_order_of_the_same_routes_is_told() -> None:
    lines = BASE.strip().splitlines()
    assert diff("\n".join([*lines[:3], lines[4], lines[3]])) == ["~ routes: their order"]


def test_what_may_be_secret_is_not_shown() -> None:
    changed = BASE.replace("respond: {body: b}", "respond: {body: b, headers: {x-key: hunter2}}")
    assert diff(changed) == ["~ routes.b.respond.headers"]


def test_certificates_are_told_one_by_one_and_keys_never(tmp_path, monkeypatch) -> None:
    pki = certificates()
    pki.server.copy(tmp_path)
    monkeypatch.setenv("KEY", pki.server.key.read_text())
    first = f"{{cert: {tmp_path}/tls.crt, key: {tmp_path}/tls.key}}"
    tls = f"tls: {{certificates: [{first}, {{cert: {pki.other.cert}, key: {pki.other.key}}}]}}"
    base = BASE.replace('127.0.0.1:0"', f'127.0.0.1:0", {tls}')
    old = loads(base)
    pki.server_rsa.copy(tmp_path)
    assert differences(old, loads(base)) == ["~ listeners.web.tls.certificates[0]: the files"]
    pki.server.copy(tmp_path)
    other = loads(base.replace(f"{tmp_path}/tls.key", "secret://env/KEY"))
    assert differences(old, other) == ["~ listeners.web.tls.certificates[0].key"]
    lines = differences(loads(BASE), other)
    assert len(lines) == 1
    assert "PRIVATE" not in lines[0]
