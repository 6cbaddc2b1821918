"""Counters as Prometheus text."""

from __future__ import annotations

import re
from mmap import mmap

from pyproxy._counters import (
    StatSegment,
    metric_buckets,
    metric_histogram,
    metric_rows,
    metric_words,
)
from pyproxy.admin import metrics
from pyproxy.admin.metrics import Family


class Words:
    """A segment whose words are set by hand: {(kind, name): {word: value}}."""

    def __init__(self, records: dict[tuple[str, str], dict[int, int]]) -> None:
        self._records, self._words = [], []
        for (kind, name), values in records.items():
            self._records.append((kind, name, len(self._words), metric_words(kind)))
            self._words += [values.get(i, 0) for i in range(metric_words(kind))]

    def records(self):
        return self._records

    def sum(self, index: int) -> int:
        return self._words[index]


def word(family: str, labels: str = "") -> int:
    return next(row[2] for row in metric_rows() if (row[4], row[5]) == (family, labels))


def samples(page: str) -> dict[str, str]:
    lines = (line for line in page.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in (line.rpartition(" ") for line in lines)}


def test_a_counter_has_the_label_of_its_record_and_of_its_row() -> None:
    ok = word("requests_total", 'code="2xx"')
    page = metrics.render(Words({("route", "api"): {ok: 7}, ("route", "web"): {ok: 8}}))
    assert samples(page)['pyproxy_requests_total{route="api",code="2xx"}'] == "7"
    assert samples(page)['pyproxy_requests_total{route="web",code="2xx"}'] == "8"


def test_a_kind_without_label_has_none() -> None:
    page = metrics.render(Words({("worker", ""): {word("loop_turns_total"): 3}}))
    assert samples(page)["pyproxy_loop_turns_total"] == "3"


def test_help_and_type_come_once_and_first() -> None:
    page = metrics.render(Words({("route", "a"): {}, ("route", "b"): {}, ("worker", ""): {}}))
    for family in set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)):
        lines = [line for line in page.splitlines() if re.search(rf"\b{family}\b", line)]
        assert lines[0].startswith(f"# HELP {family} ")
        assert lines[1].startswith(f"# TYPE {family} ")
        assert not any(line.startswith("#") for line in lines[2:])


def test_lines_of_a_family_stand_together() -> None:
    page = metrics.render(Words({("route", "a"): {}, ("upstream", "u"): {}, ("route", "b"): {}}))
    names = [
        re.sub(r"_(bucket|sum|count)$", "", re.split(r"[{ ]", line)[0])
        for line in page.splitlines()
        if not line.startswith("#")
    ]
    runs = [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    assert len(runs) == len(set(runs))


def test_label_values_are_escaped() -> None:
    page = metrics.render(Words({("route", 'a"b\\c\nd'): {}}))
    assert 'route="a\\"b\\\\c\\nd"' in page
    assert all(line for line in page.splitlines())


def test_histograms_are_cumulative_and_in_seconds() -> None:
    first = metric_histogram("route")
    assert first is not None
    counts = {first: 5, first + 2: 3, first + len(metric_buckets()): 2}
    total_us = {first + len(metric_buckets()) + 1: 2_500_000}
    found = samples(metrics.render(Words({("route", "api"): {**counts, **total_us}})))
    name = "pyproxy_request_duration_seconds"
    assert found[f'{name}_bucket{{route="api",le="0.00025"}}'] == "5"
    assert found[f'{name}_bucket{{route="api",le="0.0005"}}'] == "5"
    assert found[f'{name}_bucket{{route="api",le="0.001"}}'] == "8"
    assert found[f'{name}_bucket{{route="api",le="10.0"}}'] == "8"
    assert found[f'{name}_bucket{{route="api",le="+Inf"}}'] == "10"
    assert found[f'{name}_count{{route="api"}}'] == "10"
    assert found[f'{name}_sum{{route="api"}}'] == "2.5"


def test_the_shared_record_is_shown_only_when_it_counted() -> None:
    ok = word("requests_total", 'code="4xx"')
    assert 'route="-"' not in metrics.render(Words({("route", "-"): {}}))
    assert 'route="-"' in metrics.render(Words({("route", "-"): {ok: 1}}))


def test_a_real_segment_is_summed_over_its_columns() -> None:
    words = metric_words("worker")
    memory = mmap(-1, StatSegment.size(2, words, 256))
    segment = StatSegment.format(memory, columns=2, words=words, dir_bytes=256)
    segment.define("worker", "")
    assert samples(metrics.render(segment))["pyproxy_loop_turns_total"] == "0"


def test_what_supervisors_count_has_no_label() -> None:
    values = {word("config_reloads_total"): 3, word("generation"): 2}
    page = metrics.render(Words({("supervisor", ""): values}))
    assert samples(page)["pyproxy_config_reloads_total"] == "3"
    assert samples(page)["pyproxy_generation"] == "2"
    assert "# TYPE pyproxy_config_last_reload_successful gauge\n" in page


def test_moved_connections_are_told_by_direction() -> None:
    out = word("connections_moved_total", 'direction="out"')
    found = samples(metrics.render(Words({("listener", "web"): {out: 4}})))
    assert found['pyproxy_connections_moved_total{listener="web",direction="out"}'] == "4"
    assert found['pyproxy_connections_moved_total{listener="web",direction="in"}'] == "0"


def test_the_process_families() -> None:
    workers = [
        {"slot": 0, "pid": 1, "state": "ready", "restarts": 0},
        {"slot": 1, "pid": 0, "state": "down", "restarts": 4},
    ]
    page = metrics.render(Words({}), metrics.process_families(workers, 12.5, 1000.0))
    found = samples(page)
    assert found['pyproxy_workers{state="ready"}'] == "1"
    assert found['pyproxy_workers{state="down"}'] == "1"
    assert found["pyproxy_uptime_seconds"] == "12.5"
    assert found["pyproxy_start_time_seconds"] == "1000.0"
    assert any(name.startswith("pyproxy_build_info{") for name in found)


def test_help_texts_stay_on_one_line() -> None:
    family = Family("x", "gauge", "one\ntwo \\ three")
    assert next(family.render()) == "# HELP pyproxy_x one\\ntwo \\\\ three\n"


def test_the_shared_table_is_reckoned_from_the_part_that_was_looked_at() -> None:
    class Table:
        def look(self, now_ns: int) -> tuple[int, int, int, int]:
            return 1000, 100, 25, 7

    text = "".join(
        line for family in metrics.shared_families(Table(), 1) for line in family.render()
    )
    assert "pyproxy_shared_memory_cells 1000\n" in text
    assert "pyproxy_shared_memory_cells_used 250\n" in text
    assert "pyproxy_shared_memory_evictions_total 7\n" in text
