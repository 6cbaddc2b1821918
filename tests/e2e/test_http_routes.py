"""Which route serves a request, what it does to it, and that `explain` says the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from testenv import Origin, Proxy, get, origin, running
from testenv.proxy import command
from testenv.raw import dial, same_workers

RESPOND = [
    # name, host, path, methods, priority
    ("root", "", "/", "", 0),
    ("exact", "", "/a/b", "", 0),
    ("capture", "", "/a/{id}", "", 0),
    ("two", "", "/a/{id}/{sub}", "", 0),
    ("star", "", "/a/*", "", 0),
    ("deep", "", "/a/x/*rest", "", 0),
    ("prefix", "", "/pre*", "", 0),
    ("get", "", "/m", "GET", 0),
    ("post", "", "/m", "POST", 0),
    ("put-only", "", "/p", "PUT", 0),
    ("low", "", "/w/*", "", 1),
    ("high", "", "/w*", "", 2),
    ("host-any", "", "/h", "", 0),
    ("host-wild", "*.example.com", "/h", "", 0),
    ("host-longer", "*.api.example.com", "/h", "", 0),
    ("host-exact", "www.example.com", "/h", "", 0),
    ("host-shadow", "*.example.com", "/h2", "", 100),
    ("host-exact-2", "www.example.com", "/h2", "", 0),
    ("only-here", "other.example.com", "/only", "", 0),
    ("braces", "", "/{{x}}", "", 0),
]

CASES = [
    # method, host, path, expected route or status
    ("GET", "t", "/", "root"),
    ("GET", "t", "/?q", "root"),
    ("GET", "t", "/a/b", "exact"),
    ("GET", "t", "/a/%62", "exact"),
    ("GET", "t", "/a/./c/../b", "exact"),
    ("GET", "t", "/a/c", "capture"),
    ("GET", "t", "/a/B", "capture"),
    ("GET", "t", "/a/c/d", "two"),
    ("GET", "t", "/a/c/d/e", "star"),
    ("GET", "t", "/a/", "star"),
    ("GET", "t", "/a/x/y/z", "deep"),
    ("GET", "t", "/a/x/", "deep"),
    ("GET", "t", "/a", 404),
    ("GET", "t", "/A/b", 404),
    ("GET", "t", "/pre", "prefix"),
    ("GET", "t", "/prefix/more", "prefix"),
    ("GET", "t", "/pr", 404),
    ("GET", "t", "/m", "get"),
    ("POST", "t", "/m", "post"),
    ("PUT", "t", "/m", 405),
    ("GET", "t", "/p", 405),
    ("GET", "t", "/w/x", "high"),
    ("GET", "t", "/h", "host-any"),
    ("GET", "example.com", "/h", "host-any"),
    ("GET", "a.example.com", "/h", "host-wild"),
    ("GET", "A.Example.COM:8080", "/h", "host-wild"),
    ("GET", "x.api.example.com", "/h", "host-longer"),
    ("GET", "a.b.api.example.com", "/h", "host-longer"),
    ("GET", "api.example.com", "/h", "host-wild"),
    ("GET", "www.example.com", "/h", "host-exact"),
    ("GET", "www.example.com:81", "/h", "host-exact"),
    ("GET", "www.example.com.", "/h", "host-exact"),
    ("GET", "xwww.example.com", "/h", "host-wild"),
    ("GET", "www.example.com", "/h2", "host-exact-2"),
    ("GET", "www.example.com", "/a/b", "exact"),
    ("GET", "other.example.com", "/only", "only-here"),
    ("GET", "t", "/only", 404),
    ("GET", "t", "/{x}", "braces"),
    ("GET", "t", "/none", 404),
]


def route(name: str, host: str, path: str, methods: str, priority: int) -> dict:
    match = {"path": path}
    if host:
        match["host"] = host
    if methods:
        match["methods"] = methods
    return {
        "name": name,
        "match": match,
        "priority": priority,
        "respond": {"body": name, "headers": {"x-route": [name, "twice"]}},
    }


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Proxy, Origin]]:
    with origin() as app:
        routes = [route(*row) for row in RESPOND]
        upstream = {"upstream": "app"}
        routes += [
            {
                "match": {"path": "/up/{user}/*rest"},
                "rewrite": {"path": "/v2/{rest}/of/{user}"},
                **upstream,
            },
            {
                "match": {"path": "/up-host/{user}"},
                "rewrite": {"host": "{user}.internal:81"},
                **upstream,
            },
            {"match": {"path": "/up-strip/*rest"}, "rewrite": {"path": "/{rest}"}, **upstream},
            {"match": {"path": "/up-add/*"}, "rewrite": {"path": "/v1{path}"}, **upstream},
            {"match": {"path": "/moved"}, "redirect": "https://new.example{path}{query}"},
            {
                "match": {"path": "/moved/{id}"},
                "redirect": {"location": "{scheme}://{host}/items/{id}{query}", "status": 308},
            },
            {"match": {"path": "/made"}, "respond": {"status": 201, "body": "é"}},
            {"match": {"path": "/empty"}, "respond": {"status": 204}},
            {
                "match": {"path": "/typed"},
                "respond": {"body": "{}", "headers": {"Content-Type": "application/json"}},
            },
        ]
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"app": {"endpoints": [app.address]}},
            "routes": routes,
        }
        with running(json.dumps(config)) as proxy, same_workers(proxy):
            yield proxy, app


@pytest.fixture
def proxy(shared) -> Proxy:
    return shared[0]


@pytest.fixture
def app(shared) -> Origin:
    shared[1].requests.clear()
    return shared[1]


@pytest.mark.parametrize(("method", "host", "path", "expected"), CASES)
def test_the_most_specific_route_serves(proxy, method, host, path, expected) -> None:
    answer = proxy.get(path, method=method, host=host)
    if isinstance(expected, int):
        assert answer.status == expected
    else:
        assert (answer.status, answer.text) == (200, expected)
        assert answer.headers["x-route"] == f"{expected}, twice"


@pytest.mark.parametrize(("method", "host", "path", "expected"), CASES)
def test_explain_says_what_is_served(proxy, method, host, path, expected) -> None:
    ended = subprocess.run(
        [*command(), "explain", "-c", "pyproxy.yaml", "-X", method, f"http://{host}{path}"],
        cwd=proxy.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if isinstance(expected, int):
        assert ended.returncode == 1
        assert str(expected) in ended.stdout
    else:
        assert ended.returncode == 0, ended.stderr
        chosen = [line for line in ended.stdout.splitlines() if line.lstrip().startswith("->")]
        assert [line.split()[1] for line in chosen] == [expected]


def test_405_tells_which_methods_are_allowed(proxy) -> None:
    answer = proxy.get("/m", method="DELETE")
    assert answer.status == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "POST"]
    assert json.loads(answer.text)["error"] == "method_not_allowed"


def test_404_is_json_with_a_reason(proxy) -> None:
    answer = proxy.get("/none")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text)["error"] == "no_route"


@pytest.mark.parametrize(
    ("path", "target", "host"),
    [
        ("/up/ann/a/b?q=1", "/v2/a/b/of/ann?q=1", "test"),
        ("/up/a%20b/", "/v2//of/a%20b", "test"),
        ("/up-host/ann?q", "/up-host/ann?q", "ann.internal:81"),
        ("/up-strip/", "/", "test"),
        ("/up-strip/a/b?", "/a/b?", "test"),
        ("/up-add/x", "/v1/up-add/x", "test"),
    ],
)
def test_requests_are_rewritten(proxy, app, path, target, host) -> None:
    assert proxy.get(path).status == 200
    (seen,) = app.requests
    assert (seen.target, seen.headers["host"]) == (target, host)


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/moved", 302, "https://new.example/moved"),
        ("/moved?a=b&c", 302, "https://new.example/moved?a=b&c"),
        ("/moved/7?q", 308, "http://test:8080/items/7?q"),
    ],
)
def test_redirects(proxy, path, status, location) -> None:
    answer = proxy.get(path, host="test:8080")
    assert answer.status == status
    assert answer.headers["location"] == location
    assert answer.headers["content-length"] == "0"


def test_responses_of_the_configuration(proxy) -> None:
    made = proxy.get("/made")
    assert (made.status, made.reason, made.text) == (201, "Created", "é")
    assert made.headers["content-type"].startswith("text/plain")
    empty = proxy.get("/empty")
    assert empty.status == 204
    assert "content-length" not in empty.headers
    typed = proxy.get("/typed")
    assert typed.headers["content-type"] == "application/json"


def test_an_http10_request_without_host_takes_routes_of_any_host(proxy) -> None:
    with dial(proxy.port()) as client:
        client.send(b"GET /h HTTP/1.0\r\n\r\n")
        assert client.read_to_end().endswith(b"\r\n\r\nhost-any")


def test_a_client_cannot_forge_a_redirect(proxy) -> None:
    """Nothing of a request can end the Location field."""
    answer = get(proxy.port(), "/moved/a%0d%0aX-Evil:1")
    assert answer.status == 400
