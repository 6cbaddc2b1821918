"""Modules of the user's folder: loaded anew when they changed, and gone when nobody holds them."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from pathlib import Path

import pytest

from pyproxy._engine import Engine, SnapshotBuilder
from pyproxy.config import modules
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.filters_check import decode_filters, resolve_filters
from pyproxy.config.load import load
from pyproxy.errors import ConfigError
from pyproxy.filters.chain import bind_filters

FILTER = """\
from typing import Optional

import msgspec

from pyproxy.filters.base import Filter, Reply

class Rule(msgspec.Struct):
    prefix: str = "/"

class Shown(Filter):
    class Config(Filter.Config):
        rule: Optional[Rule] = None
        rules: list[Rule] = []

    def request(self, exchange):
        return Reply(200, body={text!r})
"""

YAML = """\
listeners: {w: {bind: "127.0.0.1:0"}}
routes:
  - respond: {}
    filters:
      - python: {use: "shown_here:Shown", config: {rule: {prefix: /a}, rules: [{}]}}
"""


class Site:
    """A folder of modules that the process has not imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def fresh(self) -> modules.Attempt:
        return modules.fresh([str(self.folder)])


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, value in (("_folders", []), ("_on_path", []), ("_loaded", {})):
        monkeypatch.setattr(modules, name, value)
    before = set(sys.modules)
    (tmp_path / "site").mkdir()
    yield Site(tmp_path / "site")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def found(name: str):
    __import__(name)
    return sys.modules[name]


def test_what_has_not_changed_stays(site) -> None:
    site.write("alone_a.py", "N = []\n")
    site.fresh()
    first = found("alone_a")
    site.fresh()
    assert found("alone_a") is first


def test_what_has_changed_is_another_module_and_the_old_one_lives_on(site) -> None:
    site.write("word_a.py", "WORD = 'one'\ndef say(): return WORD\n")
    site.fresh()
    old = found("word_a")
    site.write("word_a.py", "WORD = 'two'\ndef say(): return WORD\n")
    site.fresh()
    assert (old.say(), found("word_a").say()) == ("one", "two")


def test_a_change_within_the_second_and_of_the_same_size_is_seen(site) -> None:
    site.write("quick_a.py", "N = 1\n")
    path = site.folder / "quick_a.py"
    os.utime(path, (1_700_000_000, 1_700_000_000))
    site.fresh()
    assert found("quick_a").N == 1
    site.write("quick_a.py", "N = 2\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    site.fresh()
    assert found("quick_a").N == 2


def test_who_imports_a_changed_module_is_loaded_anew_and_nobody_else(site) -> None:
    site.write("low_a.py", "N = 1\n")
    site.write("middle_a.py", "from low_a import N\n")
    site.write("top_a.py", "def n():\n    import middle_a\n    return middle_a.N\n")
    site.write("other_a.py", "SEEN = []\n")
    site.fresh()
    before = {name: found(name) for name in ("low_a", "middle_a", "top_a", "other_a")}
    assert before["top_a"].n() == 1
    site.write("low_a.py", "N = 2\n")
    site.fresh()
    assert found("top_a").n() == 2
    same = {name for name, module in before.items() if found(name) is module}
    assert same == {"other_a"}


def test_a_package_is_one(site) -> None:
    site.write("pack_a/__init__.py", "from pack_a import inner\n")
    site.write("pack_a/inner.py", "N = 1\n")
    site.write("pack_a/beside.py", "from . import inner\n")
    site.fresh()
    old, beside = found("pack_a"), found("pack_a.beside")
    site.write("pack_a/inner.py", "N = 2\n")
    site.fresh()
    assert found("pack_a").inner.N == 2
    assert found("pack_a.beside").inner.N == 2
    assert (old.inner.N, beside.inner.N) == (1, 1)


def test_a_folder_without_init_is_a_package_too(site) -> None:
    site.write("plain_a/inner.py", "N = 1\n")
    site.fresh()
    assert found("plain_a.inner").N == 1
    site.write("plain_a/inner.py", "N = 2\n")
    site.fresh()
    assert found("plain_a.inner").N == 2
    assert modules.files() == [str(site.folder / "plain_a" / "inner.py")]


def test_modules_of_other_places_stay(site, tmp_path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "library_a.py").write_text("N = 1\n")
    sys.path.append(str(tmp_path / "lib"))
    site.fresh()
    assert found("library_a").N == 1
    (tmp_path / "lib" / "library_a.py").write_text("N = 2\n")
    site.fresh()
    assert found("library_a").N == 1
    assert modules.files() == []


def test_a_folder_that_cannot_be_looked_into_is_no_obstacle(site) -> None:
    site.write("there_a.py", "N = 1\n")
    modules.fresh(["/" + "x" * 5000, str(site.folder)])  # the kernel refuses the name
    assert found("there_a").N == 1
    with pytest.raises(ModuleNotFoundError):
        found("nowhere_a")


def test_undo_puts_everything_back(site) -> None:
    site.write("back_a.py", "N = 1\n")
    site.fresh()
    old = found("back_a")
    site.write("back_a.py", "N = 2\n")
    site.write("more_a.py", "N = 3\n")
    attempt = site.fresh()
    assert (found("back_a").N, found("more_a").N) == (2, 3)
    attempt.undo()
    assert found("back_a") is old
    assert "more_a" not in sys.modules
    site.fresh()
    assert found("back_a").N == 2  # it differs from what is on disk, still


def test_another_folder_takes_the_place_of_the_old_one(site, tmp_path) -> None:
    site.write("moved_a.py", "N = 1\n")
    site.fresh()
    assert found("moved_a").N == 1
    (tmp_path / "next").mkdir()
    (tmp_path / "next" / "moved_a.py").write_text("N = 2\n")
    modules.fresh([str(tmp_path / "next")])
    assert found("moved_a").N == 2
    assert str(site.folder) not in sys.path


# ---- with a configuration


def bound(config):
    (one,) = bind_filters(config).values()
    return one


def test_filters_are_those_of_the_changed_code(site) -> None:
    site.write("pyproxy.yaml", YAML)
    site.write("shown_here.py", FILTER.format(text="one"))
    old = bound(load(site.folder / "pyproxy.yaml"))
    site.write("shown_here.py", FILTER.format(text="two"))
    new = bound(load(site.folder / "pyproxy.yaml"))
    assert [f.phases["request"](None).body for f in (old, new)] == [b"one", b"two"]


def test_faults_leave_the_modules_as_they_were(site) -> None:
    site.write("pyproxy.yaml", YAML)
    site.write("shown_here.py", FILTER.format(text="one"))
    config = load(site.folder / "pyproxy.yaml")
    bound(config)
    old = sys.modules["shown_here"]
    site.write("shown_here.py", "class Shown(:\n")
    (fault,) = resolve_filters(config)
    assert "does not import: SyntaxError: " in fault.message
    assert fault.message.endswith(f" at {site.folder}/shown_here.py:1")
    assert sys.modules["shown_here"] is old


def test_a_config_that_no_longer_fits_is_told_with_the_line_of_the_file(site) -> None:
    site.write("pyproxy.yaml", YAML)
    site.write("shown_here.py", FILTER.format(text="one"))
    config = load(site.folder / "pyproxy.yaml")
    bound(config)
    changed = FILTER.format(text="two").replace("prefix: str", "prefix: int")
    site.write("shown_here.py", changed.replace('"/"', "0"))
    with pytest.raises(ConfigError) as caught:
        bind_filters(config)
    (fault,) = caught.value.faults
    assert (Path(fault.file).name, fault.line) == ("pyproxy.yaml", 5)
    assert fault.path == "routes[0].filters[0].python.config.rule.prefix"


def test_a_hundred_reloads_leave_nothing_behind(site) -> None:
    site.write("pyproxy.yaml", YAML)
    engine = Engine()
    seen = []
    try:
        for i in range(100):
            site.write("shown_here.py", FILTER.format(text=str(i)))
            config = load(site.folder / "pyproxy.yaml")
            engine.install(compile_snapshot(config, SnapshotBuilder(), bind_filters(config)))
            module = sys.modules["shown_here"]
            seen += [weakref.ref(thing) for thing in (module, module.Shown, module.Rule)]
            del module
        gc.collect()
        alive = [i for i, ref in enumerate(seen) if ref() is not None]
        assert alive == [297, 298, 299]
    finally:
        engine.close()
    assert decode_filters(config).faults == []
