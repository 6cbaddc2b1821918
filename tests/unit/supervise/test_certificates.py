"""Certificates that change on disk: when they are read again, and what is told."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyproxy.config.load import loads
from pyproxy.supervise.certificates import CertificateWatch
from pyproxy.tls.files import read_again
from testenv.certificates import certificates

PKI = certificates()
TEXT = """
listeners: {{web: {{bind: "127.0.0.1:0", tls: {{cert: {0}/tls.crt, key: {0}/tls.key}}}}}}
routes: [{{respond: {{}}}}]
"""


class Bench:
    """A supervisor as far as the watch knows one; a tick is a look."""

    def __init__(self, folder: Path) -> None:
        PKI.server.copy(folder)
        self.folder = folder
        self.now = 100.0
        self.counted: list[str] = []
        self.reads = 0
        self.phase = "running"
        self.upgrade = SimpleNamespace(active=False)
        self.reload = SimpleNamespace(active=False, refresh=self.refresh)
        self.reactor = SimpleNamespace(clock=lambda: self.now, call_later=self.call_later)
        counters = SimpleNamespace(count=self.counted.append)
        self.service = SimpleNamespace(config=loads(TEXT.format(folder)), counters=counters)
        self.watch = CertificateWatch(self)  # type: ignore[arg-type]
        self.watch.begin()

    def call_later(self, seconds, call) -> None:
        self.next = (seconds, call)

    def refresh(self, asker) -> None:
        """What the loader and the workers do, at once."""
        self.reads += 1
        outcome = read_again(self.service.config)
        if outcome.changed:
            self.service.config = outcome.config
        asker.done(True, changed=outcome.changed, faults=[list(f) for f in outcome.faults])

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            seconds, call = self.next
            self.now += seconds
            call()

    @property
    def served(self) -> str:
        return self.service.config.listeners["web"].tls.certificates[0].read.facts.fingerprint


@pytest.fixture
def bench(tmp_path, caplog) -> Bench:
    caplog.set_level(logging.INFO)
    return Bench(tmp_path)


def test_nothing_is_read_while_nothing_changes(bench) -> None:
    bench.tick(50)
    assert bench.reads == 0


def test_a_new_pair_is_served_after_the_next_look(bench) -> None:
    PKI.server_rsa.copy(bench.folder)
    bench.tick()
    assert bench.served == PKI.server_rsa.fingerprint
    assert bench.counted == ["certificate_reloads_total"]
    bench.tick(50)
    assert bench.reads == 1


def test_a_pair_that_is_renamed_into_place_is_seen(bench) -> None:
    new = bench.folder / "new"
    new.mkdir()
    pair = PKI.other.copy(new)
    pair.key.replace(bench.folder / "tls.key")
    pair.cert.replace(bench.folder / "tls.crt")
    bench.tick()
    assert bench.served == PKI.other.fingerprint


def test_a_link_above_the_files_may_be_swapped(tmp_path, caplog) -> None:
    # As Kubernetes mounts secrets: tls.crt -> ..data/tls.crt, ..data -> ..2026
    for name, pair in (("..1", PKI.server), ("..2", PKI.other)):
        (tmp_path / name).mkdir()
        pair.copy(tmp_path / name)
    folder = tmp_path / "mount"
    folder.mkdir()
    bench = Bench(folder)
    for name in ("tls.crt", "tls.key"):
        (folder / name).unlink()
        (folder / name).symlink_to(tmp_path / "..data" / name)
    (tmp_path / "..data").symlink_to("..1")
    bench.tick()
    assert bench.served == PKI.server.fingerprint
    (tmp_path / "..tmp").symlink_to("..2")
    os.replace(tmp_path / "..tmp", tmp_path / "..data")
    bench.tick()
    assert bench.served == PKI.other.fingerprint


def test_the_other_half_of_a_pair_is_waited_for(bench, caplog) -> None:
    (bench.folder / "tls.crt").write_bytes(PKI.other.cert.read_bytes())
    bench.tick(4)
    assert bench.served == PKI.server.fingerprint
    (bench.folder / "tls.key").write_bytes(PKI.other.key.read_bytes())
    bench.tick()
    assert bench.served == PKI.other.fingerprint
    bench.tick(50)
    assert bench.counted == ["certificate_reloads_total"]
    assert "refused" not in caplog.text


def test_a_bad_pair_is_refused_and_told_once(bench, caplog) -> None:
    (bench.folder / "tls.crt").write_bytes(PKI.other.cert.read_bytes())
    bench.tick(50)
    assert bench.served == PKI.server.fingerprint
    assert bench.counted == ["certificate_reload_failures_total"]
    (told,) = bench.watch.refused
    assert "pyproxy.yaml:2:" in told
    assert "listeners.web.tls.key: the key (in " in told
    assert f"{told}" in caplog.text
    assert bench.reads == 2  # when it came, and once more before it was told


def test_what_is_right_again_is_no_longer_refused(bench) -> None:
    (bench.folder / "tls.key").write_bytes(b"")
    bench.tick(50)
    assert bench.watch.refused
    PKI.server.copy(bench.folder)
    bench.tick()
    assert bench.watch.refused == []
    assert bench.counted == ["certificate_reload_failures_total"]


def test_a_file_that_is_gone_is_told_and_the_pair_goes_on(bench) -> None:
    (bench.folder / "tls.key").unlink()
    bench.tick(50)
    assert bench.served == PKI.server.fingerprint
    assert "does not exist" in bench.watch.refused[0]


def test_somebody_who_never_stops_to_write_is_told_all_the_same(bench) -> None:
    for i in range(60):
        (bench.folder / "tls.key").write_bytes(b"x" * i)
        bench.tick()
    assert bench.counted[0] == "certificate_reload_failures_total"


def test_the_same_content_is_no_news(bench) -> None:
    os.utime(bench.folder / "tls.crt", ns=(1, 1))
    bench.tick(50)
    assert bench.reads == 1
    assert bench.counted == []


@pytest.mark.parametrize("what", ["reload", "upgrade"])
def test_whatever_runs_goes_first(bench, what) -> None:
    getattr(bench, what).active = True
    PKI.other.copy(bench.folder)
    bench.tick(10)
    assert bench.reads == 0
    getattr(bench, what).active = False
    bench.tick()
    assert bench.served == PKI.other.fingerprint


def test_a_reload_that_has_read_the_files_leaves_nothing_to_do(bench) -> None:
    PKI.other.copy(bench.folder)
    bench.service.config = loads(TEXT.format(bench.folder))
    bench.tick(10)
    assert bench.reads == 0


def test_a_service_that_ends_looks_no_more(bench) -> None:
    bench.phase = "draining"
    del bench.next
    bench.watch._look()
    assert not hasattr(bench, "next")


def test_an_expired_certificate_is_served_with_a_warning(bench, caplog) -> None:
    PKI.expired.copy(bench.folder)
    bench.tick()
    assert bench.served == PKI.expired.fingerprint
    assert "has expired 1 day ago" in caplog.text
