"""`pyproxy filters`: the list, and what is known of one."""

import json

from pyproxy.cli.main import main
from pyproxy.config.filters import FILTER_KINDS


def test_the_list_has_every_filter_the_earliest_first(capsys):
    assert main(["filters"]) == 0
    rows = [line.split(None, 2) for line in capsys.readouterr().out.splitlines()[1:]]
    own = [row for row in rows if row[1] in FILTER_KINDS]
    assert {row[1] for row in own} == set(FILTER_KINDS)
    assert [int(row[0]) for row in own] == sorted((int(row[0]) for row in own), reverse=True)
    assert all(row[2].endswith(".") for row in own)


def test_one_filter_is_told_with_its_schema(capsys):
    assert main(["filters", "headers"]) == 0
    page, _, schema = capsys.readouterr().out.partition("## JSON Schema\n\n")
    assert page.startswith("# headers\n")
    assert "HeaderEdits" in json.loads(schema)["$defs"]
    assert main(["filters", "headers", "--schema"]) == 0
    assert capsys.readouterr().out == schema
    assert main(["filters", "headers", "--markdown"]) == 0
    assert capsys.readouterr().out == page.removesuffix("\n")


def test_an_unknown_filter_gets_a_hint(capsys):
    assert main(["filters", "headrs"]) == 1
    assert 'there is no filter "headrs"; did you mean "headers"?' in capsys.readouterr().err
