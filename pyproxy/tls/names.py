"""Which certificate for which name. No library is needed."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import NamedTuple

from pyproxy.config.faults import Report
from pyproxy.config.model import Config
from pyproxy.config.sections_tls import Certificate, PairRead
from pyproxy.errors import Fault
from pyproxy.tls.forwarded import by

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})")
_MAX_NAME = 253
# A tenth of a millisecond.
_IN_A_STEP = 32


class Choice(NamedTuple):
    """What the engine takes (`ListenerTls.add`)."""

    names: list[str]
    pairs: list[tuple[bytes, bytes, bytes]]
    by: str


def is_host(name: str) -> bool:
    """A host name in the form that goes over the wire (A-labels)."""
    labels = name.split(".")
    known = all(_LABEL.fullmatch(label) for label in labels)
    return known and len(name) <= _MAX_NAME and not labels[-1].isdigit()


def is_address(text: str) -> bool:
    """An IP address, without brackets."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def host_fault(name: str) -> str:
    """Why no client can ask for a name; empty when one can. `what; the cure`."""
    if is_address(name):
        return f'"{name}" is an address, and nobody asks for one by name; remove it'
    if not is_host(name.removeprefix("*.")):
        return f'"{name}" is no host name; write one such as www.example.com or *.example.com'
    return ""


def key_kind(pair: PairRead) -> str:
    """RSA, ECDSA, Ed25519: of each a server has one for a name."""
    return pair.facts.key_kind.partition(" ")[0]


def choice_steps(certificates: tuple[Certificate, ...]) -> Iterator[Choice | None]:
    """What is chosen by name, the default first; None where a caller may do something else.

    Certificates of different kinds of keys for one name stand together: the client's abilities
    decide. All have been read.
    """
    by_name: dict[str, dict[str, int]] = {}
    for i, certificate in enumerate(certificates):
        pair = _pair(certificate)
        for name in certificate.names or ("",):
            by_name.setdefault(name, {}).setdefault(key_kind(pair), i)
        if i % _IN_A_STEP == _IN_A_STEP - 1:
            yield None
    groups: dict[tuple[int, ...], list[str]] = {}
    for i, (name, members) in enumerate(by_name.items()):
        groups.setdefault(tuple(members.values()), []).append(name)
        if i % _IN_A_STEP == _IN_A_STEP - 1:
            yield None
    # Whoever asks for no name that we have gets the first certificate, and those beside it.
    default = max((g for g in groups if g[0] == 0), key=len, default=(0,))
    groups = {default: groups.pop(default, []), **groups}
    for chosen, names in groups.items():
        yield Choice(
            [name for name in names if name],
            [_bytes(certificates[i]) for i in chosen],
            by(dict.fromkeys(uri for i in chosen for uri in _pair(certificates[i]).facts.uris)),
        )


def _pair(certificate: Certificate) -> PairRead:
    assert certificate.read is not None
    return certificate.read


def _bytes(certificate: Certificate) -> tuple[bytes, bytes, bytes]:
    pair = _pair(certificate)
    return pair.chain, pair.key, pair.ocsp


def check_names(config: Config) -> list[Fault]:
    """Certificates that can never be chosen, because another has the same name and kind of key."""
    report = Report()
    for listener_name, listener in config.listeners.items():
        taken: dict[tuple[str, str], int] = {}
        for i, certificate in enumerate(listener.tls.certificates if listener.tls else ()):
            if certificate.read is None:
                continue
            kind = key_kind(certificate.read)
            for name in certificate.names:
                first = taken.setdefault((name, kind), i)
                if first != i:
                    message = f'certificates[{first}] is for "{name}" already, with {kind} as well'
                    cure = "remove one of them, or say with `hosts` which names each is for"
                    path = f"listeners.{listener_name}.tls.certificates[{i}]"
                    report.add(certificate, "", message, cure, path=path)
                    break
    return report.faults
