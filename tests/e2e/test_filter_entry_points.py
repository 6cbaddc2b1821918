"""A filter that another package announces, in real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from testenv import run_to_end, running

MODULE = """
from typing import Annotated
from msgspec import Meta
from pyproxy import Filter, Reply

class Greeting(Filter):
    class Config(Filter.Config):
        word: Annotated[str, Meta(min_length=1)]

    def request(self, exchange):
        return Reply(200, body=self.config.word)
"""
CONFIG = """
workers: 1
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
routes: [{{filters: [{{tests-greeting: {options}}}]}}]
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    info = tmp_path / "greeting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pyproxy.filters]\ntests-greeting = tests_greeting:Greeting\n"
    )
    (tmp_path / "tests_greeting.py").write_text(MODULE)
    return {"PYTHONPATH": str(tmp_path)}


def test_it_runs_by_its_word(env) -> None:
    with running(CONFIG.format(options="{word: hello}"), env=env) as proxy:
        assert proxy.get("/").text == "hello"


def test_options_against_its_schema_keep_the_proxy_from_starting(env) -> None:
    ended = run_to_end(CONFIG.format(options='{word: "", more: 1}'), env=env)
    assert ended.status == 2
    assert ":4:" in ended.stderr
    assert 'routes[0].filters[0].tests-greeting.more: unknown key "more"' in ended.stderr
    assert "routes[0].filters[0].tests-greeting.word" in ended.stderr
