"""Endpoints that come and go while the proxy serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testenv import Origin, Proxy, Reply, get, origin, running, wait_until
from testenv.dns_server import DnsServer, dns_server

CONFIG = """
    workers: {workers}
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    admin: "127.0.0.1:0"
    upstreams:
      app:
        discover: {discover}
        timeouts: {{connect: 2s}}
    routes: [{{upstream: app}}]
"""


def named(name: str) -> Iterator[Origin]:
    return origin(lambda _request: Reply(body=name.encode()))


def told_by(proxy: Proxy, count: int = 12) -> set[str]:
    """Who answers; what is no answer of an origin, by its status."""
    answers = [get(proxy.port()) for _ in range(count)]
    return {a.text if a.status == 200 else str(a.status) for a in answers}


def await_answers(proxy: Proxy, *names: str) -> None:
    wait_until(lambda: told_by(proxy) == set(names), f"answers of {names}: {proxy.stderr}")


def discovery(proxy: Proxy) -> dict[str, object]:
    return json.loads(proxy.admin("/upstreams").text)["discovery"]["app"]


def rows(proxy: Proxy) -> list[dict[str, object]]:
    return json.loads(proxy.admin("/upstreams").text)["upstreams"]["app"]


# ---- names


@pytest.fixture
def same_port() -> Iterator[list[Origin]]:
    """Three origins that differ in their addresses alone."""
    with ExitStack() as stack:
        first = stack.enter_context(named("1"))
        others = [
            stack.enter_context(
                origin(
                    lambda _request, n=n: Reply(body=n.encode()), at=(f"127.0.0.{n}", first.port)
                )
            )
            for n in "23"
        ]
        yield [first, *others]


def asks(server: DnsServer, more: str) -> str:
    return f'{{dns: {{servers: "{server.address}", min_ttl: 200ms, timeout: 1s, {more}}}}}'


def test_the_addresses_of_a_name_are_followed(tmp_path: Path, same_port: list[Origin]) -> None:
    with dns_server(tmp_path) as server:
        server.serve({"app.test": ["127.0.0.1", "127.0.0.2"]}, {})
        source = asks(server, f"name: app.test, port: {same_port[0].port}")
        with running(CONFIG.format(workers=2, discover=source)) as proxy:
            workers = proxy.workers()
            assert told_by(proxy) == {"1", "2"}  # they are known from the first request on
            server.serve({"app.test": ["127.0.0.2", "127.0.0.3"]}, {})
            await_answers(proxy, "2", "3")
            assert [row["address"] for row in rows(proxy)] == [o.address for o in same_port[1:]]
            assert proxy.workers() == workers
            assert proxy.status()["generations"][0]["revision"] == 1
            assert discovery(proxy)["source"] == "dns app.test ip"
            assert discovery(proxy)["found"] == 2


def test_what_was_found_last_stays_when_name_servers_fail(
    tmp_path: Path, same_port: list[Origin]
) -> None:
    with dns_server(tmp_path) as server:
        server.serve({"app.test": ["127.0.0.1"]}, {})
        source = asks(server, f"name: app.test, type: a, port: {same_port[0].port}")
        with running(CONFIG.format(workers=2, discover=source)) as proxy:
            assert told_by(proxy) == {"1"}
            server.serve({"other.test": ["127.0.0.2"]}, {})
            proxy.wait_for("app.test: there is no such name; what was found before stays in use")
            server.stop()
            wait_until(lambda: discovery(proxy)["failures"] >= 3, "failures are counted")
            assert told_by(proxy) == {"1"}
            assert proxy.stderr.count("there is no such name") == 1  # each trouble is told once
            assert proxy.metrics()['pyproxy_discovery_failures_total{upstream="app"}'] >= 3
            shown = proxy.ask("upstream", "app").stdout
            assert "found by dns app.test a" in shown
            assert "error: app.test" in shown
            server.serve({"app.test": ["127.0.0.2"]}, {})
            await_answers(proxy, "2")
            assert discovery(proxy)["error"] == ""


def test_services_have_weights_and_tiers(tmp_path: Path) -> None:
    with (
        dns_server(tmp_path) as server,
        named("heavy") as heavy,
        named("light") as light,
        named("backup") as backup,
    ):
        targets = {f"{name}.test": ["127.0.0.1"] for name in ("heavy", "light", "backup")}
        service = "_http._tcp.app.test"
        records = [
            ("heavy.test", heavy.port, 10, 3),
            ("light.test", light.port, 10, 1),
            ("backup.test", backup.port, 20, 1),
        ]
        server.serve(targets, {service: records})
        source = asks(server, f"name: {service}, type: srv")
        with running(CONFIG.format(workers=1, discover=source)) as proxy:
            answers = [get(proxy.port()).text for _ in range(16)]
            assert {name: answers.count(name) for name in set(answers)} == {"heavy": 12, "light": 4}
            found = {row["address"]: (row["weight"], row["tier"]) for row in rows(proxy)}
            assert found == {heavy.address: (3, 0), light.address: (1, 0), backup.address: (1, 1)}
            server.serve(targets, {service: records[2:]})
            await_answers(proxy, "backup")


def test_a_service_without_endpoints_answers_503_until_some_are_found(tmp_path: Path) -> None:
    with dns_server(tmp_path) as server, named("1") as one:
        server.serve({}, {})
        source = asks(server, f"name: app.test, port: {one.port}")
        with running(CONFIG.format(workers=2, discover=source)) as proxy:
            assert told_by(proxy) == {"503"}
            server.serve({"app.test": ["127.0.0.1"]}, {})
            await_answers(proxy, "1")


# ---- files


def test_a_file_is_watched_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    with named("1") as one, named("2") as two:
        file = tmp_path / "endpoints.yaml"
        file.write_text(f"- {one.address}\n")
        config = CONFIG.format(workers=2, discover="{file: endpoints.yaml}")
        with running(config, folder=tmp_path) as proxy:
            assert told_by(proxy) == {"1"}
            file.write_text(f"endpoints:\n  - {{address: {two.address}, weight: 2}}\n")
            await_answers(proxy, "2")
            file.write_text(f"- {one.address}\n- {{address: localhost:80}}\n- nonsense\n")
            proxy.wait_for(f"{file}:2:13: [1].address:")
            assert f"{file}:3:3:" in proxy.stderr
            assert told_by(proxy) == {"2"}
            new = tmp_path / "new"
            new.write_text(json.dumps({"endpoints": [one.address, {"address": two.address}]}))
            new.replace(file)
            await_answers(proxy, "1", "2")
            file.unlink()
            proxy.wait_for("No such file or directory; what was found before stays in use")
            assert told_by(proxy) == {"1", "2"}


def test_orders_of_operators_outlast_what_is_found(tmp_path: Path) -> None:
    with named("1") as one, named("2") as two, named("3") as three:
        file = tmp_path / "endpoints.yaml"
        file.write_text(f"[{one.address}, {two.address}]")
        config = CONFIG.format(workers=2, discover="{file: endpoints.yaml}")
        with running(config, folder=tmp_path) as proxy:
            assert proxy.ask("upstream", "app", one.address, "--state", "drain").returncode == 0
            await_answers(proxy, "2")
            file.write_text(f"[{one.address}, {three.address}]")
            await_answers(proxy, "3")
            state = {row["address"]: row["state"] for row in rows(proxy)}
            assert state == {one.address: "drain", three.address: "ready"}


def test_a_reload_keeps_what_was_found_and_takes_other_sources(tmp_path: Path) -> None:
    with named("1") as one, named("2") as two:
        (tmp_path / "a.yaml").write_text(f"- {one.address}\n")
        (tmp_path / "b.yaml").write_text(f"- {two.address}\n")
        config = CONFIG.format(workers=2, discover="{file: a.yaml}")
        with running(config, folder=tmp_path) as proxy:
            assert told_by(proxy) == {"1"}
            assert proxy.reload(config.replace("2s", "3s")).returncode == 0
            assert told_by(proxy) == {"1"}
            assert proxy.reload(config.replace("a.yaml", "b.yaml")).returncode == 0
            assert told_by(proxy) == {"2"}
            (tmp_path / "a.yaml").write_text(f"- {one.address}\n- 127.0.0.1:1\n")
            (tmp_path / "b.yaml").write_text(f"- {one.address}\n- {two.address}\n")
            await_answers(proxy, "1", "2")


def test_the_first_source_may_come_with_a_reload(tmp_path: Path) -> None:
    with named("1") as one, named("2") as two:
        file = tmp_path / "a.yaml"
        file.write_text(f"- {two.address}\n")
        config = CONFIG.format(workers=1, discover="{file: a.yaml}").replace(
            'admin: "127.0.0.1:0"', ""
        )
        first = config.replace("discover: {file: a.yaml}", f'endpoints: "{one.address}"')
        with running(first, folder=tmp_path) as proxy:
            assert told_by(proxy) == {"1"}
            assert not proxy.children("pyproxy-control")
            assert proxy.reload(config).returncode == 0
            assert told_by(proxy) == {"2"}
            wait_until(lambda: proxy.children("pyproxy-control"), "somebody watches the file")
            file.write_text(f"- {one.address}\n")
            await_answers(proxy, "1")


# ---- connections and filters


def test_connections_to_endpoints_that_stay_are_kept(tmp_path: Path) -> None:
    with named("1") as one, named("2") as two:
        file = tmp_path / "endpoints.yaml"
        file.write_text(f"- {one.address}\n")
        config = CONFIG.format(workers=1, discover="{file: endpoints.yaml}")
        with running(config, folder=tmp_path) as proxy:
            assert told_by(proxy) == {"1"}
            for turn in range(2):
                file.write_text(f"- {one.address}\n" + f"- {two.address}\n" * (1 - turn))
                await_answers(proxy, *(("1",) if turn else ("1", "2")))
            assert one.connections == 1


FILTER = """
    from pyproxy import Filter

    made = 0

    class Count(Filter):
        def __init__(self, config):
            global made
            made += 1
            self.number = made

        def response(self, exchange):
            exchange.response.headers["made"] = str(self.number)
"""


def test_filters_are_not_made_anew(tmp_path: Path) -> None:
    with named("1") as one, named("2") as two:
        file = tmp_path / "endpoints.yaml"
        file.write_text(f"- {one.address}\n")
        config = CONFIG.format(workers=1, discover="{file: endpoints.yaml}").replace(
            "{upstream: app}", '{upstream: app, filters: [{python: {use: "own:Count"}}]}'
        )
        with running(config, folder=tmp_path, files={"own.py": FILTER}) as proxy:
            assert get(proxy.port()).headers["made"] == "1"
            file.write_text(f"- {two.address}\n")
            await_answers(proxy, "2")
            assert get(proxy.port()).headers["made"] == "1"


def test_nothing_is_lost_while_endpoints_come_and_go(tmp_path: Path) -> None:
    with ExitStack() as stack:
        apps = [stack.enter_context(named(str(n))) for n in range(4)]
        file = tmp_path / "endpoints.yaml"
        file.write_text(f"- {apps[0].address}\n")
        config = CONFIG.format(workers=2, discover="{file: endpoints.yaml}")
        with running(config, folder=tmp_path) as proxy:
            statuses: list[int] = []
            done = threading.Event()

            def load() -> None:
                while not done.is_set():
                    statuses.append(get(proxy.port()).status)

            threads = [threading.Thread(target=load) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                for turn in range(4):
                    chosen = {apps[turn % 4].address, apps[(turn + 1) % 4].address}
                    file.write_text("".join(f"- {address}\n" for address in sorted(chosen)))
                    wait_until(
                        lambda chosen=chosen: {row["address"] for row in rows(proxy)} == chosen,
                        "the endpoints are served",
                    )
            finally:
                done.set()
                for thread in threads:
                    thread.join()
            assert set(statuses) == {200}
            assert proxy.stderr.count("were found") <= 8
