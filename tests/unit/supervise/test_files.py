"""Log files and the pid file."""

from __future__ import annotations

import os
import pwd
import stat

import pytest

from pyproxy.config.load import loads
from pyproxy.errors import StartError
from pyproxy.supervise import logfiles, pidfile
from pyproxy.supervise.privileges import Identity

NOBODY = pwd.getpwnam("nobody")
nobody = Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_every_log_of_a_configuration_is_found_once() -> None:
    config = loads("""
        access_log: {path: /logs/a}
        listeners:
          x: {bind: "127.0.0.1:1", access_log: {path: /logs/b}}
          y: {bind: "127.0.0.1:2", access_log: {path: stdout}}
        routes:
          - {match: {path: /a}, respond: {}, access_log: {path: /logs/a, format: "{route}"}}
          - {match: {path: /b}, respond: {}, access_log: off}
    """)
    assert logfiles.paths_of(config) == ["/logs/a", "/logs/b"]


def test_a_log_is_created_and_what_is_there_stays(tmp_path) -> None:
    (tmp_path / "old").write_text("line\n")
    logfiles.prepare([str(tmp_path / "new"), str(tmp_path / "old")], None)
    assert (tmp_path / "new").read_text() == ""
    assert (tmp_path / "old").read_text() == "line\n"


def test_a_log_in_a_folder_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(StartError, match=r"access log .*none/log: No such file"):
        logfiles.prepare([str(tmp_path / "none" / "log")], None)
    with pytest.raises(StartError, match=r"access log .*none/log: No such file"):
        logfiles.check([str(tmp_path / "none" / "log")])


def test_a_pipe_that_nobody_reads_does_not_block(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    logfiles.prepare([str(tmp_path / "pipe")], None)
    logfiles.check([str(tmp_path / "pipe")])


@needs_root
def test_a_log_is_given_to_the_worker_user(tmp_path) -> None:
    logfiles.prepare([str(tmp_path / "log")], nobody)
    found = (tmp_path / "log").stat()
    assert (found.st_uid, found.st_gid) == (nobody.uid, nobody.gid)


@needs_root
@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_link_does_not_give_its_file_away(tmp_path, make) -> None:
    (tmp_path / "precious").write_text("")
    getattr(tmp_path / "log", make)(tmp_path / "precious")
    logfiles.prepare([str(tmp_path / "log")], nobody)
    assert (tmp_path / "precious").stat().st_uid == 0


def test_the_pid_file_is_written_whole(tmp_path) -> None:
    pidfile.write(tmp_path / "pid")
    assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
    assert os.listdir(tmp_path) == ["pid"]
    assert stat.S_IMODE((tmp_path / "pid").stat().st_mode) & 0o022 == 0


def test_the_pid_file_is_removed_unless_it_is_a_successors(tmp_path) -> None:
    pidfile.write(tmp_path / "pid")
    pidfile.remove(tmp_path / "pid")
    assert not (tmp_path / "pid").exists()
    (tmp_path / "pid").write_text("1\n")
    pidfile.remove(tmp_path / "pid")
    assert (tmp_path / "pid").exists()


def test_a_pid_file_that_cannot_be_written_is_an_error(tmp_path) -> None:
    with pytest.raises(StartError, match="pid_file"):
        pidfile.write(tmp_path / "none" / "pid")
