"""The pages of the filters are those that their structs make, and their examples are sound."""

from pathlib import Path

import pytest

from pyproxy.config.filters import FILTER_KINDS
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.page import index, one_line, page
from pyproxy.config.load import inspect_texts

ROOT = Path(__file__).parents[4]
PAGES = ROOT / "docs" / "filters"
OWN = [word for word, kind in FILTER_KINDS.items() if issubclass(kind, FilterKind)]


@pytest.mark.parametrize("word", FILTER_KINDS)
def test_the_page_is_up_to_date(word):
    written = (PAGES / f"{word}.md").read_text()
    assert written == page(word), f"run: pyproxy filters {word} --markdown > docs/filters/{word}.md"


def test_the_index_is_up_to_date():
    assert (PAGES / "README.md").read_text() == index(), "run: pyproxy filters --markdown"
    assert {path.stem for path in PAGES.glob("*.md")} == {"README", *FILTER_KINDS}


@pytest.mark.parametrize("word", FILTER_KINDS)
def test_the_first_line_is_a_sentence(word):
    assert one_line(word).endswith(".")
    assert len(one_line(word)) < 100


@pytest.mark.parametrize("word", OWN)
def test_the_example_is_sound_and_run_by_a_test(word):
    entries = "".join(f"  {line}\n" for line in FILTER_KINDS[word].example.splitlines())
    text = "listeners: {w: {bind: '127.0.0.1:0'}}\nupstreams: {app: {endpoints: '127.0.0.1:1'}}\n"
    text += "routes: [{respond: {}}]\nfilters:\n" + entries
    config, faults = inspect_texts([("f.yaml", text)])
    assert faults == []
    assert [ref.kind for ref in config.filters][:1] == [word]
    test = ROOT / "tests" / "e2e" / f"test_filter_{word}.py"
    assert f'filter_example("{word}")' in test.read_text()


def test_no_two_filters_share_a_default_priority():
    found = [FILTER_KINDS[word].default_priority for word in OWN]
    assert len(set(found)) == len(found)
