"""Files of endpoints."""

import asyncio

import pytest

from pyproxy.config.sections_discovery import FileSource
from pyproxy.control.discovery.base import DiscoveryError, Found
from pyproxy.control.discovery.file_source import FileWatch, read


@pytest.mark.parametrize(
    "text",
    [
        "- 10.0.0.1:80\n- {address: '[::1]:80', weight: 2, backup: true, drain: true}\n",
        "endpoints: ['10.0.0.1:80', {address: '[::1]:80', weight: 2, priority: 1, drain: on}]",
        '["10.0.0.1:80", {"address": "[::1]:80", "weight": 2, "priority": 1, "drain": true}]',
    ],
)
def test_what_a_file_may_say(tmp_path, text):
    (tmp_path / "a").write_text(text)
    assert read(str(tmp_path / "a")) == [
        Found("10.0.0.1:80"),
        Found("[::1]:80", 2, 1, drain=True),
    ]


def test_none_is_an_answer(tmp_path):
    (tmp_path / "a").write_text("[]")
    assert read(str(tmp_path / "a")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a.test:80\n- 10.0.0.1:80\n", ':1:3: [0]: "a.test:80" is not a numeric address'),
        ("- {address: a.test:80}\n", ':1:13: [0].address: "a.test:80" is not a numeric address'),
        ("- {address: '10.0.0.1:80', weigth: 1}\n", 'unknown key "weigth"'),
        ("- {address: '10.0.0.1:80', weight: 0}\n", '"0" is out of range'),
        ("endpoints: {}\n", "this must be a list of endpoints"),
        ("other: []\n", '"endpoints" is missing'),
        ("- [\n", "not valid YAML"),
        ("", "this must be a list of endpoints"),
        (f"[{'x,' * 1001}]", "1001 endpoints are more than 1000"),
        ("x" * 1_048_577, "larger than 1 MiB"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_faults_have_their_place(tmp_path, text, said):
    file = tmp_path / "a"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DiscoveryError) as raised:
        read(str(file))
    assert str(raised.value).startswith(str(file))
    assert said in str(raised.value)


def test_a_file_that_stays_is_read_once(tmp_path):
    file = tmp_path / "a"
    file.write_text("[]")

    async def look():
        seen = []
        async for found in FileWatch(FileSource(path=str(file)), pause=0).watch():
            seen.append(found)
            if len(seen) == 2:
                return seen
            asyncio.get_running_loop().call_later(0.01, file.write_text, "- 10.0.0.1:80\n")
        return seen

    assert asyncio.run(look()) == [[], [Found("10.0.0.1:80")]]
