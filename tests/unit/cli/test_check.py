"""`pyproxy check`."""

import json

import pytest

from pyproxy.cli.main import main
from testenv.certificates import certificates

GOOD = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: "127.0.0.1:9000"}}
routes: [{upstream: app}, {match: {path: /x}, respond: {}}]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pyproxy.yaml"
    path.write_text(GOOD)
    return path


def test_a_sound_file_is_ok(file, capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "pyproxy.yaml: ok: 1 listener, 2 routes, 1 upstream\n"


@pytest.mark.parametrize("words", [["pyproxy.yaml"], ["-c", "pyproxy.yaml"], ["--config", "."]])
def test_the_file_or_folder_may_be_named(file, words, capsys):
    assert main(["check", *words]) == 0
    assert ": ok: " in capsys.readouterr().out


def test_every_fault_is_shown_with_its_line_and_a_caret(file, capsys):
    file.write_text(GOOD.replace("{upstream: app}", "{upstream: ap}") + "workrs: 1\n")
    assert main(["check"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        'pyproxy.yaml:4:21: routes[0].upstream: there is no upstream named "ap"; '
        'did you mean "app"?\n'
        "  4 | routes: [{upstream: ap}, {match: {path: /x}, respond: {}}]\n"
        "    |                     ^\n"
        'pyproxy.yaml:5:1: workrs: unknown key "workrs"; did you mean "workers"?\n'
        "  5 | workrs: 1\n"
        "    | ^\n"
        "2 faults\n"
    )


def test_a_long_line_is_cut_around_the_place(file, capsys):
    file.write_text(GOOD + f"user: {{{'x' * 300}: 1, workrs: 2}}\n")
    assert main(["check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(len(line) < 140 for line in lines[1:3])


def test_faults_as_json(file, capsys):
    file.write_text(GOOD + "workrs: 1\n")
    assert main(["check", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": "pyproxy.yaml",
            "line": 5,
            "column": 1,
            "path": "workrs",
            "message": 'unknown key "workrs"',
            "cure": 'did you mean "workers"?',
        }
    ]
    file.write_text(GOOD)
    assert main(["check", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_a_missing_file_is_a_fault_with_a_cure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    assert (
        "pyproxy.yaml: there is no such file; `pyproxy init pyproxy.yaml`"
        in capsys.readouterr().err
    )


def test_filters_are_checked_too(file, capsys):
    file.write_text(GOOD + "filters: [{python: {use: 'no_such_module_here:X'}}]\n")
    assert main(["check"]) == 2
    assert 'there is no module named "no_such_module_here"' in capsys.readouterr().err


def test_a_configuration_may_come_from_standard_input(file, monkeypatch, capsys):
    import io
    import types

    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(GOOD.encode())))
    assert main(["check", "-"]) == 0
    assert capsys.readouterr().out.startswith("-: ok: ")


def with_tls(pair) -> str:
    return GOOD.replace(':0"', f':0", tls: {{cert: {pair.cert}, key: {pair.key}}}')


def test_certificates_are_shown_with_their_days(file, capsys):
    pair = certificates().server
    file.write_text(with_tls(pair))
    assert main(["check"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("pyproxy.yaml: ok: ")
    assert second == (
        "listeners.web.tls.certificates[0]  localhost, app.test, www.app.test  ECDSA secp256r1  "
        f"90 days left  {pair.cert}"
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("expired", 'the certificate "localhost" has expired 1 day ago'),
        ("not_yet", 'the certificate "localhost" is not valid before'),
        ("mismatched", "does not belong to the certificate"),
    ],
)
def test_a_certificate_that_clients_would_refuse_is_a_fault(name, what, file, capsys):
    file.write_text(with_tls(getattr(certificates(), name)))
    assert main(["check"]) == 2
    fault = capsys.readouterr().err
    assert fault.startswith("pyproxy.yaml:2:")
    assert what in fault
    assert fault.endswith("1 fault\n")
