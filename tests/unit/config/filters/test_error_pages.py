"""The options of the filter `error_pages`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.filters.error_pages import ErrorPagesFilter
from pyproxy.config.filters.statuses import status_range
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n"
    "  - error_pages:\n      "
)
AT = "filters[0].error_pages"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("pages: []", f"5:14: {AT}.pages: this list is too short"),
        ("pages: [{status: 404}]", f"5:15: {AT}.pages[0]: a page without a body"),
        ("pages: [{html: x}]", f'5:15: {AT}.pages[0]: "status" is missing'),
        (
            "pages: [{status: 404, text: a}, {status: [500, 200], text: b}]",
            f'5:54: {AT}.pages[1].status[1]: "200" is not the status of an error',
        ),
        ("pages: [{status: 6xx, text: a}]", f'5:24: {AT}.pages[0].status: "6xx" is not'),
        ("pages: [{status: 510-500, text: a}]", f'5:24: {AT}.pages[0].status: "510-500" is'),
        (
            "pages: [{status: 404, json: a, json_file: b}]",
            f"5:49: {AT}.pages[0].json_file: a page has json or json_file, not both",
        ),
        (
            "pages: [{status: 404, html_file: /nowhere/at.all}]",
            f"5:40: {AT}.pages[0].html_file: /nowhere/at.all cannot be read: No such file",
        ),
        ("pages: [{status: 404, html_file: /dev/null}]", f"5:40: {AT}.pages[0].html_file: /dev/n"),
        ("{upstream: 7, pages: [{status: 404, text: a}]}", f"5:18: {AT}.upstream: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert str(faults[0]).removeprefix("f.yaml:").startswith(fault)


def test_the_data_plane_takes_what_is_right():
    options = "pages: [{status: [4xx, 500-502, 504], html: '{path}', json: '{', text: ''}]"
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})


def test_files_are_found_beside_the_configuration(tmp_path):
    (tmp_path / "page.html").write_text("<p>Grüße {host}</p>")
    file = tmp_path / "proxy.yaml"
    text = BASE + "pages: [{status: 404, html_file: page.html}]"
    config, faults = inspect_texts([(str(file), text)])
    assert faults == []
    options = config.filters[0].options
    assert isinstance(options, ErrorPagesFilter)
    page = {"status": [404, 404], "html": "<p>Grüße {host}</p>"}
    assert options.options() == {"upstream": False, "pages": [page]}


@pytest.mark.parametrize(("data", "why"), [(b"\xff", "not UTF-8"), (b"x" * (2**20 + 1), "large")])
def test_files_that_are_no_pages_are_refused(tmp_path, data, why):
    (tmp_path / "page").write_bytes(data)
    text = BASE + f"pages: [{{status: 404, text_file: {tmp_path / 'page'}}}]"
    _, faults = inspect_texts([("f.yaml", text)])
    assert why in str(faults[0])


def test_statuses_are_one_or_a_range_or_a_class():
    assert status_range("404") == (404, 404)
    assert status_range("500-504") == (500, 504)
    assert status_range("5xx") == (500, 599)
    assert [status_range(t) for t in ("", "xx", "0xx", "99", "600", "404-", "5x", "٤٠٤")] == [
        None
    ] * 8
