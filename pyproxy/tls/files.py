"""The files that the TLS sections of a configuration name, read into the configuration.

Done by the process that reads the configuration, and again when a file has changed; workers, which
may not be allowed to read keys, get what was read. Paths become absolute on the way.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Listener, Upstream
from pyproxy.config.section import Section
from pyproxy.config.sections_tls import (
    Certificate,
    ClientCertificates,
    FileLook,
    PairRead,
    Tls,
    TrustRead,
    UpstreamTls,
)
from pyproxy.errors import Fault

from . import pem, trust
from .look import look_of
from .names import check_names
from .pairs import FileError, Source, about, read_pair, read_trust

MAX_BYTES = 16 * 1024 * 1024
_T = TypeVar("_T", bound=Section)


class Outcome(NamedTuple):
    """The configuration with all that could be read, what could not, and what is another now."""

    config: Config
    faults: list[Fault]
    changed: list[str]


def read_files(config: Config) -> Outcome:
    """Read everything. What cannot be used is a fault, and nothing is served with faults."""
    outcome = _Reading(config).run()
    return outcome._replace(faults=sorted({*outcome.faults, *check_names(outcome.config)}))


def read_again(running: Config) -> Outcome:
    """Read again what has changed. Where something cannot be used, what is there already stays."""
    return _Reading(running, {look.path: look for look in running.files}).run()


class _Reading:
    """One run over one configuration; each file is read once.

    <known> are the files that have been read already, as they were then.
    """

    def __init__(
        self, config: Config, known: Mapping[str, FileLook] = MappingProxyType({})
    ) -> None:
        self.config = config
        self.known = known
        self.report = Report()
        self.looks: dict[str, FileLook] = {}
        self.sources: dict[str, Source] = {}
        self.read: dict[object, PairRead | TrustRead] = {}
        self.changed: list[str] = []

    def run(self) -> Outcome:
        config = self.config
        listeners = {
            name: self.listener(f"listeners.{name}", one) for name, one in config.listeners.items()
        }
        upstreams = {
            name: self.upstream(f"upstreams.{name}", one) for name, one in config.upstreams.items()
        }
        looks = tuple(self.looks[path] for path in sorted(self.looks))
        done = msgspec.structs.replace(
            config, listeners=listeners, upstreams=upstreams, files=looks
        )
        return Outcome(done, sorted(set(self.report.faults)), self.changed)

    # ---- the sections

    def listener(self, path: str, listener: Listener) -> Listener:
        if listener.tls is None:
            return listener
        path += ".tls"
        tls = listener.tls
        certificates = tuple(
            self.section(one, self.certificate, f"{path}.{where}")
            for where, one in _certificates(tls)
        )
        clients = tls.client_certificates
        if clients is not None:
            clients = self.section(clients, self.clients, f"{path}.client_certificates")
        tls = msgspec.structs.replace(
            tls,
            cert=None,
            key=None,
            passphrase="",
            certificates=certificates,
            client_certificates=clients,
            key_log=_absolute(tls, tls.key_log),
        )
        return msgspec.structs.replace(listener, tls=tls)

    def upstream(self, path: str, upstream: Upstream) -> Upstream:
        if not upstream.tls:
            return msgspec.structs.replace(upstream, tls=None)
        tls = upstream.tls
        if not isinstance(tls, UpstreamTls):
            tls = UpstreamTls(place=upstream.place.find("tls"))
        return msgspec.structs.replace(upstream, tls=self.section(tls, self.towards, path + ".tls"))

    def section(self, section: _T, read: Callable[[_T], _T], path: str) -> _T:
        """Let <read> fill a section, which stays as it is when that is not possible."""
        paths = _paths(section)
        if self.known and all(path in self.known for path in paths):
            looks = [look_of(path) for path in paths]
            if all(look == self.known[look.path] for look in looks):
                self.looks.update((look.path, look) for look in looks)
                return section
        try:
            filled = read(section)
        except FileError as error:
            what = "" if _is_secret(section, error.field) else error.field
            self.report.refuse(section, what, error, path=path)
            # What is served is that of these files as they were.
            self.looks.update((p, self.known[p]) for p in paths if p in self.known)
            return section
        if filled != section:
            self.changed.append(path)
        return filled

    def certificate(self, section: Certificate) -> Certificate:
        return msgspec.structs.replace(
            section,
            cert=_absolute(section, section.cert),
            key=_absolute(section, section.key),
            ocsp=_absolute(section, section.ocsp),
            read=self.pair(section, section.ocsp),
        )

    def clients(self, section: ClientCertificates) -> ClientCertificates:
        read = self.trust(section)
        return msgspec.structs.replace(section, ca=_absolute(section, section.ca), read=read)

    def towards(self, section: UpstreamTls) -> UpstreamTls:
        ca = _absolute(section, section.ca)
        read: TrustRead | None = None
        if section.verify and not ca:
            read = self.system()
        elif section.verify and os.path.isdir(ca):
            with about("ca"):
                read = trust.folder(ca)
        elif section.verify:
            read = self.trust(section)
        pair = self.pair(section) if section.cert else None
        return msgspec.structs.replace(
            section,
            ca=ca,
            cert=_absolute(section, section.cert),
            key=_absolute(section, section.key),
            key_log=_absolute(section, section.key_log),
            read=read,
            pair=pair,
        )

    # ---- what they name

    def pair(self, section: Certificate | UpstreamTls, ocsp: str = "") -> PairRead:
        cert = self.source(section, "cert", section.cert)
        key = self.source(section, "key", section.key) if section.key else None
        staple = self.source(section, "ocsp", ocsp) if ocsp else None
        which = ("pair", cert, key, section.passphrase, staple)
        found = self.read.get(which)
        if found is None:
            found = self.read[which] = read_pair(cert, key, section.passphrase, staple)
        assert isinstance(found, PairRead)
        return found

    def trust(self, section: ClientCertificates | UpstreamTls) -> TrustRead:
        ca = self.source(section, "ca", section.ca)
        found = self.read.get(("trust", ca))
        if found is None:
            with about("ca"):
                found = self.read["trust", ca] = read_trust(ca)
        assert isinstance(found, TrustRead)
        return found

    def system(self) -> TrustRead:
        found = self.read.get("system")
        if found is None:
            with about("ca"):
                found = self.read["system"] = trust.system()
        assert isinstance(found, TrustRead)
        return found

    def source(self, section: Section, field: str, value: str) -> Source:
        """The bytes that a field stands for."""
        if pem.is_text(value):
            return Source(value.encode(), f'the text of "{field}"')
        with about(field):
            if _is_secret(section, field):
                raise ValueError(f'the secret of "{field}" is not PEM; it must have a -----BEGIN')
            path = _absolute(section, value)
            if path not in self.sources:
                self.sources[path] = Source(self.bytes_of(path), path)
            return self.sources[path]

    def bytes_of(self, path: str) -> bytes:
        """The content of a file, and note when that was: before it is read."""
        self.looks[path] = look_of(path)
        try:
            with open(path, "rb", opener=_open_file) as stream:
                data = stream.read(MAX_BYTES + 1)
        except PermissionError:
            who = f"uid {os.geteuid()}"
            raise ValueError(
                f"{path} may not be read by {who}; change its owner or its mode"
            ) from None
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist; name an existing file") from None
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) > MAX_BYTES:
            raise ValueError(f"{path} is larger than 16 MiB; name the right file")
        return data


def _open_file(path: str, flags: int) -> int:
    """Open what is a file: a pipe would wait for its writer."""
    fd = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise ValueError(f"{path} is not a file; name a file")


def _certificates(tls: Tls) -> list[tuple[str, Certificate]]:
    """All certificates of a listener, with their places; the short form is one of them."""
    if tls.cert is None:
        return [(f"certificates[{i}]", one) for i, one in enumerate(tls.certificates)]
    one = Certificate(place=tls.place, cert=tls.cert, key=tls.key or "", passphrase=tls.passphrase)
    return [("certificates[0]", one)]


def _absolute(section: Section, value: str) -> str:
    """A path that does not depend on where somebody stands; what is no path stays."""
    if not value or pem.is_text(value) or value.startswith("/"):
        return value
    file = section.place.file
    folder = Path(file).parent if file not in ("", "-") else Path()
    return os.path.abspath(folder / value)


def _paths(section: Section) -> list[str]:
    """The files that a section names, once its paths are absolute."""
    values = [str(getattr(section, field, "")) for field in ("cert", "key", "ocsp", "ca")]
    return [value for value in values if value.startswith("/")]


def _is_secret(section: Section, field: str) -> bool:
    return section.place.find(field).secret
