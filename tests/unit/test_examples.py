"""The examples are right, as far as the programs that read them can tell."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path) -> None:
    """Some complaints come with status 0: so nothing at all may be said."""
    unit = ROOT / "examples" / "systemd" / "pyproxy.service"
    # A copy: verify also looks at the folder, whose owner and mode are nobody's concern here.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8"), encoding="utf-8")
    copy.chmod(0o644)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", str(copy)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
