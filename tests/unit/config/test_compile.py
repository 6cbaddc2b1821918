"""The model as calls of the engine, as bind plan, and as counter records."""

import shutil
import socket
from pathlib import Path

import pytest

from pyproxy._counters import StatSegment, metric_words
from pyproxy._engine import Snapshot, SnapshotBuilder
from pyproxy.config.bindplan import bind_plan
from pyproxy.config.compile import (
    UNLIMITED,
    compile_snapshot,
    define_stats,
    stat_records,
    wants_demo,
)
from pyproxy.config.load import inspect, load, loads
from pyproxy.config.model import filter_refs
from pyproxy.config.resolve import resolve_endpoints
from pyproxy.errors import ConfigError
from pyproxy.filters.chain import BoundFilter
from pyproxy.tls.settings import Agreement, ClientSettings, ServerSettings
from testenv.certificates import certificates

EXAMPLES = Path(__file__).parents[3] / "examples"

CONFIG = """
access_log: stdout
listeners:
  web:
    bind: ["127.0.0.1:0", "[::1]:0", {address: "unix:/run/x", mode: "0600"}, "fd:web"]
    limits: {max_head: 16KiB}
    timeouts: {idle: 5s}
  quiet: {bind: "127.0.0.1:0", access_log: off}
upstreams:
  app:
    endpoints: [{address: "127.0.0.1:9000", weight: 3}, "[::1]:9000", "unix:/run/app"]
filters: [{python: {use: "m:Global"}}]
routes:
  - {name: api, match: {hosts: [A.com], path: "/{id}", methods: [GET]}, upstream: app,
     max_body: 1KiB, filters: [{python: {use: "m:Own"}}], rewrite: {path: "/x/{id}", host: b},
     timeout: 2s, priority: 5}
  - respond: {status: 201, headers: {X: [a, b]}, body: "hé"}
    access_log: /var/log/x.log
  - redirect: {location: "https://{host}{path}", status: 301}
    max_body: unlimited
  - {match: {path: /f}}
"""


class Recorder:
    """Keeps every call; like the real builder, `add_*` returns ids from 0 for each kind."""

    def __init__(self):
        self.calls = []
        self.ids = {}

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            number = self.ids.get(name, 0)
            self.ids[name] = number + 1
            return number

        return call

    def begin_tls(self, number, settings):
        self.calls.append(("begin_tls", (number, settings), {}))
        return self

    def of(self, name):
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


def bound(name):
    return BoundFilter(
        name,
        {"request": print},
        timeout_ms=7,
        buffer_request_body=1,
        buffer_response_body=2,
    )


FILTERS = {"filters[0]": bound("Global"), "routes[0].filters[0]": bound("Own")}


@pytest.fixture
def recorded():
    recorder = Recorder()
    compile_snapshot(loads(CONFIG), recorder, FILTERS)
    return recorder


def test_calls_come_in_the_order_that_the_builder_wants(recorded):
    order = [
        *("add_access_log", "add_upstream", "set_balance", "add_endpoint", "add_listener"),
        *("add_filter", "set_global_filters", "add_route", "finish"),
    ]
    names = [name for name, _, _ in recorded.calls]
    assert names == sorted(names, key=order.index)
    assert set(names) == set(order)


def test_the_filters_of_all_routes_are_named_to_the_builder(recorded):
    assert recorded.of("set_global_filters") == [(([0],), {})]


def test_listeners_get_their_limits_and_logs(recorded):
    (web, web_options), (quiet, quiet_options) = recorded.of("add_listener")
    assert (web, quiet) == (("web",), ("quiet",))
    assert web_options["max_head_bytes"] == 16_384
    assert web_options["idle_timeout_ms"] == 5000
    assert web_options["access_log"] == 0
    assert quiet_options["access_log"] == -1


def test_equal_access_logs_are_one(recorded):
    assert recorded.of("add_access_log") == [
        ((), {"path": None, "fd": 1, "json": True}),
        ((), {"path": "/var/log/x.log", "json": True}),
    ]


def test_endpoints_are_numeric_and_named_as_written(recorded):
    assert recorded.of("add_endpoint") == [
        ((0, "127.0.0.1:9000"), {"weight": 3, "name": "app/127.0.0.1:9000", "server_name": ""}),
        ((0, "[::1]:9000"), {"weight": 1, "name": "app/[::1]:9000", "server_name": ""}),
        ((0, "unix:/run/app"), {"weight": 1, "name": "app/unix:/run/app", "server_name": ""}),
    ]


def test_filters_of_all_routes_come_before_the_routes_own(recorded):
    assert [args[0] for args, _ in recorded.of("add_filter")] == ["Global", "Own"]
    assert [options["filters"] for _, options in recorded.of("add_route")] == [
        [0, 1],
        [0],
        [0],
        [0],
    ]


def test_routes_are_passed_whole(recorded):
    (name, api), (second, answer), (_, away), (_, bare) = recorded.of("add_route")
    assert name == ("api",)
    assert second == ("route-1",)
    assert (api["hosts"], api["paths"], api["methods"]) == (("a.com",), ("/{id}",), ("GET",))
    assert (api["upstream"], api["priority"], api["max_body_bytes"]) == (0, 5, 1024)
    assert (api["rewrite_path"], api["rewrite_host"], api["total_timeout_ms"]) == (
        "/x/{id}",
        "b",
        2000,
    )
    assert answer["respond"] == (
        201,
        [("X", "a"), ("X", "b"), ("content-type", "text/plain; charset=utf-8")],
        "hé".encode(),
    )
    assert answer["access_log"] == 1
    assert away["redirect"] == (301, "https://{host}{path}")
    assert away["max_body_bytes"] == UNLIMITED
    assert (bare["upstream"], bare["respond"], bare["redirect"]) == (-1, None, None)


def test_the_engine_takes_every_call():
    assert isinstance(compile_snapshot(loads(CONFIG), SnapshotBuilder(), FILTERS), Snapshot)


def unfiltered_examples():
    return [f for f in sorted(EXAMPLES.glob("*.yaml")) if not filter_refs(inspect(f).config)]


def with_certificates(file, folder):
    """A copy of an example, and beside it the files that it names."""
    pki = certificates()
    pairs = {"example.com": pki.server, "example.com-rsa": pki.server_rsa, "example.org": pki.other}
    for name, pair in pairs.items():
        shutil.copy(pair.cert, folder / f"{name}.crt")
        shutil.copy(pair.key, folder / f"{name}.key")
    for name in ("clients-ca.pem", "internal-ca.pem"):
        shutil.copy(pki.ca.cert, folder / name)
    return shutil.copy(file, folder)


@pytest.mark.parametrize("file", unfiltered_examples(), ids=lambda file: file.name)
def test_the_engine_takes_every_example(file, tmp_path):
    config = resolve_endpoints(
        load(with_certificates(file, tmp_path)),
        demo_address="127.0.0.1:1",
        resolver=lambda *_args, **_options: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 1))],
    )
    snapshot = compile_snapshot(config, SnapshotBuilder(), {})
    assert isinstance(snapshot, Snapshot)


def test_what_the_builder_refuses_has_a_place():
    class Refuses(Recorder):
        def add_upstream(self, *_args, **_kwargs):
            raise ValueError("no such balance")

    with pytest.raises(ConfigError) as caught:
        compile_snapshot(loads(CONFIG, "f.yaml"), Refuses(), FILTERS)
    assert str(caught.value) == "f.yaml:11:5: upstreams.app: no such balance"


DEMO = """listeners: {w: {bind: '127.0.0.1:0'}}
upstreams: {app: {endpoints: [%s]}}
routes: [{upstream: app}]"""


def test_the_demonstration_origin_is_replaced_by_its_address():
    config = loads(DEMO % "'demo:'")
    assert wants_demo(config)
    resolved = resolve_endpoints(config, demo_address="127.0.0.1:5")
    assert resolved.upstreams["app"].endpoints[0].resolved == ("127.0.0.1:5",)
    assert not wants_demo(loads(DEMO % "'a:1'"))


def test_the_demonstration_origin_must_be_running():
    with pytest.raises(ConfigError, match="demonstration origin is not running"):
        resolve_endpoints(loads(DEMO % "'demo:'"))


def lookup(host, port, **_options):
    if host == "gone.test":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0)),
    ]


def test_a_host_name_becomes_each_of_its_addresses_once():
    config = resolve_endpoints(loads(DEMO % "{address: 'app.test:80', weight: 2}"), resolver=lookup)
    assert config.upstreams["app"].endpoints[0].resolved == ("192.0.2.1:80", "[2001:db8::1]:80")
    recorder = Recorder()
    compile_snapshot(config, recorder, {})
    assert recorder.of("add_endpoint") == [
        ((0, "192.0.2.1:80"), {"weight": 2, "name": "app/app.test:80", "server_name": "app.test"}),
        (
            (0, "[2001:db8::1]:80"),
            {"weight": 2, "name": "app/app.test:80", "server_name": "app.test"},
        ),
    ]


def test_every_name_that_does_not_resolve_is_a_fault_with_its_place():
    config = loads(DEMO % "'gone.test:80', 'ok.test:80', 'gone.test:81'", "f.yaml")
    with pytest.raises(ConfigError) as caught:
        resolve_endpoints(config, resolver=lookup)
    assert [fault.path for fault in caught.value.faults] == [
        "upstreams.app.endpoints[0]",
        "upstreams.app.endpoints[2]",
    ]
    assert (
        'f.yaml:2:31: upstreams.app.endpoints[0]: the host "gone.test" cannot be resolved'
        in str(caught.value)
    )


def test_the_bind_plan_has_every_address_in_order():
    plan = bind_plan(loads(CONFIG))
    assert [(b.listener, b.kind, b.address, b.mode) for b in plan] == [
        ("web", "inet", "127.0.0.1:0", 0o666),
        ("web", "inet6", "[::1]:0", 0o666),
        ("web", "unix", "unix:/run/x", 0o600),
        ("web", "fd", "fd:web", 0o666),
        ("quiet", "inet", "127.0.0.1:0", 0o666),
    ]
    assert [(b.host, b.port, b.path, b.fd_name) for b in plan[:4]] == [
        ("127.0.0.1", 0, "", ""),
        ("::1", 0, "", ""),
        ("", 0, "/run/x", ""),
        ("", 0, "", "web"),
    ]
    assert not any(bind.datagram for bind in plan)


def test_every_counted_thing_has_a_record_of_its_own():
    records = stat_records(loads(CONFIG))
    assert records == [
        ("worker", ""),
        ("supervisor", ""),
        ("listener", "-"),
        ("route", "-"),
        ("upstream", "-"),
        ("endpoint", "-"),
        ("arm", "-"),
        ("listener", "web"),
        ("listener", "quiet"),
        ("route", "api"),
        ("route", "route-1"),
        ("route", "route-2"),
        ("route", "route-3"),
        ("upstream", "app"),
        ("endpoint", "app/127.0.0.1:9000"),
        ("endpoint", "app/[::1]:9000"),
        ("endpoint", "app/unix:/run/app"),
    ]


def test_records_are_defined_in_a_segment():
    config = loads(CONFIG)
    words = sum(metric_words(kind) for kind, _ in stat_records(config))
    memory = bytearray(StatSegment.size(1, words, 4096))
    segment = StatSegment.format(memory, columns=1, words=words, dir_bytes=4096)
    assert define_stats(config, segment) == []
    assert [(kind, name) for kind, name, _, _ in segment.records()] == stat_records(config)


def test_records_without_room_are_told():
    config = loads(CONFIG)
    records = stat_records(config)
    words = sum(metric_words(kind) for kind, _ in records[:-2])
    memory = bytearray(StatSegment.size(1, words, 4096))
    segment = StatSegment.format(memory, columns=1, words=words, dir_bytes=4096)
    assert define_stats(config, segment) == records[-2:]
    assert [(kind, name) for kind, name, _, _ in segment.records()] == records[:-2]


# ---- tcp listeners

TCP = """
listeners:
  db: {bind: "127.0.0.1:0", protocol: tcp, upstream: pg}
  cache:
    bind: "127.0.0.1:0"
    protocol: tcp
    upstream: redis
    limits: {max_connections: 7}
    timeouts: {idle: 10m, keepalive: 1500ms}
  web: {bind: "127.0.0.1:0"}
upstreams: {redis: {endpoints: "127.0.0.1:6379"}, pg: {endpoints: "127.0.0.1:5432"}}
routes: [{upstream: pg}]
"""


def test_a_tcp_listener_names_its_upstream_and_has_times_of_its_own():
    builder = Recorder()
    compile_snapshot(loads(TCP), builder, {})
    db, cache, web = (options for _, options in builder.of("add_listener"))
    assert (db["upstream"], cache["upstream"], web["upstream"]) == (1, 0, -1)
    assert (db["idle_timeout_ms"], cache["idle_timeout_ms"]) == (3_600_000, 600_000)
    assert web["idle_timeout_ms"] == 75_000
    assert (db["keepalive_s"], cache["keepalive_s"]) == (120, 2)
    assert cache["max_connections"] == 7


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("1ms", 1), ("61s", 61), ("20d", 32_767)])
def test_keepalive_times_are_those_that_the_kernel_takes(text, seconds):
    builder = Recorder()
    config = loads(TCP.replace("1500ms", text))
    compile_snapshot(config, builder, {})
    assert builder.of("add_listener")[1][1]["keepalive_s"] == seconds


def secured(tls: str) -> str:
    return f"""
listeners: {{web: {{bind: "127.0.0.1:0", tls: {tls}}}}}
upstreams: {{app: {{endpoints: ["127.0.0.1:9000"]}}}}
routes: [{{upstream: app}}]
"""


def test_a_listener_gets_its_certificates_and_the_defaults():
    pki, recorder = certificates(), Recorder()
    compile_snapshot(
        loads(secured(f"{{cert: {pki.server.cert}, key: {pki.server.key}}}")), recorder, {}
    )
    (((number, settings), _),) = recorder.of("begin_tls")
    assert number == 0
    pair = (pki.server.cert.read_bytes(), pki.server.key.read_bytes(), b"")
    assert recorder.of("add") == [((["localhost", "app.test", "www.app.test"], [pair], ""), {})]
    assert recorder.of("set_listener_tls") == [((0, recorder), {})]
    assert settings == ServerSettings(Agreement(alpn=b"\x02h2\x08http/1.1"))


def test_a_listener_asks_clients_for_certificates():
    pki, recorder = certificates(), Recorder()
    pair = f"cert: {pki.server.cert}, key: {pki.server.key}"
    more = f"client_certificates: {{ca: {pki.ca.cert}, mode: optional}}, min_version: 1.3"
    compile_snapshot(loads(secured(f"{{{pair}, {more}, alpn: []}}")), recorder, {})
    (((_, settings), _),) = recorder.of("begin_tls")
    assert settings.client_auth == 1
    assert settings.client_ca == pki.ca.cert.read_bytes()
    assert settings.agreement == Agreement(min_version=0x0304)


def test_an_upstream_gets_whom_to_trust_and_each_endpoint_its_name():
    pki, recorder = certificates(), Recorder()
    config = loads(f"""
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams:
  app:
    endpoints: ["App.Test.:443", "127.0.0.1:444"]
    tls: {{ca: {pki.ca.cert}, cert: {pki.alice.cert}, key: {pki.alice.key}}}
routes: [{{upstream: app}}]
""")
    found = [(socket.AF_INET, 1, 6, "", ("127.0.0.9", 443))]
    resolved = resolve_endpoints(config, resolver=lambda *_args, **_options: found)
    compile_snapshot(resolved, recorder, {})
    (((number, settings), _),) = recorder.of("set_upstream_tls")
    assert number == 0
    assert settings == ClientSettings(
        Agreement(alpn=b"\x02h2\x08http/1.1"),
        ca=pki.ca.cert.read_bytes(),
        chain=pki.alice.cert.read_bytes(),
        key=pki.alice.key.read_bytes(),
    )
    names = [more["server_name"] for _, more in recorder.of("add_endpoint")]
    assert names == ["app.test", ""]


def test_proxies_and_server_names_go_to_their_listener():
    builder = Recorder()
    text = TCP.replace("upstream: pg}", "upstream: pg, sni: {a: redis, '*.b': pg}}", 1)
    text = text.replace(
        'web: {bind: "127.0.0.1:0"}',
        'web: {bind: "127.0.0.1:0", proxy_protocol: {trusted: [10.0.0.0/8, unix], others: direct}}',
    ).replace('endpoints: "127.0.0.1:6379"', 'endpoints: "127.0.0.1:6379", proxy_protocol: v2')
    compile_snapshot(loads(text), builder, {})
    assert builder.of("add_server_name") == [((0, "a", 0), {}), ((0, "*.b", 1), {})]
    assert builder.of("add_proxies") == [((2, ("10.0.0.0/8", "unix")), {"others_direct": True})]
    redis, pg = (options for _, options in builder.of("add_upstream"))
    assert (redis["proxy_protocol"], pg["proxy_protocol"]) == (2, 0)
    assert (redis["protocol"], pg["protocol"]) == ("h1", "auto")


def test_how_endpoints_are_chosen_goes_to_their_upstream():
    recorder = Recorder()
    file = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams:
  app:
    endpoints: ["127.0.0.1:1", {address: "127.0.0.1:2", backup: true, drain: true}]
    balance: {policy: maglev, key: path}
    sticky: {cookie: srv, path: ""}
routes: [{upstream: app}]
"""
    compile_snapshot(loads(file), recorder, {})
    assert recorder.of("add_upstream")[0][1]["balance"] == "maglev"
    (args, more), *others = recorder.of("set_balance")
    assert (args, others) == ((0,), [])
    assert (more["key"], more["sticky"]) == ("path", "srv")
    assert more["attributes"] == "; HttpOnly; SameSite=Lax"
    roles = [(m.get("tier", 0), m.get("drain", False)) for _, m in recorder.of("add_endpoint")]
    assert roles == [(0, False), (1, True)]
