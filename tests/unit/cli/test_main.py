"""The `pyproxy` command as a whole: help, unknown words, exit statuses, and what it imports."""

import subprocess
import sys

import pytest

from pyproxy._version import __version__
from pyproxy.cli.main import COMMANDS, main


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_teaches(words, capsys):
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    for command in COMMANDS:
        assert f"  {command}" in text


def test_no_command_is_an_error_that_teaches(capsys):
    assert main([]) == 2
    assert "usage: pyproxy COMMAND" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pyproxy {__version__}\n"


@pytest.mark.parametrize(
    ("word", "hint"), [("chek", 'did you mean "check"?'), ("zzzz", "commands: run, reload")]
)
def test_an_unknown_command_gets_a_hint(word, hint, capsys):
    assert main([word]) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert main(["help", command]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: pyproxy {command}")
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out == text


def test_an_unknown_option_is_an_error(capsys):
    assert main(["check", "--nope"]) == 2
    assert "--nope" in capsys.readouterr().err


def test_the_faults_of_a_configuration_give_status_2(tmp_path, capsys):
    file = tmp_path / "f.yaml"
    file.write_text("workers: 0\n")
    assert main(["explain", "-c", str(file), "/"]) == 2
    error = capsys.readouterr().err
    assert f'{file}:1:10: workers: "0" is out of range' in error
    assert "  1 | workers: 0\n    |          ^\n" in error


def modules_after(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


def test_help_imports_no_library():
    loaded = modules_after("from pyproxy.cli.main import main\nmain(['--help'])")
    assert not {"msgspec", "yaml", "argparse", "pyproxy.config.model"} & loaded


def test_only_the_module_of_the_command_that_runs_is_imported():
    loaded = modules_after("from pyproxy.cli.main import main\nmain(['init', '-'])")
    assert {name for name in loaded if name.startswith("pyproxy.cli.")} == {
        "pyproxy.cli.main",
        "pyproxy.cli.init",
    }


def test_reading_a_configuration_imports_no_schema_and_no_help_for_faults(tmp_path):
    (tmp_path / "f.yaml").write_text(
        "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\n"
    )
    loaded = modules_after(
        f"from pyproxy.config.load import load\nload({str(tmp_path / 'f.yaml')!r})"
    )
    assert not {"pyproxy.config.schema", "difflib", "pyproxy.filters.base"} & loaded


def test_the_package_runs_as_a_module():
    ran = subprocess.run(
        [sys.executable, "-m", "pyproxy", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"pyproxy {__version__}\n"
