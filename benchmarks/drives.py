"""How each kind of scenario is loaded: its origin, a check of the answers, a generator.

Every generator's report has `requests`, `errors` by kind and `seconds`; most have `latency_us`.
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import install, tools
from benchmarks.certificate import GROUP, NAME, SUITE
from benchmarks.contender import Running
from benchmarks.errors import Unavailable
from benchmarks.machine import LOAD_CPU, ROOT
from benchmarks.scenario import Scenario

GIB = 1 << 30
Begin = Callable[[], None]
PATIENCE_S = 60.0
CHECK_S = 0.5
# Of two gzip bodies at one level, how far the lengths may be apart: blocks end elsewhere.
SAME_LEVEL = 0.05
LIBRARIES = {"tls": ("-lssl", "-lcrypto")}
# A message that stands before each gRPC one: not compressed, and its length.
GRPC_PREFIX = 5
_H2LOAD_TOTALS = re.compile(r"requests: .* (\d+) succeeded, (\d+) failed,")
_H2LOAD_BYTES = re.compile(r"\((\d+)\) data")
_H2LOAD_STATUS = re.compile(r"status codes: \d+ 2xx, (\d+) 3xx")
_H2LOAD_TIME = re.compile(r"finished in ([\d.]+)(us|ms|s)")


class Drive:
    """HTTP/1.1 by macro/load.c: what a scenario is loaded with unless it says otherwise."""

    def __init__(self, scenario: Scenario, others: Sequence[int] = ()) -> None:
        self.scenario = scenario
        self.others = tuple(others)
        """The ports of the further endpoints, where the scenario has more than one."""

    def origin(self, port: int, folder: Path) -> Running:
        """Start what the proxies forward to."""
        return tools.start_origin(port, folder, self.others, self.scenario.late_ms)

    def check(self, port: int, work: tools.Work) -> None:
        """Ask twice on one connection, as the load will. Unavailable when an answer is wrong."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        check_http(connection, self.scenario, work)

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        """Load one proxy and report. Unavailable when the generator cannot.

        <begin> is called when what counts begins: connections that the scenario keeps are up then,
        if they cost anything.
        """
        begin()
        return tools.load(port, work, seconds)


class Tls(Drive):
    """The same over TLS, by macro/tls.c."""

    def origin(self, port: int, folder: Path) -> Running:
        install.packages("libssl-dev", commands=("/usr/bin/cc",))
        return super().origin(port, folder)

    def check(self, port: int, work: tools.Work) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        check_http(connection, self.scenario, work)

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        words = ["requests", "--connections", str(work.connections), "--size", str(work.size)]
        return program("tls", port, seconds, words, begin)


class Handshakes(Tls):
    """Connections that do nothing but the handshake."""

    mode = "handshakes"

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        words = [self.mode, "--connections", str(work.connections)]
        return program("tls", port, seconds, words, begin)


class Resumptions(Handshakes):
    """The same, each with a ticket of the one before."""

    mode = "resumptions"


class HandshakesToday(Handshakes):
    """The same, by a client that prefers the hybrid group (handshakes.py)."""

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        del work
        begin()
        # Found even by a Python that leaves the working folder out of its path.
        command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "benchmarks.handshakes"]
        return report_of([*command, str(port), f"{seconds:g}"], cwd=ROOT)


class Http2(Tls):
    """HTTP/2 over TLS, by h2load."""

    def origin(self, port: int, folder: Path) -> Running:
        install.packages("nghttp2-client", commands=("/usr/bin/h2load",))
        return super().origin(port, folder)

    def check(self, port: int, work: tools.Work) -> None:
        # Also whether HTTP/2 is spoken at all: without it h2load makes no request.
        check_short_run(self, port, work)

    def words(self, port: int, work: tools.Work) -> list[str]:
        """What of the command line says what is asked for."""
        return [
            *("--npn-list=h2", f"--tls13-ciphers={SUITE}", f"--groups={GROUP}"),
            f"https://127.0.0.1:{port}{tools.origin_path(work.size)}",
        ]

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        command = [
            *(
                "taskset",
                "-c",
                str(LOAD_CPU),
                "h2load",
                f"--duration={max(seconds, 0.2) * 1000:.0f}ms",
            ),
            *(f"--clients={work.connections}", f"--max-concurrent-streams={self.scenario.streams}"),
            *self.words(port, work),
        ]
        begin()
        return h2load_report(run(command))


class Gzip(Http2):
    """Text that the proxy compresses, over HTTP/1.1, by h2load: it reads chunked bodies too."""

    def __init__(self, scenario: Scenario, others: Sequence[int] = ()) -> None:
        super().__init__(scenario, others)
        self.length = 0
        """How long the first one's answer was."""

    def check(self, port: int, work: tools.Work) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", text_path(work.size), None, fields(self.scenario))
            answer = connection.getresponse()
            got = answer.read()
            if answer.status != 200 or answer.getheader("content-encoding") != "gzip":
                raise Unavailable(f"answers {answer.status} without gzip")
            if len(gzip.decompress(got)) != work.size:
                raise Unavailable(f"answers something else than {work.size} bytes")
            self.length = self.length or len(got)
            if abs(len(got) / self.length - 1) > SAME_LEVEL:
                why = f"answers {len(got)} bytes of gzip, the first one {self.length}"
                raise Unavailable(f"{why}: not the same work")
        except (OSError, EOFError, http.client.HTTPException) as exc:
            raise Unavailable(f"does not answer: {exc!r}") from exc
        finally:
            connection.close()
        check_short_run(self, port, work)

    def words(self, port: int, work: tools.Work) -> list[str]:
        headers = [f"--header={line}" for line in self.scenario.headers]
        return ["--h1", *headers, f"http://127.0.0.1:{port}{text_path(work.size)}"]

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        report = super().load(port, work, seconds, begin)
        # The generator does not know what it ought to get: as much as in the check, on average.
        if report["bytes"] / max(1, report["requests"]) > self.length * (1 + SAME_LEVEL):
            report["errors"]["length"] = report["requests"]
        return report


class Grpc(Http2):
    """Unary calls over cleartext HTTP/2 on both sides; nghttpd sends each message back."""

    def origin(self, port: int, folder: Path) -> Running:
        programs = ("/usr/bin/h2load", "/usr/sbin/nghttpd")
        install.packages("nghttp2-client", "nghttp2-server", commands=programs)
        message = bytes([0, *self.scenario.size.to_bytes(GRPC_PREFIX - 1, "big")])
        folder.mkdir(parents=True, exist_ok=True)
        self.body = folder / "message.bin"
        self.body.write_bytes(message + b"m" * self.scenario.size)
        words = ["--no-tls", "--echo-upload", "--trailer", "grpc-status: 0", "-d", str(folder)]
        return tools.start_server(["/usr/sbin/nghttpd", *words, str(port)], port, folder)

    def words(self, port: int, work: tools.Work) -> list[str]:
        del work
        return [
            *("--no-tls-proto=h2c", f"--data={self.body}"),
            *("--header=content-type: application/grpc", "--header=te: trailers"),
            f"http://127.0.0.1:{port}/bench.Echo/Say",
        ]


class WebSocket(Drive):
    """Messages that come back, by macro/websocket.c."""

    def origin(self, port: int, folder: Path) -> Running:
        return tools.start_server([*binary("websocket"), "--serve", str(port)], port, folder)

    def check(self, port: int, work: tools.Work) -> None:
        check_short_run(self, port, work)

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        words = ["--connections", str(work.connections), "--size", str(work.size)]
        return program("websocket", port, seconds, words, begin)


class Bulk(Drive):
    """Long bodies through a TCP proxy, counted in GiB."""

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        begin()
        report = tools.load(port, work, seconds)
        report["requests"] *= work.size / GIB
        return report


class Dns(Drive):
    """Questions over UDP, by macro/dns.c."""

    def origin(self, port: int, folder: Path) -> Running:
        words = [*binary("dns"), "--serve", str(port)]
        return tools.start_server(words, port, folder, datagrams=True)

    def check(self, port: int, work: tools.Work) -> None:
        check_short_run(self, port, work)

    def load(
        self, port: int, work: tools.Work, seconds: float, begin: Begin = lambda: None
    ) -> dict[str, Any]:
        begin()
        words = ["--port", str(port), "--seconds", f"{seconds:g}"]
        return report_of([*binary("dns"), *words, "--connections", str(work.connections)])


DRIVES: Mapping[str, type[Drive]] = {
    "http1": Drive,
    "tls": Tls,
    "handshakes": Handshakes,
    "handshakes-today": HandshakesToday,
    "resumptions": Resumptions,
    "http2": Http2,
    "gzip": Gzip,
    "grpc": Grpc,
    "websocket": WebSocket,
    "bulk": Bulk,
    "dns": Dns,
}


def text_path(size: int) -> str:
    """The path that the origin answers with `size` bytes of text."""
    return f"/text/{size}"


def check_http(
    connection: http.client.HTTPConnection, scenario: Scenario, work: tools.Work
) -> None:
    """Ask twice on <connection>, which is closed. Unavailable when an answer is wrong."""
    path = work.paths.read_text().split("\n")[0] if work.paths else tools.origin_path(work.size)
    headers = {"Host": NAME, **fields(scenario)}
    try:
        for _ in range(2):
            body = b"u" * scenario.upload if scenario.upload else None
            connection.request("POST" if body else "GET", path, body, headers)
            answer = connection.getresponse()
            got = answer.read()
            if answer.status != 200:
                raise Unavailable(f"answers {answer.status} instead of 200")
            if len(got) != work.size:
                raise Unavailable(f"answers {len(got)} bytes instead of {work.size}")
            for line in scenario.answer:
                name, _, value = line.partition(": ")
                if answer.getheader(name) != value:
                    raise Unavailable(f"answers without {line!r}")
    except (OSError, http.client.HTTPException) as exc:
        raise Unavailable(f"does not answer: {exc!r}") from exc
    finally:
        connection.close()


def check_short_run(drive: Drive, port: int, work: tools.Work) -> None:
    """Unavailable when the generator, which looks at every answer, finds one wrong."""
    report = drive.load(port, work, CHECK_S)
    if not report["requests"] or sum(report["errors"].values()):
        raise Unavailable(f"does not answer well: {json.dumps(report['errors'])}")


def fields(scenario: Scenario) -> dict[str, str]:
    """The header fields that a scenario's requests carry besides Host."""
    pairs = (line.partition(": ") for line in scenario.headers)
    return {name: value for name, _, value in pairs}


def binary(name: str) -> list[str]:
    """One of our own programs, pinned to the load's core."""
    return ["taskset", "-c", str(LOAD_CPU), str(tools.program(name, LIBRARIES.get(name, ())))]


def program(
    name: str, port: int, seconds: float, words: Sequence[str], begin: Begin
) -> dict[str, Any]:
    """Load with one of our programs that says when it is ready, and waits for a word then."""
    command = [*binary(name), "--port", str(port), "--seconds", f"{seconds:g}", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() == "ready\n":
                begin()
            out, complaint = process.communicate("\n", timeout=PATIENCE_S)
        except subprocess.TimeoutExpired as exc:
            raise Unavailable(f"{name} does not end") from exc
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        raise Unavailable(f"{name} ended with status {process.returncode}: {complaint.strip()}")
    found: dict[str, Any] = json.loads(out)
    return found


def run(command: Sequence[str], cwd: Path | None = None) -> str:
    """The output of a generator. Unavailable when it fails or does not end."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=cwd, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unavailable(f"{Path(command[0]).name} cannot load: {exc}") from exc
    if done.returncode != 0:
        tail = " | ".join((done.stderr or done.stdout).strip().splitlines()[-2:])
        raise Unavailable(f"the generator ended with status {done.returncode}: {tail[:300]}")
    return done.stdout


def report_of(command: Sequence[str], cwd: Path | None = None) -> dict[str, Any]:
    """The JSON that a generator prints."""
    found: dict[str, Any] = json.loads(run(command, cwd))
    return found


def h2load_report(text: str) -> dict[str, Any]:
    """What h2load has printed, as the other generators would."""
    totals, took = _H2LOAD_TOTALS.search(text), _H2LOAD_TIME.search(text)
    status = _H2LOAD_STATUS.search(text)
    if totals is None or took is None or status is None:
        raise Unavailable("h2load printed no totals")
    succeeded, failed = int(totals[1]), int(totals[2])
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[took[2]]
    body = _H2LOAD_BYTES.search(text)
    return {
        "bytes": int(body[1]) if body else 0,
        "requests": succeeded,
        # The failed are those of status 4xx and 5xx, broken ones and late ones; 3xx succeeds.
        "errors": {"failed": failed + int(status[1])},
        "seconds": float(took[1]) * unit,
    }
