"""The access log: what a line holds, where it goes, and that clients cannot forge it."""

from __future__ import annotations

import json
import re
import signal

from testenv import Reply, origin, running, wait_until
from testenv.raw import dial, request

KEYS = {
    "time", "client_address", "method", "host", "target", "protocol", "request_bytes", "status",
    "response_bytes", "duration_ms", "listener", "route", "upstream", "endpoint", "upstream_status",
    "upstream_attempts", "upstream_connect_ms", "upstream_first_byte_ms", "fault", "id",
    "upstream_queue_ms",
}  # fmt: skip


def lines_of(proxy, count: int) -> list[str]:
    wait_until(lambda: len(proxy.stdout.splitlines()) >= count, f"{count} lines in the access log")
    return proxy.stdout.splitlines()


def test_a_json_line_tells_all_about_an_exchange() -> None:
    with (
        origin(lambda seen: Reply(status=203, body=b"answer")) as app,
        running(f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{name: all, upstream: app}}]
            access_log: stdout
        """) as proxy,
    ):
        proxy.get("/p?q=1", method="POST", body=b"question", host="h.test:81")
        (line,) = lines_of(proxy, 1)
        entry = json.loads(line)
        assert entry.pop("endpoint").endswith(app.address)
    assert set(entry) == KEYS - {"endpoint"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    durations = [
        entry.pop(k) for k in ("duration_ms", "upstream_connect_ms", "upstream_first_byte_ms")
    ]
    assert all(isinstance(value, int | float) and value >= 0 for value in durations)
    assert entry.pop("id") >= 1
    assert entry == {
        "client_address": "127.0.0.1",
        "method": "POST",
        "host": "h.test:81",
        "target": "/p?q=1",
        "protocol": "HTTP/1.1",
        "request_bytes": 8,
        "status": 203,
        "response_bytes": 6,
        "listener": "web",
        "route": "all",
        "upstream": "app",
        "upstream_status": 203,
        "upstream_attempts": 1,
        "fault": None,
        "upstream_queue_ms": None,
    }


def test_a_line_for_a_request_that_never_got_anywhere() -> None:
    with running("""
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{match: {path: /x}, respond: {}}]
        access_log: stdout
    """) as proxy:
        with dial(proxy.port()) as client:
            client.send(b"nonsense\r\n\r\n")
            client.read_to_end()
        proxy.get("/nowhere")
        entries = [json.loads(line) for line in lines_of(proxy, 2)]
    assert entries[0]["status"] in (400, 505)
    assert entries[0]["fault"].startswith("bad_")
    assert (entries[1]["status"], entries[1]["fault"], entries[1]["route"]) == (
        404,
        "no_route",
        "-",
    )


def test_a_format_of_ones_own() -> None:
    with running("""
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{match: {path: "/a/*"}, respond: {body: hello, headers: {x-kind: greeting}}}]
        access_log:
          path: stdout
          format: '{client.address} "{request.method} {request.path} {request.query}
            {request.protocol}" {response.status} {response.bytes} {request.header.User-Agent}
            {response.header.X-Kind} {request.header.None} {{{route}}} {fault}'
    """) as proxy:
        proxy.get("/a/./b?q=1", headers={"user-agent": 'me "and" you\\'})
        (line,) = lines_of(proxy, 1)
    assert line.startswith('127.0.0.1 "GET /a/b q=1 HTTP/1.1" 200 5 me ')
    assert line.endswith(" greeting - {route-0} -")


def test_clients_cannot_forge_lines() -> None:
    with running("""
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{respond: {}}]
        access_log: {path: stdout, format: '"{request.header.x}" "{request.target}"'}
    """) as proxy:
        with dial(proxy.port()) as client:
            client.send(request('/%22?a"b', 'X: a"\x85\xff\tb\\'))
            client.read_head()
        (line,) = lines_of(proxy, 1)
    assert line.count('"') == 4
    assert "\t" not in line
    assert line.isascii()


def test_json_lines_stay_json_whatever_clients_send() -> None:
    with running("""
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{respond: {}}]
        access_log: stdout
    """) as proxy:
        target = '/\'{}"?"\\&<>'
        with dial(proxy.port()) as client:
            client.send(request(target))
            client.read_head()
        (line,) = lines_of(proxy, 1)
    assert json.loads(line)["target"] == target


def test_very_long_values_are_cut_and_the_line_stays_json() -> None:
    with running("""
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{respond: {}}]
        access_log: stdout
    """) as proxy:
        proxy.get("/" + "a" * 8000)
        (line,) = lines_of(proxy, 1)
    target = json.loads(line)["target"]
    assert target.startswith("/aaaa")
    assert len(target) <= 4200


def test_the_log_file_is_opened_again_at_sigusr1(tmp_path) -> None:
    path = tmp_path / "access.log"
    with running(f"""
        workers: 2
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        routes: [{{respond: {{}}}}]
        access_log: {path}
    """) as proxy:
        proxy.get("/before")
        wait_until(lambda: "/before" in path.read_text(), "the line is written")
        path.rename(tmp_path / "access.log.1")
        proxy.signal(signal.SIGUSR1)
        wait_until(path.exists, "the file is made anew")

        def all_workers_write() -> bool:
            proxy.get("/after")
            old = (tmp_path / "access.log.1").read_text().count("/after")
            return "/after" in path.read_text() and old < 50

        wait_until(all_workers_write, "lines go to the new file")


def test_a_route_or_a_listener_may_have_no_log() -> None:
    with running("""
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}, quiet: {bind: "127.0.0.1:0", access_log: off}}
        routes:
          - {match: {path: /healthz}, respond: {}, access_log: off}
          - {respond: {}}
        access_log: stdout
    """) as proxy:
        proxy.get("/healthz")
        proxy.get("/silent", listener="quiet")
        proxy.get("/told")
        (line,) = lines_of(proxy, 1)
    assert json.loads(line)["target"] == "/told"


def test_all_lines_of_all_workers_arrive_whole() -> None:
    with running("""
        workers: 2
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{respond: {}}]
        access_log: stdout
    """) as proxy:
        for n in range(20):
            with dial(proxy.port()) as client:
                client.send(request(f"/{n}") * 50)
                for _ in range(50):
                    client.read_head()
        entries = [json.loads(line) for line in lines_of(proxy, 1000)]
    counts = {f"/{n}": 0 for n in range(20)}
    for entry in entries:
        counts[entry["target"]] += 1
    assert set(counts.values()) == {50}
