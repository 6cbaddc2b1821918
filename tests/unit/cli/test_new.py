"""`pyproxy new filter`."""

from __future__ import annotations

import pytest

from pyproxy.cli.main import main
from pyproxy.cli.new import names_of
from pyproxy.errors import StartError


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("audit", ("audit", "Audit")),
        ("rate-audit", ("rate_audit", "RateAudit")),
        ("rate_audit2", ("rate_audit2", "RateAudit2")),
        ("RateAudit", ("rate_audit", "RateAudit")),
    ],
)
def test_the_name_gives_module_and_class(name, names) -> None:
    assert names_of(name) == names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "cannot be the name of a module"),
        ("2fast", "cannot be the name of a module"),
        ("a/b", "cannot be the name of a module"),
        ("a.b", "cannot be the name of a module"),
        ("class", "is a word of Python"),
        ("json", 'would hide the module "json"'),
        ("pyproxy", 'would hide the module "pyproxy"'),
    ],
)
def test_a_name_that_cannot_be_is_refused(name, says) -> None:
    with pytest.raises(StartError, match=says):
        names_of(name)


def test_it_writes_a_filter_and_its_test_and_says_what_next(tmp_path, capsys) -> None:
    assert main(["new", "filter", "audit", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"wrote {tmp_path}/audit.py and {tmp_path}/test_audit.py" in said
    assert '- python: {use: "audit:Audit", config: {header: x-user}}' in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.py", "test_audit.py"]
    for path in tmp_path.iterdir():
        compile(path.read_text(), str(path), "exec")
        assert "@" + "CLASS@" not in path.read_text()


@pytest.mark.parametrize("taken", ["audit.py", "test_audit.py"])
def test_nothing_is_overwritten(tmp_path, capsys, taken) -> None:
    (tmp_path / taken).write_text("mine")
    assert main(["new", "filter", "audit", "-o", str(tmp_path)]) == 1
    assert f"{taken} exists already: nothing is written" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_not_there_is_told(tmp_path, capsys) -> None:
    assert main(["new", "filter", "audit", "-o", str(tmp_path / "no")]) == 1
    assert "audit.py cannot be written: No such file or directory" in capsys.readouterr().err


def test_the_help_teaches(capsys) -> None:
    assert main(["new", "--help"]) == 0
    said = capsys.readouterr().out
    assert "pyproxy new filter greeter" in said
    assert "Nothing is ever overwritten" in said


def test_only_filters_can_be_new(capsys) -> None:
    assert main(["new", "route", "x"]) == 2
    assert "invalid choice" in capsys.readouterr().err
