"""The examples of the documentation and of the examples folder are sound."""

import re
from pathlib import Path

import pytest

from pyproxy._wire import variable_rows
from pyproxy.config.load import inspect, inspect_texts

ROOT = Path(__file__).parents[3]
PAGES = [
    (ROOT / "docs" / name).read_text()
    for name in (
        "configuration.md",
        "discovery.md",
        "health.md",
        "overload.md",
        "resilience.md",
        "routing.md",
        "tls.md",
    )
]
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [block for page in PAGES for block in YAML.findall(page)]

# What a block that shows one part leaves out.
REST = {
    "listeners": "listeners: {web: {bind: '127.0.0.1:8080'}}\n",
    "upstreams": "upstreams: {app: {endpoints: '127.0.0.1:9000'}}\n",
    "routes": "routes: [{upstream: app}]\n",
}


def completed(block):
    rest = dict(REST)
    if "protocol: tcp" in block:
        del rest["routes"]  # those are of HTTP
    return block + "".join(
        text for key, text in rest.items() if not re.search(rf"^{key}:", block, re.MULTILINE)
    )


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0][:40])
def test_every_block_of_the_documentation_loads(block, monkeypatch, tmp_path):
    monkeypatch.setenv("BACKEND_TOKEN", "x")
    (tmp_path / "message.txt").write_text("hello\n")
    assert inspect_texts([(str(tmp_path / "pyproxy.yaml"), completed(block))]).faults == []


def test_the_documentation_has_blocks():
    assert len(BLOCKS) >= 10


@pytest.mark.parametrize(
    "file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda file: file.name
)
def test_every_example_is_sound(file):
    assert inspect(file).faults == []


def test_the_library_example_of_the_routing_page_runs(capsys):
    page = (ROOT / "docs" / "routing.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(block, "docs/routing.md", "exec"), {})
    assert "header.x-version compares as asked: no" in capsys.readouterr().out


def test_the_routing_page_lists_every_variable():
    page = (ROOT / "docs" / "routing.md").read_text()
    begin, end = "<!-- variables: begin -->\n", "<!-- variables: end -->"
    written = page.partition(begin)[2].partition(end)[0]
    rows = [
        f"| `{name}NAME` | {meaning} |" if name.endswith(".") else f"| `{name}` | {meaning} |"
        for name, meaning in variable_rows()
    ]
    assert written.splitlines() == ["| variable | what it is |", "| --- | --- |", *rows]
