"""A TLS listener as scanners see it: testssl.sh finds nothing to complain about.

The scan's score is printed: how many findings it has, by severity.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from testenv import running
from testenv.certificates import certificates
from testenv.foreign import foreign_environment

SCAN_SECONDS = 900
# From these on, a finding is a fault of ours. (WARN is what the scanner could not find out.)
GRAVE = {"LOW", "MEDIUM", "HIGH", "CRITICAL"}
# What a certificate of the test's own says of itself, not of the proxy.
OF_THE_CERTIFICATE = ("cert_revocation", "cert_crlDistributionPoints", "cert_ocspURL", "DNS_CAA")
# What the scanner lacks, and what an HTTP answer may say or not.
OF_THE_SCANNER = ("engine_problem", "scanTime", "HSTS", "security_headers")


@pytest.fixture(scope="session")
def testssl() -> str:
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if program is None:
        pytest.fail("no testssl.sh here: apt-get install -y testssl.sh", pytrace=False)
    return program


def scan(program: str, port: int, ca: Path, report: Path) -> list[dict[str, str]]:
    """The findings of a whole scan of localhost:<port>."""
    command = [program, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none"]
    command += ["--sneaky", "--ip", "127.0.0.1", "--add-ca", str(ca), "--jsonfile", str(report)]
    done = subprocess.run(
        [*command, f"https://localhost:{port}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SCAN_SECONDS,
        env={**foreign_environment(), "TERM": os.environ.get("TERM", "dumb")},
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    found: list[dict[str, str]] = json.loads(report.read_text(encoding="utf-8"))
    return found


def test_a_scan_finds_nothing_to_complain_about(
    testssl: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pki = certificates()
    tls = f"{{certificates: [{{cert: {pki.server.cert}, key: {pki.server.key}}}]}}"
    config = f"""
        listeners: {{web: {{bind: "127.0.0.1:0", tls: {tls}}}}}
        routes: [{{respond: {{body: hello}}}}]
    """
    with running(config) as proxy:
        findings = scan(testssl, proxy.port(), pki.ca.cert, tmp_path / "scan.json")
    said = {finding["id"]: finding["finding"] for finding in findings}
    # Without these it has not looked at all.
    assert said["TLS1_2"].startswith("offered")
    assert said["TLS1_3"].startswith("offered")
    assert said["SSLv3"].startswith("not offered")
    assert "h2" in said["ALPN_HTTP2"]
    ours = [f for f in findings if not f["id"].startswith((*OF_THE_CERTIFICATE, *OF_THE_SCANNER))]
    counts = Counter(finding["severity"] for finding in ours)
    score = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
    record_property("score", f"testssl.sh  {len(ours)} findings: {score}")
    assert not [finding for finding in ours if finding["severity"] in GRAVE]
