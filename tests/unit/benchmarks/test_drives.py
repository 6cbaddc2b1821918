"""What generators print, and what becomes of it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks import drives, rounds
from benchmarks.certificate import pair
from benchmarks.contender import Setup, free_ports
from benchmarks.errors import Unavailable
from benchmarks.peers import everyone
from benchmarks.scenario import load_all
from benchmarks.tools import Work

H2LOAD = """\
finished in 2.51s, 70012.00 req/s, 3.01MB/s
requests: 175031 total, 175543 started, 175031 done, 175020 succeeded, 11 failed, 1 errored, \
2 timeout
status codes: 175017 2xx, 3 3xx, 0 4xx, 11 5xx
traffic: 7.52MB (7884000) total, 1.34MB (1400000) headers (space savings 95.00%), \
4.27MB (4480512) data
"""


def test_the_totals_of_h2load_are_read() -> None:
    report = drives.h2load_report(H2LOAD)
    assert report["requests"] == 175_020
    assert report["errors"] == {"failed": 11 + 3}
    assert report["seconds"] == pytest.approx(2.51)
    assert report["bytes"] == 4_480_512


def test_compressed_answers_that_became_longer_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    (scenario,) = [s for s in load_all() if s.name == "gzip"]
    drive = drives.Gzip(scenario)
    monkeypatch.setattr(drives, "run", lambda _command: H2LOAD)
    drive.length = 4_480_512 // 175_020
    assert sum(drive.load(1, Work(), 1)["errors"].values()) == 14
    drive.length -= 3
    assert drive.load(1, Work(), 1)["errors"]["length"] == 175_020


def test_milliseconds_are_understood_and_garbage_is_not() -> None:
    assert drives.h2load_report(H2LOAD.replace("2.51s", "812.50ms"))["seconds"] == 0.8125
    with pytest.raises(Unavailable, match="no totals"):
        drives.h2load_report("connection refused")


def test_every_scenario_names_a_drive() -> None:
    assert all(s.load in drives.DRIVES for s in load_all())


def test_every_contender_has_a_setting_for_what_it_takes_part_in() -> None:
    everybody = everyone()
    for scenario in load_all():
        if scenario.load != "http1":
            names = [n for n in scenario.contenders if scenario.flavour in everybody[n].flavours]
            assert tuple(names) == scenario.contenders


@pytest.mark.parametrize("name", ["dns", "websocket"])
def test_a_generator_gets_its_answers_from_its_own_server(name: str, tmp_path: Path) -> None:
    """Without a proxy between: every answer is right, and the count is that of the server's."""
    (scenario,) = [s for s in load_all() if s.load == name]
    drive = drives.DRIVES[name](scenario)
    (port,) = free_ports(1)
    server = drive.origin(port, tmp_path)
    begun: list[bool] = []
    try:
        report = drive.load(port, Work(connections=4, size=1000), 0.1, lambda: begun.append(True))
    finally:
        server.stop()
    assert report["requests"] > 0
    assert report["errors"] == {"failed": 0}
    assert report["latency_us"]["p50"] > 0
    assert begun == [True]


def test_the_last_endpoint_is_late_and_says_so(tmp_path: Path) -> None:
    (scenario,) = [s for s in load_all() if s.name == "tail"]
    ports = free_ports(scenario.endpoints)
    drive = drives.Drive(scenario, ports[1:])
    work = Work(connections=4, mark=rounds.LATE)
    origin = drive.origin(ports[0], tmp_path)
    try:
        # Who leaves while its answer waits is forgotten.
        with socket.create_connection(("127.0.0.1", ports[-1])) as gone:
            gone.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        reports = [drive.load(port, work, 0.1) for port in (ports[0], ports[-2], ports[-1])]
    finally:
        origin.stop()
    assert [r["marked"] for r in reports] == [0, 0, reports[-1]["requests"]]
    assert all(r["requests"] and not sum(r["errors"].values()) for r in reports)
    assert reports[-1]["latency_us"]["p50"] >= scenario.late_ms * 1000


def test_who_balances_is_told_all_endpoints(tmp_path: Path) -> None:
    (scenario,) = [s for s in load_all() if s.name == "tail"]
    for name in scenario.contenders:
        setup = Setup(tmp_path, 1, 2001, flavour=scenario.flavour, others=(2002, 2003))
        everyone()[name].command(setup)
        (path,) = [p for p in tmp_path.iterdir() if p.stem == name]
        text = path.read_text()
        assert all(str(port) in text for port in setup.endpoints)
        assert "least_request" in text.lower()


def test_handshakes_and_requests_over_tls_are_counted(tmp_path: Path) -> None:
    """Against the system's own server."""
    made = pair(tmp_path)
    (port,) = free_ports(1)
    words = ["-accept", f"127.0.0.1:{port}", "-cert", str(made.cert), "-key", str(made.key)]
    with subprocess.Popen(
        ["openssl", "s_server", "-quiet", "-www", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            (scenario,) = [s for s in load_all() if s.name == "resumption"]
            drive = drives.Resumptions(scenario)
            for _ in range(100):
                try:
                    report = drive.load(port, Work(connections=1), 0.1)
                    break
                except Unavailable:  # it does not listen yet
                    continue
            full = drives.Handshakes(scenario).load(port, Work(connections=1), 0.1)
            today = drives.HandshakesToday(scenario).load(port, Work(connections=1), 0.1)
        finally:
            server.terminate()
    assert report["requests"] == report["resumed"] > 0
    assert (full["resumed"], full["errors"]) == (0, {"failed": 0})
    assert full["requests"] > 0
    assert today["requests"] > 0
    assert "X25519" in today["group"].upper()


def test_configurations_of_every_flavour_can_be_written(tmp_path: Path) -> None:
    """Those who check their files are asked to."""
    made = pair(tmp_path)
    nginx = everyone()["nginx"]
    for flavour in ("tls", "websocket", "plain"):
        folder = tmp_path / flavour
        folder.mkdir()
        given = made if flavour == "tls" else None
        words = nginx.command(Setup(folder, 1, 2, flavour=flavour, pair=given))
        done = subprocess.run([*words, "-t"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
