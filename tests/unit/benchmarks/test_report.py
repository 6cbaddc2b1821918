"""Tables and the picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks import plot
from benchmarks.report import label, render, spread, table
from unit.benchmarks.result import result, scenario
from unit.benchmarks.result import spread as values


def test_a_table_aligns_the_first_column_left_and_others_right() -> None:
    text = table(["name", "µs"], [["a", "1"], ["longer", "22.5"]])
    assert text.splitlines() == ["name      µs", "──────  ────", "a          1", "longer  22.5"]


def test_a_markdown_table_has_a_rule_with_alignment_and_escapes_bars() -> None:
    text = table(["name", "count"], [["a|b", "1"]], markdown=True)
    assert text.splitlines() == ["| name | count |", "| ---- | ----: |", "| a\\|b |     1 |"]


def test_a_spread_shows_its_ends_unless_they_are_the_same() -> None:
    assert spread(values(10.0)) == "10 (9 – 11)"
    assert spread({"median": 3.0, "low": 3.0, "high": 3.0, "n": 1}) == "3"
    assert spread(None) == "–"


def test_slots_are_labelled_as_their_makers_write_them() -> None:
    assert label("haproxy") == "HAProxy"
    assert label("pyproxy (10,000 routes)") == "pyproxy (10,000 routes)"


def test_a_report_names_who_is_missing_and_why() -> None:
    text = render(result(small_64=scenario(8.0, {"nginx": 10.0}, noise=0.02)), markdown=False)
    assert "missing: Envoy: no wheel for this machine" in text
    assert "Pingora is left out: cargo is not installed" in text
    assert "A/A noise (pyproxy against itself, worst round): 2.0 %" in text


def test_a_report_ends_with_the_goals() -> None:
    text = render(result(small_64=scenario(8.0, {"nginx": 10.0})), markdown=True)
    assert text.startswith("# Benchmark")
    assert "## goals" in text
    assert "0.80 (0.72 – 0.88)" in text
    assert "| not measured |" in text


def test_a_report_of_single_figures_shows_every_one() -> None:
    found = result()
    found["singles"] = {
        "memory": {
            "figures": {
                "nginx": {"start_bytes": 1 << 20, "tree_bytes": 2 << 20, "idle_connection_bytes": 5}
            },
            "left_out": {"envoy": "too big"},
        },
        "cold-start": {"figures": {"nginx": {"ms": values(10.0)}}},
        "streaming": {"figures": {"nginx": {"base_bytes": 1 << 20, "growth_bytes": 1 << 19}}},
        "kill": {
            "title": "killed",
            "figures": {
                "keep-alive": {
                    "killed": 2,
                    "requests": 1000,
                    "in_hand": 64,
                    "lost": 60,
                    "refused": 0,
                    "other_errors": 0,
                }
            },
        },
    }
    text = render(found, markdown=False)
    for part in ("memory (PSS)", "Envoy is left out: too big", "cold start", "0.50", "1,000"):
        assert part in text


def test_the_picture_is_well_formed_and_has_two_bars_for_each_contender() -> None:
    text = plot.draw(result(small_64=scenario(8.0, {"nginx": 10.0, "haproxy": 12.0})))
    root = ET.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 2 * 3
    assert "A &lt;fast&gt; one" in text
