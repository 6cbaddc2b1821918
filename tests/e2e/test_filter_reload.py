"""The code of filters is loaded anew by a reload."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from testenv import Proxy, get, running, wait_until

CONFIG = """
    workers: 2
    listeners: {web: {bind: "127.0.0.1:0"}}
    watch: WATCH
    routes:
      - respond: {body: none}
        filters: [{python: {use: "audit:Audit", config: {level: 3}}}]
"""

AUDIT = """\
import asyncio, gc, os
from pyproxy import Filter, Reply
from words import WORD

class Audit(Filter):
    class Config(Filter.Config):
        level: int

    async def request(self, exchange):
        if exchange.request.path == "/slow":
            open("waits", "w").close()
            while not os.path.exists("go"):
                await asyncio.sleep(0.01)
        if exchange.request.path == "/alive":
            gc.collect()
            alive = [x for x in gc.get_objects() if getattr(x, "__name__", "") == "Audit"]
            return Reply(200, body=str(len(alive)))
        return Reply(200, {"x-level": str(self.config.level)}, WORD)

    def response(self, exchange):
        exchange.response.headers["x-word"] = WORD
"""


def config(watch: str = "off") -> str:
    return CONFIG.replace("WATCH", watch)


def write(proxy: Proxy, name: str, text: str) -> None:
    (proxy.folder / "new").write_text(text)
    (proxy.folder / "new").replace(proxy.folder / name)


def words(proxy: Proxy) -> set[str]:
    return {get(proxy.port()).text for _ in range(20)}


@pytest.fixture
def files() -> dict[str, str]:
    return {"audit.py": AUDIT, "words.py": "WORD = 'one'\n"}


def test_every_worker_runs_the_changed_code(files) -> None:
    with running(config(), files=files) as proxy:
        assert words(proxy) == {"one"}
        workers = proxy.workers()
        write(proxy, "words.py", "WORD = 'two'\n")
        assert proxy.ask("reload").returncode == 0
        assert words(proxy) == {"two"}
        assert proxy.workers() == workers


def test_an_exchange_ends_with_the_classes_it_began_with(files) -> None:
    with running(config(), files=files) as proxy, ThreadPoolExecutor() as pool:
        slow = pool.submit(get, proxy.port(), "/slow")
        wait_until((proxy.folder / "waits").exists, "the filter waits")
        write(proxy, "words.py", "WORD = 'two'\n")
        assert proxy.ask("reload").returncode == 0
        assert words(proxy) == {"two"}
        (proxy.folder / "go").touch()
        answer = slow.result()
        assert (answer.text, answer.headers["x-word"]) == ("one", "one")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("words.py", "WORD = 'two\n", "words.py:1"),
        ("words.py", "\nraise RuntimeError('no luck')\n", "RuntimeError: no luck at "),
        ("audit.py", AUDIT.replace("class Audit", "class Other"), 'has no "Audit"'),
        ("audit.py", AUDIT.replace("level: int", "level: str\n        more: int"), '"more" is'),
        ("audit.py", AUDIT.replace("level: int", "limit: int"), "pyproxy.yaml:7:"),
    ],
)
def test_code_that_cannot_be_used_is_refused_and_the_old_serves_on(
    files, name: str, text: str, says: str
) -> None:
    with running(config(), files=files) as proxy:
        write(proxy, name, text)
        asked = proxy.ask("reload")
        assert asked.returncode == 2
        assert says in asked.stderr
        assert words(proxy) == {"one"}
        write(proxy, name, files[name])
        write(proxy, "words.py", "WORD = 'three'\n")
        assert proxy.ask("reload").returncode == 0
        assert words(proxy) == {"three"}


def test_a_filter_can_come_with_a_reload(files) -> None:
    bare = config().replace("filters:", "# filters:")
    with running(bare, files=files) as proxy:
        assert words(proxy) == {"none"}
        asked = proxy.reload(config())
        assert asked.returncode == 0, asked.stderr
        assert words(proxy) == {"one"}


def test_code_is_watched_as_the_file_is(files) -> None:
    with running(config("on"), files=files) as proxy:
        write(proxy, "words.py", "WORD = 'two'\n")
        proxy.wait_for("configuration 2 is served")
        assert words(proxy) == {"two"}
        write(proxy, "words.py", "WORD = (\n")
        proxy.wait_for("the configuration stays as it was")
        write(proxy, "words.py", "from deeper import WORD\n")
        write(proxy, "deeper.py", "WORD = 'three'\n")
        proxy.wait_for("configuration 3 is served")
        write(proxy, "deeper.py", "WORD = 'four'\n")
        proxy.wait_for("configuration 4 is served")
        assert words(proxy) == {"four"}


def test_old_classes_go_away(files) -> None:
    with running(config().replace("workers: 2", "workers: 1"), files=files) as proxy:
        for i in range(20):
            write(proxy, "words.py", f"WORD = '{i}'\n")
            assert proxy.ask("reload").returncode == 0
        # Nobody has a connection that holds an old snapshot.
        wait_until(lambda: get(proxy.port(), "/alive").text == "1", "one class is left")
