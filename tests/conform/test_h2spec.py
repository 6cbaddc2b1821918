"""h2spec, an independent set of checks for HTTP/2 servers, against a real proxy.

Over TLS (HTTP/2 agreed on by ALPN) and over cleartext (prior knowledge), with an origin behind it.
The program is built from the module in ``tests/conform/h2spec``, whose ``go.sum`` pins it and all
that it is made of; its score is printed at the end of the session.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from testenv import Proxy, running
from testenv.certificates import certificates

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parents[1] / "build" / "h2spec" / "h2spec"
SECTIONS = ("generic", "hpack", "http2")
TESTS = 145  # of these sections; fewer means that something was not run
BUILD_SECONDS = 300
RUN_SECONDS = 300

# The same port speaks HTTP/1, which answers what is no preface with an error of its own and closes;
# h2spec wants it to close without a word. Over TLS, where HTTP/2 was agreed on, it passes.
SHARED_PORT = {"Sends invalid connection preface"}


@pytest.fixture(scope="session")
def h2spec() -> Path:
    """The program, built when it is not there yet."""
    done = subprocess.run(
        ["go", "build", "-mod=readonly", "-o", PROGRAM, "github.com/summerwind/h2spec/cmd/h2spec"],
        cwd=HERE / "h2spec",
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return PROGRAM


def config(listener: str) -> str:
    """One listener before the demonstration origin."""
    return f"""
        listeners: {{web: {{bind: "127.0.0.1:0"{listener}}}}}
        upstreams: {{demo: {{endpoints: ["demo:"]}}}}
        routes: [{{upstream: demo}}]
    """


def run(program: Path, proxy: Proxy, report: Path, *more: str) -> tuple[int, set[str], str]:
    """How many tests ran, the names of those that failed, and what the program printed."""
    where = ["-h", "127.0.0.1", "-p", str(proxy.port()), "-o", "10", "-j", str(report)]
    done = subprocess.run(
        [str(program), *where, *more, *SECTIONS],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    cases = list(ET.parse(report).getroot().iter("testcase"))
    bad = [
        case for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    return len(cases), {case.get("classname", "") for case in bad}, done.stdout


def check(
    ran: tuple[int, set[str], str],
    allowed: set[str],
    record: Callable[[str, object], None],
    way: str,
) -> None:
    """All tests ran and passed but for those <allowed>; the score is recorded."""
    count, failed, printed = ran
    record("score", f"h2spec over {way}: {count - len(failed)} of {count} passed")
    summary = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", printed)
    assert summary, printed
    assert int(summary[1]) == count == TESTS, printed
    assert summary[3] == "0", printed
    assert failed <= allowed, printed


def test_h2spec_passes_over_tls(
    h2spec: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pair = certificates().server
    tls = f'alpn: [h2, http/1.1], certificates: [{{cert: "{pair.cert}", key: "{pair.key}"}}]'
    with running(config(f", tls: {{{tls}}}")) as proxy:
        ran = run(h2spec, proxy, tmp_path / "report.xml", "-t", "-k")
    check(ran, set(), record_property, "TLS")


def test_h2spec_passes_over_cleartext(
    h2spec: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with running(config("")) as proxy:
        ran = run(h2spec, proxy, tmp_path / "report.xml")
    check(ran, SHARED_PORT, record_property, "cleartext")
