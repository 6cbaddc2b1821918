"""Rules between fields, and values that only the data plane can judge."""

import re
from pathlib import Path

import msgspec
import pytest

from pyproxy.config.check import LOG_VARIABLES, check
from pyproxy.config.load import inspect_texts, loads
from pyproxy.config.model import Bind, Config, Endpoint, Listener, Match, Rewrite, Route, Upstream

BASE = """
listeners: {web: {bind: "127.0.0.1:8080"}}
upstreams: {app: {endpoints: ["127.0.0.1:9000"]}}
"""


def faults_of(text):
    return [
        str(fault).removeprefix("f.yaml:") for fault in inspect_texts([("f.yaml", text)]).faults
    ]


def route_faults(route):
    return faults_of(f"{BASE}routes: [{route}]")


@pytest.mark.parametrize(
    ("route", "says"),
    [
        ("{}", "the route has no action; add upstream, split, respond or redirect"),
        ("{upstream: app, respond: {}}", "a route has one action; keep one of upstream, respond"),
        ("{upstream: ap}", 'no upstream named "ap"; did you mean "app"?'),
        ("{respond: {}, rewrite: {path: /x}}", "respond sends nothing upstream"),
        ("{upstream: app, match: {host: a, hosts: [b]}}", 'both "host" and "hosts" are given'),
        ("{upstream: app, match: {path: /a, paths: [/b]}}", 'both "path" and "paths" are given'),
        ("{upstream: app, match: {path: a}}", 'the path "a" does not begin with "/"; write "/a"'),
        ("{upstream: app, match: {path: '/{a'}}", 'a lone "{" in "/{a"; write {{'),
        ("{upstream: app, match: {path: '/{a b}'}}", '"{a b}" is not a name'),
        ("{upstream: app, match: {path: '/{a}/{a}'}}", 'the name "a" is captured twice'),
        ("{upstream: app, match: {path: '/*/b'}}", '"*" is not at the end'),
        ("{upstream: app, match: {path: '/a*b'}}", '"*b" does not begin a segment'),
        ("{upstream: app, match: {path: '/a?b=c'}}", "holds a query or a fragment"),
        ("{upstream: app, match: {host: 'a.com:80'}}", "holds a port"),
        ("{upstream: app, match: {host: 'http://a.com'}}", "write the name only"),
        ("{upstream: app, match: {host: 'a.*.com'}}", "star in the wrong place"),
        ("{upstream: app, match: {host: '*'}}", "remove it to match any host"),
        ("{upstream: app, match: {methods: [get]}}", '"get" is not "GET"'),
        ("{upstream: app, match: {methods: ['G T']}}", '"G T" is not a method'),
        (
            "{upstream: app, match: {path: '/{user}'}, rewrite: {path: '/{usr}'}}",
            'did you mean "user"?',
        ),
        ("{upstream: app, rewrite: {path: 'x/{path}'}}", 'does not begin with "/"'),
        ("{upstream: app, rewrite: {path: '/{'}}", 'a lone "{"'),
        ("{upstream: app, rewrite: {host: 'http://x'}}", '"http://x" is not a host'),
        ("{upstream: app, rewrite: {path: '/x?a=b'}}", "the new path holds a query"),
        ("{upstream: app, rewrite: {path: '{path}{query}'}}", "the new path holds a query"),
        (
            "{upstream: app, match: {path: '/{path}'}, rewrite: {path: '/{path}'}}",
            "give the capture another name",
        ),
        ("{redirect: '/{rest}'}", 'the path "*" captures no "rest"'),
        ("{redirect: 'https://x/a b'}", "this is not a URL"),
        (
            "{redirect: {location: /x, status: 200}}",
            '"200" is not allowed here; known here: 301, 302',
        ),
        ("{respond: {status: 99}}", '"99" is out of range; write at least 200'),
        ("{respond: {status: 204, body: x}}", "status 204 has no body"),
        ("{respond: {headers: {'a b': x}}}", '"a b" is not a header name'),
        ("{respond: {headers: {Content-Length: 3}}}", "written by the proxy itself"),
        (
            '{respond: {headers: {a: "x\\r\\ny: z"}}}',
            "a header value cannot hold control characters",
        ),
        ("{respond: {headers: {a: [ok, ' x']}}}", "spaces at its ends"),
        ("{name: '-', respond: {}}", "not a usable name"),
    ],
)
def test_a_faulty_route_gets_one_fault_with_a_cure(route, says):
    (fault,) = route_faults(route)
    assert says in fault


@pytest.mark.parametrize(
    "route",
    [
        "{upstream: app}",
        "{filters: [{python: {use: 'm:C'}}]}",
        "{upstream: app, match: {path: '*'}}",
        "{upstream: app, match: {path: '/{id}/*r'}, rewrite: {path: '{path}/{{{r}', host: '{id}'}}",
        "{upstream: app, match: {hosts: ['*.a.com', a.com], paths: [/a, '/b/{x}', '/c*']}}",
        "{redirect: 'https://{host}{path}{query}'}",
        "{redirect: {location: /new, status: 301}}",
        "{respond: {status: 204}}",
        "{respond: {headers: {Set-Cookie: [a=b, c=d]}}}",
    ],
)
def test_a_sound_route_has_no_fault(route):
    assert route_faults(route) == []


def test_names_of_routes_are_unique_made_ones_included():
    faults = route_faults("{respond: {}}, {name: route-0, respond: {}}")
    assert len(faults) == 1
    assert 'the name "route-0" is taken already, by routes[0]' in faults[0]


def test_every_path_must_capture_what_a_template_names():
    (fault,) = route_faults(
        "{upstream: app, match: {paths: ['/a/{id}', /b]}, rewrite: {path: '/{id}'}}"
    )
    assert 'the path "/b" captures no "id"' in fault


def test_filters_of_all_routes_may_be_the_action():
    assert faults_of(BASE + "filters: [{python: {use: 'm:C'}}]\nroutes: [{match: {path: /}}]") == []


@pytest.mark.parametrize(
    ("bind", "says"),
    [
        ("8080", "has no host; write 0.0.0.0:8080 for all of IPv4"),
        ("':8080'", "has no host"),
        ("localhost:80", "is not a numeric address; write one such as 127.0.0.1:80"),
        ("example.com:80", "such as 0.0.0.0:80"),
        ("127.0.0.1", "has no port"),
        ("127.0.0.1:http", '"http" is not a port'),
        ("127.0.0.1:65536", '"65536" is not a port; write a number from 0 to 65535'),
        ("300.0.0.1:80", "valid IPv4 address"),
        ("'[::g]:80'", "valid IPv6 address"),
        ("'::1:80'", "write an IPv6 address in brackets"),
        ("'unix:'", "has no path"),
        (f"unix:/{'x' * 120}", "at most 107 bytes"),
        ("'fd:'", "names no descriptor"),
    ],
)
def test_a_bad_bind_address_has_a_cure(bind, says):
    (fault,) = faults_of(f"listeners: {{web: {{bind: {bind}}}}}\nroutes: [{{respond: {{}}}}]")
    assert says in fault


def test_an_address_is_taken_once():
    faults = faults_of("""
listeners:
  a: {bind: ["127.0.0.1:80", "[::1]:80", "127.0.0.1:0", "127.0.0.1:0"]}
  b: {bind: ["[0::1]:80", "unix:/a", "unix:/a"]}
routes: [{respond: {}}]
admin: 127.0.0.1:80
""")
    assert [fault.split(": ")[1] for fault in faults] == [
        "listeners.b.bind[0]",
        "listeners.b.bind[2]",
        "admin",
    ]
    assert '"127.0.0.1:80" is taken already, by listeners.a.bind[0] (f.yaml:3)' in faults[2]


def test_only_a_unix_socket_has_a_mode():
    (fault,) = faults_of(
        "listeners: {a: {bind: {address: '127.0.0.1:0', mode: 600}}}\nroutes: [{respond: {}}]"
    )
    assert "only a unix socket has a mode; remove it" in fault


@pytest.mark.parametrize(
    ("network", "says"),
    [("10.0.0.1/8", "write 10.0.0.0/8"), ("everyone", "write an address, a network")],
)
def test_trusted_proxies_are_networks(network, says):
    (fault,) = faults_of(
        f"listeners: {{a: {{bind: '127.0.0.1:0', trusted_proxies: ['::1', {network}]}}}}\n"
        "routes: [{respond: {}}]"
    )
    assert "trusted_proxies[1]" in fault
    assert says in fault


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("http://a:80/x", "is a URL; write host and port only, such as a:80"),
        ("a", '"a" has no port; write host:port, such as a:8080'),
        ("a:0", '"0" is not a port'),
        ("a_b..c:80", "is not a host name"),
        ("-a:80", "is not a host name"),
        ("'::1:80'", "in brackets"),
    ],
)
def test_a_bad_endpoint_has_a_cure(endpoint, says):
    (fault,) = faults_of(
        "listeners: {w: {bind: '127.0.0.1:0'}}\n"
        f"upstreams: {{a: {{endpoints: [{endpoint}]}}}}\n"
        "routes: [{upstream: a}]"
    )
    assert "upstreams.a.endpoints[0]" in fault
    assert says in fault


def test_an_endpoint_is_listed_once():
    (fault,) = faults_of(
        BASE.replace('"127.0.0.1:9000"', "'a:1', 'A:1', 'b:1'") + "routes: [{upstream: app}]"
    )
    assert 'the endpoint "A:1" is listed twice' in fault


def test_a_configuration_without_listener_or_route_serves_nothing():
    faults = faults_of("workers: 1")
    assert [fault.split(": ")[1] for fault in faults] == ["listeners", "routes"]


@pytest.mark.parametrize(
    "line", ["user: 'a b'", "user: ':x'", "listeners: {'a b': {bind: '127.0.0.1:1'}}"]
)
def test_names_are_plain_words(line):
    text = f"routes: [{{respond: {{}}}}]\n{line}"
    assert (
        len(
            faults_of(
                text if "listeners" in line else text + "\nlisteners: {w: {bind: '127.0.0.1:0'}}"
            )
        )
        == 1
    )


@pytest.mark.parametrize(
    ("size", "says"),
    [("unlimited", "at least 256"), ("1", "at least 256"), ("1GiB", "at most 16MiB")],
)
def test_a_limit_on_memory_has_bounds(size, says):
    limits = f", limits: {{max_head: {size}}}}}}}\nup"
    (fault,) = faults_of(BASE.replace("}}\nup", limits) + "routes: [{upstream: app}]")
    assert f'listeners.web.limits.max_head: "{size}" is out of range; write {says}' in fault


def with_format(form):
    return BASE + f"access_log: {{format: '{form}'}}\nroutes: [{{upstream: app}}]"


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("{methd}", 'there is no variable "methd"'),
        ("{request.methd}", 'did you mean "request.method"?'),
        ("{id", 'a lone "{"'),
        ("", "the format is empty"),
    ],
)
def test_an_access_log_format_names_known_variables(form, says):
    (fault,) = faults_of(with_format(form))
    assert "access_log.format" in fault
    assert says in fault


def test_an_access_log_format_may_name_any_header():
    form = "{time} {client.address} {request.header.User-Agent} {response.header.x} {{x}}"
    assert faults_of(with_format(form)) == []


def test_the_variables_are_those_of_the_engine():
    source = (Path(__file__).parents[3] / "csrc/proxy/accesslog.c").read_text()
    rows = re.search(r"#define VARIABLES\(X\)(.*?)\n\n", source, re.DOTALL)[1]
    assert set(re.findall(r'X\(\w+, "([^"]+)"', rows)) == set(LOG_VARIABLES)


def made(**changes):
    """A configuration made by a program."""
    config = Config(
        listeners={"main": Listener(bind=(Bind(address="127.0.0.1:0"),))},
        upstreams={"app": Upstream(endpoints=(Endpoint(address="127.0.0.1:1"),))},
        routes=(Route(upstream="app"),),
    )
    return msgspec.structs.replace(config, **changes)


def test_a_configuration_made_by_a_program_is_checked_too():
    assert check(made()) == []
    routes = (Route(upstream="no", match=Match(path="x"), rewrite=Rewrite(path="/{y}")),)
    faults = check(made(routes=routes, listeners={}))
    assert [(fault.location, fault.path) for fault in faults] == [
        ("", "listeners"),
        ("", "routes[0].match.path"),
        ("", "routes[0].upstream"),
    ]


def test_a_loaded_configuration_that_was_changed_is_checked_with_its_places():
    config = loads(BASE + "routes: [{upstream: app}]", "f.yaml")
    changed = msgspec.structs.replace(
        config, routes=(msgspec.structs.replace(config.routes[0], upstream="x"),)
    )
    (fault,) = check(changed)
    assert fault.location == "f.yaml:4:21"


def listener_faults(listener, routes="[{upstream: app}]"):
    upstreams = 'upstreams: {app: {endpoints: ["127.0.0.1:9000"]}}'
    return faults_of(f"listeners:\n  db: {listener}\n{upstreams}\nroutes: {routes}\n")


TCP = 'bind: "127.0.0.1:1", protocol: tcp'


@pytest.mark.parametrize(
    ("listener", "says"),
    [
        (f"{{{TCP}}}", "2:7: listeners.db.upstream: a tcp listener needs an upstream; say where"),
        (f"{{{TCP}, upstream: ap}}", 'listeners.db.upstream: there is no upstream named "ap"; did'),
        (f"{{{TCP}, upstream: app, via: x}}", "listeners.db.via: a tcp listener knows no requests"),
        (
            f"{{{TCP}, upstream: app, trusted_proxies: [unix]}}",
            "db.trusted_proxies: a tcp listener",
        ),
        (f"{{{TCP}, upstream: app, server_header: x}}", "db.server_header: a tcp listener knows"),
        (
            f"{{{TCP}, upstream: app, limits: {{max_head: 1KiB}}}}",
            "2:68: listeners.db.limits.max_head",
        ),
        (f"{{{TCP}, upstream: app, limits: {{max_age: 1h}}}}", "db.limits.max_age: a tcp listener"),
        (
            f"{{{TCP}, upstream: app, timeouts: {{header: 1s}}}}",
            "db.timeouts.header: a tcp listener",
        ),
        (
            '{bind: "127.0.0.1:1", upstream: app}',
            "listeners.db.upstream: routes say where the requests of an http listener go",
        ),
        (
            f"{{{TCP}, upstream: app, timeouts: {{tunnel_idle: 1s}}}}",
            "db.timeouts.tunnel_idle: a tcp listener",
        ),
    ],
)
def test_fields_that_mean_nothing_to_the_protocol_are_faults(listener, says):
    (fault,) = listener_faults(listener)
    assert says in fault


@pytest.mark.parametrize(
    ("listener", "says"),
    [
        (f"{{{TCP}, sni: {{a: ap}}}}", 'db.sni.a: there is no upstream named "ap"; did you mean'),
        (f"{{{TCP}, sni: {{'*': app}}}}", '"*" is not a server name; write a host name, or *.'),
        (f"{{{TCP}, sni: {{'a.*.b': app}}}}", '"a.*.b" is not a server name'),
        (f"{{{TCP}, sni: {{a.b: app, A.B.: app}}}}", '"A.B." is the same name as "a.b"; remove'),
        ('{bind: "127.0.0.1:1", sni: {a: app}}', "db.sni: hosts of routes say where"),
        (
            '{bind: "127.0.0.1:1", proxy_protocol: {trusted: 10.0.0.1/8}}',
            'db.proxy_protocol.trusted: "10.0.0.1/8" is not a network; write 10.0.0.0/8',
        ),
        (
            '{bind: "127.0.0.1:1", proxy_protocol: {trusted: [unix, any]}}',
            'db.proxy_protocol.trusted[1]: "any" is not a network; write an address',
        ),
        (
            '{bind: "127.0.0.1:1", protocol: udp, upstream: app, proxy_protocol: 10.0.0.1}',
            "db.proxy_protocol: ",
        ),
    ],
)
def test_what_stands_before_a_connection_is_checked(listener, says):
    (fault,) = listener_faults(listener)
    assert says in fault


def test_what_is_read_before_a_tunnel_has_a_timeout():
    for more in ("sni: {a.example: app}", "upstream: app, proxy_protocol: unix"):
        assert listener_faults(f"{{{TCP}, {more}, timeouts: {{header: 1s}}}}") == []


def test_a_connection_of_many_clients_announces_none():
    upstream = '{endpoints: ["127.0.0.1:9000"], protocol: h2c, proxy_protocol: v1}'
    faults = faults_of(
        f"listeners: {{web: {{bind: '127.0.0.1:1'}}}}\nupstreams: {{app: {upstream}}}\n"
        "routes: [{upstream: app}]\n"
    )
    (fault,) = faults
    assert "upstreams.app.proxy_protocol: a connection of HTTP/2 is of many clients" in fault


def test_tcp_listeners_need_no_routes():
    good = f"{{{TCP}, upstream: app, limits: {{max_connections: 1}}, timeouts: {{idle: 1m}}}}"
    assert listener_faults(good, routes="[]") == []
    assert listener_faults(good) == []


UDP = 'bind: "127.0.0.1:1", protocol: udp'


@pytest.mark.parametrize(
    ("listener", "says"),
    [
        (f"{{{UDP}}}", "2:7: listeners.db.upstream: a udp listener needs an upstream; say where"),
        (f"{{{UDP}, upstream: app, via: x}}", "listeners.db.via: a udp listener knows no requests"),
        (
            f"{{{UDP}, upstream: app, limits: {{max_connections: 1}}}}",
            "db.limits.max_connections: a udp listener has sessions",
        ),
        (
            f"{{{UDP}, upstream: app, timeouts: {{keepalive: 1s}}}}",
            "db.timeouts.keepalive: a udp listener has sessions",
        ),
        (
            '{bind: "unix:/tmp/x", protocol: udp, upstream: app}',
            "listeners.db.bind: datagrams come by UDP only",
        ),
        (
            f"{{{TCP}, upstream: app, udp: {{responses: 1}}}}",
            "listeners.db.udp: only a udp listener has this",
        ),
        (
            '{bind: "127.0.0.1:1", udp: {responses: 1}}',
            "listeners.db.udp: only a udp listener has this",
        ),
    ],
)
def test_fields_that_mean_nothing_to_datagrams_are_faults(listener, says):
    (fault,) = listener_faults(listener)
    assert says in fault


def test_udp_listeners_need_no_routes():
    good = f"{{{UDP}, upstream: app, timeouts: {{idle: 5s}}, udp: {{responses: 1}}}}"
    assert listener_faults(good, routes="[]") == []


@pytest.mark.parametrize("address", ["unix:/run/app.sock", "demo:"])
def test_datagrams_go_to_addresses_only(address):
    (fault,) = faults_of(
        f"listeners: {{dns: {{{UDP}, upstream: app}}}}\n"
        f'upstreams: {{app: {{endpoints: ["127.0.0.1:9", "{address}"]}}}}\n'
    )
    assert f'upstreams.app.endpoints[1]: "{address}" takes no datagrams' in fault


def test_tcp_and_udp_have_ports_of_their_own():
    def faults(second: str) -> list[str]:
        return faults_of(
            f"listeners:\n  a: {{{UDP}, upstream: app}}\n  b: {{{second}, upstream: app}}\n"
            'upstreams: {app: {endpoints: ["127.0.0.1:9000"]}}\n'
        )

    assert faults(TCP) == []
    (fault,) = faults(UDP)
    assert "is taken already, by" in fault
