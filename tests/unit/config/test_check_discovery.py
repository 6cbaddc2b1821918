"""Sources of endpoints as the file writes them."""

import pytest

from pyproxy.config.check_discovery import server_of
from pyproxy.config.load import inspect_texts

REST = "listeners: {web: {bind: '127.0.0.1:8080'}}\nroutes: [{upstream: app}]\n"


def faults(upstream, monkeypatch=None):
    loaded = inspect_texts([("/etc/pyproxy/p.yaml", f"{REST}upstreams: {{app: {upstream}}}\n")])
    return loaded, [f"{fault.path}: {fault.message}; {fault.cure}" for fault in loaded.faults]


@pytest.mark.parametrize(
    "upstream",
    [
        "{discover: {dns: {name: app.internal, port: 9000}}}",
        "{discover: {dns: {name: _http._tcp.app.internal, type: srv, servers: '10.0.0.2'}}}",
        "{endpoints: '10.0.0.1:80', discover: {file: more.yaml}}",
        "{discover: {file: {path: /run/app.json}}}",
    ],
)
def test_sound_sources(upstream):
    assert faults(upstream)[1] == []


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ("{}", 'upstreams.app: "endpoints" is missing; add it, or discover'),
        ("{endpoints: []}", "upstreams.app.endpoints: this list is too short; it needs at least 1"),
        (
            "{discover: {}}",
            "upstreams.app.discover: there must be one source: dns, file or plugin; ",
        ),
        (
            "{discover: {file: a.yaml, plugin: b}}",
            "upstreams.app.discover: there must be one source: dns, file or plugin; ",
        ),
        (
            "{discover: {dns: {name: app.internal}}}",
            'upstreams.app.discover.dns: "port" is missing; add it, or ask for type: srv; ',
        ),
        (
            "{discover: {dns: {name: app.internal, type: srv, port: 80}}}",
            "upstreams.app.discover.dns: SRV records tell the port; remove it; ",
        ),
        (
            "{discover: {dns: {name: app.internal, port: 80, min_ttl: 1m, max_ttl: 1s}}}",
            "upstreams.app.discover.dns: min_ttl is longer than max_ttl; ",
        ),
        (
            "{discover: {dns: {name: 'a b', port: 80}}}",
            (
                'upstreams.app.discover.dns.name: "a b" is not a host name; '
                "write a name such as app.internal"
            ),
        ),
        (
            "{discover: {dns: {name: a.b, port: 80, servers: [10.0.0.2, ns.test]}}}",
            (
                'upstreams.app.discover.dns.servers[1]: "ns.test" is not an address; '
                "write one such as 10.0.0.2 or 10.0.0.2:53"
            ),
        ),
        (
            "{discover: {plugin: consul}}",
            (
                "upstreams.app.discover.plugin: no installed package announces the source "
                '"consul"; install the package that brings it'
            ),
        ),
    ],
)
def test_faults_and_their_cures(upstream, said):
    assert faults(upstream)[1] == [said]


def test_without_dnspython_the_fault_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    _, said = faults("{discover: {dns: {name: app.internal, port: 9000}}}")
    assert said == [
        (
            "upstreams.app.discover.dns: asking name servers needs dnspython; "
            "pip install 'pyproxy[dns]'"
        )
    ]


def test_files_are_relative_to_the_configuration():
    loaded, _ = faults("{discover: {file: more/a.yaml}}")
    assert loaded.config.upstreams["app"].discover.file.path == "/etc/pyproxy/more/a.yaml"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("fd00::2", ("fd00::2", 53)),
        ("[fd00::2]", ("fd00::2", 53)),
        ("[fd00::2]:5353", ("fd00::2", 5353)),
    ],
)
def test_addresses_of_name_servers(text, where):
    assert server_of(text) == where
