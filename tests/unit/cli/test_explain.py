"""`pyproxy explain`."""

import pytest

from pyproxy.cli.main import main

CONFIG = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams:
  app: {endpoints: [{address: "127.0.0.1:9000", weight: 2}, "unix:/run/app.sock"]}
filters: [{python: {use: "m:Everywhere"}}]
routes:
  - name: api
    match: {host: API.example.com, path: "/v1/{user}/*rest", methods: [GET, POST]}
    filters: [{python: {use: "m:Audit", name: audit}}]
    rewrite: {path: "/{user}/x/{rest}", host: "{user}.internal"}
    upstream: app
    max_body: 2MiB
    timeout: 3s
  - name: away
    match: {path: /old}
    redirect: {location: "{scheme}://{host}{path}{query}", status: 301}
  - {match: {path: "/hello/{path}"}, respond: {body: "hé"}}
  - {name: special, match: {path: /filtered}, max_body: unlimited}
  - {name: plain, match: {path: /plain, methods: [PUT]}, upstream: app}
"""


@pytest.fixture
def explain(tmp_path, capsys):
    file = tmp_path / "f.yaml"
    file.write_text(CONFIG)

    def run(*words):
        status = main(["explain", "-c", str(file), *words])
        captured = capsys.readouterr()
        return status, (captured.out + captured.err).replace(f"{tmp_path}/", "")

    return run


def test_the_route_its_captures_and_what_goes_upstream(explain):
    status, text = explain("-X", "POST", "http://api.example.com:8080/v1/ann/a/b?q=1")
    assert status == 0
    head, _, rest = text.partition("route      ")
    assert "host api.example.com, path /v1/ann/a/b" in head
    assert "  -> api  " in head
    assert rest == (
        "api (f.yaml:7)\n"
        "captures   user = ann\n"
        "           rest = a/b\n"
        "filters    Everywhere, audit\n"
        "upstream   app\n"
        "           127.0.0.1:9000 (weight 2)\n"
        "           unix:/run/app.sock\n"
        "sends      POST /ann/x/a/b?q=1\n"
        "           Host: ann.internal\n"
        "max body   2MiB\n"
        "timeout    3s\n"
    )


def test_a_redirect_is_filled_in_with_host_and_port(explain):
    assert "redirect   301 https://x.org:8443/old?a=b\n" in explain("https://x.org:8443/old?a=b")[1]


def test_an_answer_of_our_own(explain):
    status, text = explain("/hello/x")
    assert status == 0
    assert "route      route-2 (f.yaml:17)" in text
    assert "respond    200, 3 bytes" in text
    assert "sends" not in text


def test_a_route_that_leaves_it_to_a_filter(explain):
    text = explain("/filtered")[1]
    assert "action     a filter answers or names where to connect" in text
    assert "max body   unlimited" in text


def test_the_path_is_brought_to_its_normal_form(explain):
    assert "path /old\n" in explain("example.org/x/%2e%2e/o%6Cd")[1]


def test_without_a_rewrite_the_request_goes_as_it_is(explain):
    text = explain("-X", "PUT", "http://h:81/plain?x")[1]
    assert "sends      PUT /plain?x\n           Host: h:81\n" in text


def test_no_route_is_404_and_status_1(explain):
    status, text = explain("/nowhere")
    assert status == 1
    assert text.endswith("no route matches: 404\n")


def test_another_method_is_405_and_names_those_that_would_do(explain):
    status, text = explain("-X", "DELETE", "http://api.example.com/v1/ann/x")
    assert status == 1
    assert "no route takes DELETE here: 405; allowed: GET, POST" in text
    assert "api" in text


@pytest.mark.parametrize("url", ["/a%2fb", "/%zz", "http://a b/", "http://x/../..", "ftp://x/"])
def test_what_is_no_url_would_get_400(explain, url):
    status, text = explain(url)
    assert status == 1
    assert "would get 400" in text


def test_certificates_are_not_looked_at(tmp_path, capsys):
    file = tmp_path / "pyproxy.yaml"
    file.write_text("""
listeners: {web: {bind: "127.0.0.1:0", tls: {cert: none.crt, key: none.key}}}
routes: [{name: only, respond: {}}]
""")
    assert main(["explain", "-c", str(file), "https://a.example/"]) == 0
    assert "only" in capsys.readouterr().out


def test_conditions_are_asked_and_their_failures_told(tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text(
        """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: "127.0.0.1:1"}, new: {endpoints: "127.0.0.1:2"}}
routes:
  - {name: off, enabled: off, match: {path: /a}, upstream: app}
  - {name: inside, match: {path: /a, clients: 10.0.0.0/8, headers: {x-v: "1"}}, upstream: app}
  - {name: sni, match: {path: /a, when: {var: tls.sni, equals: a.b}}, upstream: app}
  - name: shares
    match: {path: /a, query: {name: jack}}
    split: {by: cookie.sid, arms: [{upstream: app, weight: 95}, {upstream: new, weight: 5}]}
"""
    )

    def run(*words):
        status = main(["explain", "-c", str(file), *words])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    status, text = run("/a?name=joe")
    assert status == 1
    assert "off" not in text
    assert "passed over, client.address is in the ranges: no" in text
    assert 'passed over, tls.sni is "a.b": no, there is none' in text
    assert 'passed over, query.name is "jack": no, it is "joe"' in text
    status, text = run("--client", "10.9.9.9", "-H", "X-V: 1", "/a")
    assert status == 0
    assert "-> inside" in text
    status, text = run("--var", "tls.sni=a.b", "/a")
    assert status == 0
    assert "-> sni" in text
    status, text = run("/a?name=jack")
    assert status == 0
    assert "split      2 arms, by cookie.sid\n           95 % to app\n           5 % to new" in text
    for words in (("-H", "x"), ("--client", "here"), ("--var", "hots=1"), ("--var", "host")):
        status, text = run(*words, "/a")
        assert status == 1
        assert words[1] in text
