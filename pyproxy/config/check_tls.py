"""Rules of the TLS sections that need no file; those that do are in `pyproxy.tls`."""

from __future__ import annotations

from pyproxy.config.addresses import DEMO
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Upstream
from pyproxy.config.sections_tls import Certificate, Tls, UpstreamTls

_HTTP_ALPN = ("h2", "http/1.1")
_MAX_ALPN_BYTES = 255


def check_tls(config: Config, report: Report) -> None:
    """All rules of this kind."""
    for name, listener in config.listeners.items():
        if listener.tls is not None:
            _check_listener(listener.tls, f"listeners.{name}.tls", listener.protocol, report)
    for name, upstream in config.upstreams.items():
        if isinstance(upstream.tls, UpstreamTls):
            _check_upstream(upstream.tls, f"upstreams.{name}.tls", report)
        if upstream.tls:
            _check_endpoints(upstream, f"upstreams.{name}", report)
    _check_tunnels(config, report)


def _check_tunnels(config: Config, report: Report) -> None:
    """Nobody expects TLS in TLS, which is what clients chosen by their hello would get."""
    for name, listener in config.listeners.items():
        if listener.protocol != "tcp" or listener.tls is not None or not listener.sni:
            continue
        targets: list[tuple[str | tuple[str, ...], str | None]] = [("upstream", listener.upstream)]
        targets += [(("sni", server_name), target) for server_name, target in listener.sni.items()]
        for key, target in targets:
            upstream = config.upstreams.get(target or "")
            if upstream is not None and upstream.tls:
                message = f'"{target}" has `tls`, and TLS connections go there as they are'
                cure = "name an upstream without it, or give the listener `tls`"
                report.add(listener, key, message, cure, path=f"listeners.{name}")


def _check_listener(tls: Tls, path: str, protocol: str, report: Report) -> None:
    if tls.cert is None and not tls.certificates:
        if not report.written(tls, "certificates") and not report.written(tls, "cert"):
            cure = 'add one, such as "cert: a.crt" and "key: a.key"'
            report.add(tls, "", "TLS needs a certificate", cure, path=path)
    elif tls.cert is not None and tls.certificates:
        message = '"cert" is short for a list of one, and there is "certificates" as well'
        report.add(tls, "cert", message, "put it into the list", path=path)
    for field in ("key", "passphrase"):
        if tls.cert is None and getattr(tls, field):
            message = f'"{field}" belongs to "cert", which is not there'
            report.add(tls, field, message, "put it beside the certificate", path=path)
    for i, certificate in enumerate(tls.certificates):
        _check_hosts(certificate, f"{path}.certificates[{i}]", report)
    _check_alpn(tls, path, protocol, report)
    _check_protocol(tls, path, report)


def _check_hosts(certificate: Certificate, path: str, report: Report) -> None:
    from pyproxy.tls.names import host_fault

    for i, host in enumerate(certificate.hosts):
        fault = host_fault(host)
        if fault:
            report.refuse(certificate, ("hosts", i), ValueError(fault), path=path)


def _check_alpn(tls: Tls, path: str, protocol: str, report: Report) -> None:
    for i, name in enumerate(tls.alpn or ()):
        if protocol == "http" and name not in _HTTP_ALPN:
            message = f'an http listener does not speak "{name}"'
            report.add(tls, ("alpn", i), message, "write h2 or http/1.1", path=path)
        elif not 0 < len(name.encode()) <= _MAX_ALPN_BYTES:
            message = "the name of a protocol has 1 to 255 bytes"
            report.add(tls, ("alpn", i), message, "write another", path=path)


def _check_upstream(tls: UpstreamTls, path: str, report: Report) -> None:
    for field in ("key", "passphrase"):
        if not tls.cert and getattr(tls, field):
            message = f'"{field}" belongs to "cert", which is not there'
            report.add(tls, field, message, 'add "cert"', path=path)
    if tls.ca and not tls.verify:
        message = "with verify: off nobody asks who has signed"
        report.add(tls, "ca", message, "remove one of them", path=path)
    if tls.server_name:
        _check_server_name(tls, path, report)
    _check_protocol(tls, path, report)


def _check_endpoints(upstream: Upstream, path: str, report: Report) -> None:
    named = isinstance(upstream.tls, UpstreamTls) and (
        upstream.tls.server_name or not upstream.tls.verify
    )
    for i, endpoint in enumerate(upstream.endpoints):
        here = f"{path}.endpoints[{i}]"
        if endpoint.address == DEMO:
            message = "the demonstration origin does not speak TLS"
            report.add(endpoint, "address", message, "remove `tls`", path=here)
        elif endpoint.address.startswith("unix:") and not named:
            message = "a unix socket has no name that could be verified"
            report.add(endpoint, "address", message, "give `tls.server_name`", path=here)


def _check_server_name(tls: UpstreamTls, path: str, report: Report) -> None:
    from pyproxy.tls.names import is_address, is_host

    if not is_host(tls.server_name) and not is_address(tls.server_name):
        message = f'"{tls.server_name}" is no host name and no address'
        report.add(tls, "server_name", message, "write a name such as app.internal", path=path)


def _check_protocol(tls: Tls | UpstreamTls, path: str, report: Report) -> None:
    if tls.min_version > tls.max_version:
        message = f"no version is between {tls.min_version} and {tls.max_version}"
        report.add(tls, "max_version", message, "raise it", path=path)
    if not (tls.ciphers or tls.ciphersuites or tls.groups):
        return  # OpenSSL need not be asked, nor loaded
    from pyproxy.tls import words

    if tls.ciphers:
        word = words.unknown_cipher(tls.ciphers)
        if word:
            cure = "`openssl ciphers -v ALL` lists them"
            if word.startswith("TLS_"):
                cure = 'those of TLS 1.3 stand in "ciphersuites"'
            message = f'OpenSSL knows no cipher "{word}" of TLS 1.2'
            report.add(tls, "ciphers", message, cure, path=path)
        elif words.leaves_nothing(tls.ciphers):
            message = "no cipher is left in this list"
            report.add(tls, "ciphers", message, "name one that may be used", path=path)
    if tls.ciphersuites:
        word = words.unknown_ciphersuite(tls.ciphersuites)
        if word:
            message = f'OpenSSL knows no cipher suite "{word}" of TLS 1.3'
            cure = "such as TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
            report.add(tls, "ciphersuites", message, cure, path=path)
    if tls.groups:
        word = words.unknown_group(tls.groups)
        if word:
            message = f'OpenSSL knows no group "{word}"'
            report.add(tls, "groups", message, words.cure_of_group(word), path=path)
