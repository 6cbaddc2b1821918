"""The certificates that a configuration holds once its files have been read.

For those who show them: no file is read here, and no library is needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

from pyproxy.config.model import Config
from pyproxy.config.section import Section
from pyproxy.config.sections_tls import Certificate, CertificateFacts, PairRead, Tls, UpstreamTls

_DAY = 86_400
_T = TypeVar("_T")


class Held(NamedTuple):
    """A certificate in its place: <owner> is `listener` or `upstream`, <name> the name of that.

    <use> is `server`, `client` (shown to endpoints) or `ca` (verifies others); <path> leads to its
    section.
    """

    owner: str
    name: str
    use: str
    path: str
    section: Section
    facts: CertificateFacts
    remarks: tuple[str, ...] = ()


def without_keys(config: Config) -> Config:
    """The same for those who only show it."""
    listeners = {
        name: msgspec.structs.replace(listener, tls=_keyless(listener.tls))
        for name, listener in config.listeners.items()
    }
    upstreams = {
        name: msgspec.structs.replace(upstream, tls=_keyless(upstream.tls))
        for name, upstream in config.upstreams.items()
    }
    return msgspec.structs.replace(config, listeners=listeners, upstreams=upstreams)


def _keyless(section: _T) -> _T:
    if isinstance(section, Tls):
        certificates = tuple(_keyless(one) for one in section.certificates)
        return msgspec.structs.replace(section, certificates=certificates)
    if isinstance(section, Certificate):
        return msgspec.structs.replace(section, key="", passphrase="", read=_closed(section.read))
    if isinstance(section, UpstreamTls):
        return msgspec.structs.replace(section, key="", passphrase="", pair=_closed(section.pair))
    return section


def _closed(pair: PairRead | None) -> PairRead | None:
    return pair and msgspec.structs.replace(pair, key=b"")


def part_of(config: Config, running: Config) -> Config:
    """Of a configuration with other files only the listeners in which it differs from <running>."""
    changed = {
        name: listener
        for name, listener in config.listeners.items()
        if listener != running.listeners[name]
    }
    return msgspec.structs.replace(config, listeners=changed, upstreams={}, filters=(), routes=())


def with_part(config: Config, part: Config) -> Config:
    """A configuration with what `part_of` has found."""
    listeners = {**config.listeners, **part.listeners}
    return msgspec.structs.replace(config, listeners=listeners, files=part.files)


def rows_of(config: Config, now: float) -> list[dict[str, Any]]:
    """Every certificate as JSON has it."""
    return [
        {
            held.owner: held.name,
            "use": held.use,
            "path": held.path,
            "file": file_of(held),
            **msgspec.structs.asdict(held.facts),
            "days_left": round((held.facts.not_after - now) / _DAY, 2),
            "remarks": remarks_of(held, now),
        }
        for held in certificates_of(config)
    ]


def names_files(config: Config) -> bool:
    """Are there files to read beside the configuration?"""
    return any(listener.tls for listener in config.listeners.values()) or any(
        upstream.tls for upstream in config.upstreams.values()
    )


def certificates_of(config: Config) -> Iterator[Held]:
    """Every certificate that is held, those of the system's authorities left out."""
    for name, listener in config.listeners.items():
        tls, path = listener.tls, f"listeners.{name}.tls"
        if tls is None:
            continue
        for i, certificate in enumerate(tls.certificates):
            if certificate.read is not None:
                read, here = certificate.read, f"{path}.certificates[{i}]"
                yield Held("listener", name, "server", here, certificate, read.facts, read.remarks)
        clients = tls.client_certificates
        for facts in clients.read.facts if clients and clients.read else ():
            assert clients is not None
            yield Held("listener", name, "ca", f"{path}.client_certificates", clients, facts)
    for name, upstream in config.upstreams.items():
        towards, path = upstream.tls, f"upstreams.{name}.tls"
        if not isinstance(towards, UpstreamTls):
            continue
        if towards.pair is not None:
            read = towards.pair
            yield Held("upstream", name, "client", path, towards, read.facts, read.remarks)
        for facts in towards.read.facts if towards.read else ():
            yield Held("upstream", name, "ca", path, towards, facts)


def remarks_of(held: Held, now: float) -> list[str]:
    """What is wrong with it and does not keep it from being used: `what; the cure`."""
    age = age_remark(held.facts, now)
    title = f'the certificate "{title_of(held.facts)}"'
    return ([f"{title} {age}"] if age else []) + list(held.remarks)


def title_of(facts: CertificateFacts) -> str:
    """What people call a certificate."""
    return facts.names[0] if facts.names else facts.subject or "without a name"


def file_of(held: Held) -> str:
    """The file it was read from; empty when it stands in the configuration itself."""
    section, field = held.section, "ca" if held.use == "ca" else "cert"
    value = str(getattr(section, field, ""))
    return "" if "-----BEGIN " in value else value


def age_remark(said: CertificateFacts, now: float) -> str:
    """What is wrong with the dates of a certificate; empty when it is valid."""
    if now >= said.not_after:
        return f"has expired {_ago(now - said.not_after)}, on {_date(said.not_after)}; renew it"
    if now < said.not_before:
        days = (said.not_before - now) / _DAY
        return (
            f"is not valid before {_date(said.not_before)}, in {days:.1f} days; is the clock right?"
        )
    return ""


def days_left(facts: CertificateFacts, now: float) -> str:
    """`89 days left`, `3 hours left`, `expired`."""
    seconds = facts.not_after - now
    if seconds <= 0:
        return "expired"
    count, unit = (seconds / _DAY, "day") if seconds >= 2 * _DAY else (seconds / 3600, "hour")
    return f"{count:.0f} {unit}{'' if round(count) == 1 else 's'} left"


def _ago(seconds: float) -> str:
    days = int(seconds // _DAY)
    return f"{days} day{'' if days == 1 else 's'} ago" if days else "today"


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
