"""The examples of the documentation and of the examples folder are sound."""

import re
from pathlib import Path

import pytest

from pyproxy.config.load import inspect, inspect_texts

ROOT = Path(__file__).parents[3]
PAGES = [(ROOT / "docs" / name).read_text() for name in ("configuration.md", "tls.md")]
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [block for page in PAGES for block in YAML.findall(page)]

# What a block that shows one part leaves out.
REST = {
    "listeners": "listeners: {web: {bind: '127.0.0.1:8080'}}\n",
    "upstreams": "upstreams: {app: {endpoints: '127.0.0.1:9000'}}\n",
    "routes": "routes: [{upstream: app}]\n",
}


def completed(block):
    return block + "".join(
        text for key, text in REST.items() if not re.search(rf"^{key}:", block, re.MULTILINE)
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
