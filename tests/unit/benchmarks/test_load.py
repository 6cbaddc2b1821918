"""The load generator against a small server that does what each case needs."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

Answer = Callable[[bytes], bytes]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="session")
def load(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiled generator."""
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is needed to build the load generator"
    program = tmp_path_factory.mktemp("load") / "load"
    source = root / "benchmarks" / "macro" / "load.c"
    subprocess.run([compiler, "-O1", "-g", "-Wall", "-Werror", "-o", program, source], check=True)
    return str(program)


def serve(connection: socket.socket, answer: bytes, seen: list[bytes]) -> None:
    """Answer every request on one connection with the same bytes, in two pieces."""
    with connection:
        pending = b""
        while True:
            try:
                piece = connection.recv(65536)
            except OSError:
                return
            if not piece:
                return
            pending += piece
            while b"\r\n\r\n" in pending:
                head, _, pending = pending.partition(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                while len(pending) < length:
                    pending += connection.recv(65536)
                seen.append(head + b"\r\n\r\n" + pending[:length])
                pending = pending[length:]
                connection.sendall(answer[:20])
                connection.sendall(answer[20:])
                if b"Connection: close" in head:
                    return


class Server:
    """A listening socket whose connections all get `answer`."""

    def __init__(self, answer: bytes) -> None:
        self.seen: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self.socket.getsockname()[1])
        Thread(target=self._accept, args=(answer,), daemon=True).start()

    def _accept(self, answer: bytes) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            Thread(target=serve, args=(connection, answer, self.seen), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Callable[[bytes], Server]]:
    made: list[Server] = []

    def make(answer: bytes) -> Server:
        made.append(Server(answer))
        return made[-1]

    yield make
    for one in made:
        one.socket.close()


def run(load: str, port: int, *words: str) -> dict:
    command = [load, "--port", str(port), "--seconds", "0.2", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    sys.stderr.write(done.stderr)
    return json.loads(done.stdout)


def test_every_request_that_was_answered_is_counted(load, server) -> None:
    one = server(OK)
    report = run(load, one.port, "--connections", "4", "--expect", "5", "--path", "/x")
    assert report["requests"] == len(one.seen) > 0
    assert report["bytes"] == 5 * report["requests"]
    assert report["connects"] == 4
    assert set(report["errors"].values()) == {0}
    assert one.seen[0].startswith(b"GET /x HTTP/1.1\r\nHost: ")


def test_percentiles_rise(load, server) -> None:
    report = run(load, server(OK).port, "--connections", "4")
    values = [report["latency_us"][p] for p in ("p50", "p75", "p90", "p99", "p999", "max")]
    assert values == sorted(values)
    assert values[0] > 0


def test_a_connection_for_each_request(load, server) -> None:
    one = server(OK)
    report = run(load, one.port, "--connections", "2", "--close")
    assert report["requests"] == len(one.seen) > 0
    assert report["connects"] >= report["requests"]
    assert report["errors"]["closed"] == 0


def test_a_constant_rate_offers_no_more_than_it_says(load, server) -> None:
    one = server(OK)
    report = run(load, one.port, "--connections", "4", "--rate", "100")
    assert 0 < report["requests"] <= 20


def test_answers_with_a_header_line_are_counted(load, server) -> None:
    marked = server(b"HTTP/1.1 200 OK\r\nX-Late: 1\r\nContent-Length: 0\r\n\r\n")
    report = run(load, marked.port, "--mark", "x-late: 1")
    assert report["marked"] == report["requests"] > 0
    others = server(b"HTTP/1.1 200 OK\r\nX-Late: 11\r\nContent-Length: 0\r\n\r\n")
    assert run(load, others.port, "--mark", "x-late: 1")["marked"] == 0


def test_uploads_are_sent_whole(load, server) -> None:
    one = server(OK)
    report = run(load, one.port, "--body", "700000", "--header", "x-a: b")
    assert report["requests"] > 0
    head, _, body = one.seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST ")
    assert b"\r\nx-a: b\r\n" in head + b"\r\n"
    assert len(body) == 700000


def test_paths_of_a_file_take_turns(load, server, tmp_path: Path) -> None:
    paths = tmp_path / "paths.txt"
    paths.write_text("/one\n/two\n")
    one = server(OK)
    run(load, one.port, "--paths", str(paths))
    assert {head.split(b" ")[1] for head in one.seen[:2]} == {b"/one", b"/two"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "length"),
        (b"HTTP/1.1 200 OK\r\nX-Nothing: declared here\r\n\r\n", "parse"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n\r\n", "parse"),
    ],
)
def test_a_wrong_answer_is_an_error_of_its_kind(load, server, answer: bytes, kind: str) -> None:
    report = run(load, server(answer).port, "--expect", "5")
    assert report["requests"] == 0
    assert report["errors"][kind] > 0


def test_refused_connections_are_counted_and_do_not_spin_for_ever(load) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening
        report = run(load, held.getsockname()[1], "--connections", "2")
    assert report["requests"] == 0
    assert report["errors"]["refused"] > 0
    assert {failure["kind"] for failure in report["failures"]} == {"refused"}


@pytest.mark.parametrize(("how", "kind"), [(b"reset", "reset"), (b"", "closed")])
def test_an_end_before_the_answer_is_told_from_a_reset(load, how: bytes, kind: str) -> None:
    came: list[str] = []

    def serve_one(listener: socket.socket) -> None:
        while True:
            try:
                end, (host, port) = listener.accept()
            except OSError:
                return
            with end:
                came.append(f"{host}:{port}")
                end.recv(65536)
                if how:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve_one, args=(listener,), daemon=True).start()
        report = run(load, listener.getsockname()[1], "--close")
        listener.shutdown(socket.SHUT_RDWR)
    wrong = {name for name, n in report["errors"].items() if n}
    assert wrong == {kind}
    first = report["failures"][0]
    assert first == {"from": came[0], "kind": kind}
    assert len(report["failures"]) == min(report["errors"][kind], 1024)


def test_the_end_of_standard_input_ends_the_run(load, server) -> None:
    command = [load, "--port", str(server(OK).port), "--seconds", "3600", "--until-eof"]
    done = subprocess.run(
        command, input="", capture_output=True, text=True, timeout=60, check=False
    )
    assert json.loads(done.stdout)["seconds"] < 3600
