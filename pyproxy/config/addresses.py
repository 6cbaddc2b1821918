"""Addresses as the file writes them, taken apart.

ValueErrors have the form `what is wrong; the cure`.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

DEMO = "demo:"
_MAX_UNIX_PATH = 107
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


class Address(NamedTuple):
    """`kind` is inet, inet6, name (a host to resolve), unix, fd or demo.

    What the kind does not use is empty.

    `host` is without brackets; `path` is a socket's path, or the name of a passed-in descriptor.
    """

    kind: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def text(self) -> str:
        """One spelling for each address: how equal ones are found, and what the engine takes."""
        if self.kind == "inet6":
            return f"[{self.host}]:{self.port}"
        if self.kind in ("unix", "fd"):
            return f"{self.kind}:{self.path}"
        return DEMO if self.kind == "demo" else f"{self.host}:{self.port}"


def parse_bind(text: str) -> Address:
    """An address to listen on: numeric, unix or fd; port 0 asks for a free one."""
    if text.startswith("fd:"):
        if not re.fullmatch(r"fd:[A-Za-z0-9_.-]+", text):
            raise ValueError(
                f'"{text}" names no descriptor; write fd:NAME, a name of LISTEN_FDNAMES'
            )
        return Address("fd", path=text[3:])
    if text.startswith("unix:"):
        return _unix(text)
    if re.fullmatch(r":?\d+", text):
        port = text.lstrip(":")
        raise ValueError(
            f'"{text}" has no host; write 0.0.0.0:{port} for all of IPv4, [::]:{port} for IPv6'
        )
    address = _host_port(text, least=0)
    if address.kind == "name":
        cure = (
            f"127.0.0.1:{address.port}"
            if address.host == "localhost"
            else f"0.0.0.0:{address.port}"
        )
        raise ValueError(f'"{text}" is not a numeric address; write one such as {cure}')
    return address


def parse_endpoint(text: str) -> Address:
    """An address to connect to; a host name is left to be resolved."""
    if text == DEMO:
        return Address("demo")
    if text.startswith("unix:"):
        if not text.startswith("unix:/") and text != "unix:":
            raise ValueError(f'"{text}" is not absolute; write unix:/run/app.sock')
        return _unix(text)
    if "://" in text:
        rest = text.partition("://")[2].partition("/")[0]
        raise ValueError(
            f'"{text}" is a URL; write host and port only, such as {rest or "127.0.0.1:9000"}'
        )
    return _host_port(text, least=1)


def host_of(endpoint: str) -> str:
    """The host name in an endpoint's address; empty when it is numeric or none."""
    address = parse_endpoint(endpoint)
    return address.host.rstrip(".") if address.kind == "name" else ""


def _unix(text: str) -> Address:
    path = text.removeprefix("unix:")
    if not path or "\0" in path:
        raise ValueError(f'"{text}" has no path; write unix:/run/app.sock')
    if len(path.encode()) > _MAX_UNIX_PATH:
        raise ValueError(
            f"the path of a unix socket has at most {_MAX_UNIX_PATH} bytes; choose a shorter one"
        )
    return Address("unix", path=path)


def _host_port(text: str, *, least: int) -> Address:
    host, colon, port_text = text.rpartition(":")
    if text.count(":") > 1 and not text.startswith("["):
        raise ValueError(f'"{text}" is ambiguous; write an IPv6 address in brackets: [::1]:8080')
    if text.endswith("]") or not colon:
        raise ValueError(
            f'"{text}" has no port; write host:port, such as {text or "127.0.0.1"}:8080'
        )
    if not re.fullmatch(r"[0-9]{1,5}", port_text) or not least <= int(port_text) <= 65_535:
        raise ValueError(f'"{port_text}" is not a port; write a number from {least} to 65535')
    port = int(port_text)
    if host.startswith("[") and host.endswith("]"):
        return Address("inet6", _numeric(socket.AF_INET6, host[1:-1], text), port)
    if re.fullmatch(r"[0-9.]+", host):
        return Address("inet", _numeric(socket.AF_INET, host, text), port)
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError(f'"{host}" is not a host name; write host:port, such as 127.0.0.1:8080')
    return Address("name", host.lower(), port)


def _numeric(family: int, host: str, text: str) -> str:
    """The canonical spelling of a numeric address."""
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host))
    except OSError:
        noun = "IPv4" if family == socket.AF_INET else "IPv6"
        raise ValueError(
            f'"{text}" does not hold a valid {noun} address; such as 127.0.0.1:80 or [::1]:80'
        ) from None
