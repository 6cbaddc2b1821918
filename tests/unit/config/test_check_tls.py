"""Rules of the TLS sections that need no file."""

from __future__ import annotations

import pytest

from pyproxy.config.load import inspect_texts

PAIR = "cert: a.crt, key: a.key"


def messages(tls: str = "", upstream: str = "") -> list[str]:
    text = "listeners: {web: {bind: '127.0.0.1:0'"
    text += f", tls: {{{tls}}}" if tls else ""
    text += "}}\nupstreams: {app: {endpoints: '127.0.0.1:1'"
    text += f", tls: {{{upstream}}}" if upstream else ""
    text += "}}\nroutes: [{upstream: app}]\n"
    return [str(fault) for fault in inspect_texts([("f.yaml", text)]).faults]


@pytest.mark.parametrize(
    "tls",
    [
        PAIR,
        f"certificates: {{{PAIR}}}",
        "certificates: [a.pem, b.pem]",
        f"{PAIR}, min_version: 1.3, alpn: [http/1.1]",
        f"{PAIR}, client_certificates: ca.pem",
        f"{PAIR}, client_certificates: {{ca: ca.pem, mode: optional}}",
        f"{PAIR}, ciphers: ECDHE+AESGCM, ciphersuites: TLS_AES_128_GCM_SHA256, groups: X25519",
        "certificates: {cert: a.pem, hosts: ['*.a.example', b.example]}",
    ],
)
def test_these_listeners_are_sound(tls) -> None:
    assert messages(tls) == []


@pytest.mark.parametrize(
    "upstream",
    [
        "verify: off",
        "ca: ca.pem, server_name: app.internal",
        "server_name: '::1'",
        "cert: a.pem",
        PAIR,
    ],
)
def test_these_upstreams_are_sound(upstream) -> None:
    assert messages(upstream=upstream) == []


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ("min_version: 1.2", 'tls: TLS needs a certificate; add one, such as "cert: a.crt"'),
        (f"{PAIR}, certificates: a.pem", 'tls.cert: "cert" is short for a list of one'),
        ("certificates: a.pem, key: a.key", 'tls.key: "key" belongs to "cert"'),
        ("certificates: a.pem, passphrase: x", 'tls.passphrase: "passphrase" belongs to "cert"'),
        (
            "certificates: {cert: a.pem, hosts: [1.2.3.4]}",
            'tls.certificates.hosts[0]: "1.2.3.4" is an address',
        ),
        (f"{PAIR}, min_version: 1.3, max_version: 1.2", "tls.max_version: no version is between"),
        (f"{PAIR}, min_version: 1.1", 'tls.min_version: "1.1" is not allowed here'),
        (f"{PAIR}, ciphers: HIGH:NONSENSE", 'tls.ciphers: OpenSSL knows no cipher "NONSENSE"'),
        (
            f"{PAIR}, ciphers: TLS_AES_128_GCM_SHA256",
            'of TLS 1.2; those of TLS 1.3 stand in "ciphersuites"',
        ),
        (f"{PAIR}, ciphers: 'ECDHE:!ECDHE'", "tls.ciphers: no cipher is left"),
        (f"{PAIR}, ciphersuites: TLS_X", 'tls.ciphersuites: OpenSSL knows no cipher suite "TLS_X"'),
        (f"{PAIR}, groups: P-255", 'tls.groups: OpenSSL knows no group "P-255"; did you mean'),
        (f"{PAIR}, alpn: [h3]", 'tls.alpn[0]: an http listener does not speak "h3"'),
    ],
)
def test_faults_of_listeners(tls, message) -> None:
    (fault,) = messages(tls)
    assert message in fault


@pytest.mark.parametrize(
    ("upstream", "message"),
    [
        ("key: a.key", 'tls.key: "key" belongs to "cert", which is not there; add "cert"'),
        ("ca: a.pem, verify: off", "tls.ca: with verify: off nobody asks who has signed"),
        ("server_name: a/b", 'tls.server_name: "a/b" is no host name and no address'),
        ("groups: nonsense", 'tls.groups: OpenSSL knows no group "nonsense"'),
    ],
)
def test_faults_of_upstreams(upstream, message) -> None:
    (fault,) = messages(upstream=upstream)
    assert message in fault


@pytest.mark.parametrize(
    ("endpoint", "tls", "message"),
    [
        ("demo:", "verify: off", "the demonstration origin does not speak TLS"),
        ("unix:/run/app.sock", "min_version: 1.3", "a unix socket has no name"),
        ("unix:/run/app.sock", "verify: off", ""),
        ("unix:/run/app.sock", "server_name: app", ""),
    ],
)
def test_endpoints_must_have_a_name_to_verify(endpoint, tls, message) -> None:
    text = f"""
listeners: {{web: {{bind: '127.0.0.1:0'}}}}
upstreams: {{app: {{endpoints: ['{endpoint}'], tls: {{{tls}}}}}}}
routes: [{{upstream: app}}]
"""
    faults = [str(fault) for fault in inspect_texts([("f.yaml", text)]).faults]
    assert [message in fault for fault in faults] == [True] * bool(message)


def tunnel_faults(listener: str, upstream: str, to: str = "app") -> list[str]:
    text = f"""
listeners: {{db: {{bind: '127.0.0.1:0', protocol: tcp, upstream: {to}{listener}}}}}
upstreams:
  app: {{endpoints: '127.0.0.1:1'{upstream}}}
  plain: {{endpoints: '127.0.0.1:2'}}
"""
    return [str(fault) for fault in inspect_texts([("f.yaml", text)]).faults]


def test_a_tunnel_may_speak_tls_to_its_endpoints() -> None:
    assert tunnel_faults("", ", tls: {verify: off}") == []


def test_tls_that_is_passed_on_is_not_encrypted_again() -> None:
    (fault,) = tunnel_faults(", sni: {a.example: app}", ", tls: {verify: off}", "plain")
    assert 'listeners.db.sni."a.example": "app" has `tls`, and TLS connections go there' in fault
    opened = tunnel_faults(f", sni: {{a.example: app}}, tls: {{{PAIR}}}", ", tls: {verify: off}")
    assert not [fault for fault in opened if "sni" in fault]


def test_nor_is_tls_for_names_that_no_one_lists() -> None:
    """`upstream` of such a listener gets all other TLS connections as they are."""
    (fault,) = tunnel_faults(", sni: {a.example: plain}", ", tls: {verify: off}")
    assert "f.yaml:2:" in fault
    assert 'listeners.db.upstream: "app" has `tls`, and TLS connections go there' in fault
    assert "name an upstream without it, or give the listener `tls`" in fault


def test_a_tunnel_may_speak_tls_to_clients_who_have_a_time_for_it() -> None:
    listener = f", tls: {{{PAIR}}}, timeouts: {{header: 5s}}"
    assert not [fault for fault in tunnel_faults(listener, "") if "does not exist" not in fault]
    (fault,) = tunnel_faults(", timeouts: {header: 5s}", "")
    assert "listeners.db.timeouts.header: a tcp listener knows no requests" in fault
