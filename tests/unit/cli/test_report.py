"""Faults as they are shown."""

import io
import pickle

from pyproxy.cli.report import excerpt, print_faults
from pyproxy.errors import ConfigError, Fault, PyproxyError


def test_a_fault_reads_as_place_path_message_and_cure():
    assert (
        str(Fault("f.yaml", 2, 3, "a.b", "wrong", "mend it")) == "f.yaml:2:3: a.b: wrong; mend it"
    )
    assert str(Fault("f.yaml", 0, 0, "", "wrong")) == "f.yaml: wrong"
    assert str(Fault("", 0, 0, "a.b", "wrong")) == "a.b: wrong"


def test_a_configuration_error_sorts_its_faults_and_survives_a_pipe():
    error = ConfigError([Fault("f", 2, 1, "b", "x"), Fault("f", 1, 9, "a", "y")])
    assert isinstance(error, PyproxyError)
    assert [fault.line for fault in error.faults] == [1, 2]
    assert pickle.loads(pickle.dumps(error)).faults == error.faults


def test_a_place_without_a_readable_line_has_no_excerpt(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text("a\n")
    assert excerpt(Fault("", 0, 0, "a", "x"), {}) == ""
    assert excerpt(Fault(str(tmp_path / "gone"), 1, 1, "a", "x"), {}) == ""
    assert excerpt(Fault(str(file), 9, 1, "a", "x"), {}) == ""


def test_the_count_is_told():
    stream = io.StringIO()
    print_faults([Fault("", 0, 0, "a", "x")], stream)
    assert stream.getvalue() == "a: x\n1 fault\n"
