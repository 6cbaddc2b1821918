"""`pyproxy run`: the short way through its words, and what a start leaves out."""

import argparse
import subprocess
import sys

import pytest

from pyproxy.cli import run


def by_argparse(words):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    run.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize("words", [[], ["-c", "a.yaml"], ["--config", "dir/b"], ["-c", ""]])
def test_the_usual_words_say_what_argparse_would_have_read(words):
    assert vars(run.quick_args(words)) == vars(by_argparse(words))


@pytest.mark.parametrize(
    "words",
    [
        *(["-c"], ["-c", "-x"], ["-c", "-"], ["-ca.yaml"], ["--config=a"], ["--help"]),
        *(["a.yaml"], ["-c", "a", "b"], ["--conf", "a"]),
    ],
)
def test_all_other_words_are_left_to_argparse(words):
    assert run.quick_args(words) is None


def test_a_start_imports_neither_argparse_nor_what_only_type_checkers_need(tmp_path):
    script = (
        "import sys\nfrom pyproxy.cli.main import main\n"
        f"assert main(['run', '-c', {str(tmp_path / 'none.yaml')!r}]) == 2\nprint(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert {"yaml", "pyproxy.supervise.launch"} <= loaded
    assert not {"argparse", "dataclasses", "typing_extensions"} & loaded
