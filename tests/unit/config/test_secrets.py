"""Secret references: what they name, and that their values stay out of sight."""

import pytest

from pyproxy.config.load import inspect_texts, loads
from pyproxy.config.secrets import MAX_BYTES, is_reference, resolve


def test_env_names_a_variable(tmp_path):
    assert resolve("secret://env/TOKEN", tmp_path, {"TOKEN": "s3"}) == "s3"


def test_file_is_absolute_and_loses_one_line_end(tmp_path):
    (tmp_path / "s").write_text("value\n\n")
    assert resolve(f"secret://file{tmp_path}/s", tmp_path.parent) == "value\n"


def test_file_with_a_dot_is_relative_to_the_configuration(tmp_path):
    (tmp_path / "s").write_text("v\r\n")
    assert resolve("secret://file/./s", tmp_path) == "v"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("secret://env/NOPE", "environment variable NOPE is not set"),
        ("secret://file/does/not/exist", "cannot be read: No such file"),
        ("secret://vault/x", "is not a secret"),
        ("secret://env/", "is not a secret"),
        ("secret://", "is not a secret"),
    ],
)
def test_a_secret_that_cannot_be_had_says_why(tmp_path, reference, says):
    with pytest.raises(ValueError, match=says):
        resolve(reference, tmp_path, {})


def test_a_file_that_is_no_secret_is_refused(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "raw").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="too large"):
        resolve("secret://file/./big", tmp_path)
    with pytest.raises(ValueError, match="not UTF-8"):
        resolve("secret://file/./raw", tmp_path)


def test_only_a_whole_string_is_a_reference():
    assert is_reference("secret://env/A")
    assert not is_reference("Bearer secret://env/A")


CONFIG = """
listeners: {web: {bind: "secret://env/PP_BIND", limits: {max_fields: "secret://env/PP_FIELDS"}}}
routes: [{respond: {body: "secret://env/PP_BODY"}}]
"""


def test_a_secret_may_stand_for_any_value(monkeypatch):
    monkeypatch.setenv("PP_BIND", "127.0.0.1:8080")
    monkeypatch.setenv("PP_FIELDS", "42")
    monkeypatch.setenv("PP_BODY", "true")
    config = loads(CONFIG)
    assert config.listeners["web"].bind[0].address == "127.0.0.1:8080"
    assert config.listeners["web"].limits.max_fields == 42
    assert config.routes[0].respond.body == "true"


def test_no_fault_shows_the_value_of_a_secret(monkeypatch):
    monkeypatch.setenv("PP_BIND", "hunter2")
    monkeypatch.setenv("PP_FIELDS", "hunter2")
    monkeypatch.setenv("PP_BODY", "x")
    _, faults = inspect_texts([("f.yaml", CONFIG)])
    assert len(faults) == 2
    assert not any("hunter2" in str(fault) for fault in faults)


def test_a_missing_secret_is_a_fault_with_a_place_and_nothing_else(monkeypatch):
    for name in ("PP_BIND", "PP_FIELDS", "PP_BODY"):
        monkeypatch.delenv(name, raising=False)
    _, faults = inspect_texts([("f.yaml", CONFIG)])
    assert [(f.line, f.path, f.message) for f in faults] == [
        (2, "listeners.web.bind", "the environment variable PP_BIND is not set"),
        (2, "listeners.web.limits.max_fields", "the environment variable PP_FIELDS is not set"),
        (3, "routes[0].respond.body", "the environment variable PP_BODY is not set"),
    ]
