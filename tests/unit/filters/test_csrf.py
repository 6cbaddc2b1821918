"""Where requests come from, without a proxy around them."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyproxy.config.filters.csrf import CsrfFilter
from pyproxy.filters.csrf import Csrf

SECRET = "0123456789abcdef" * 2
ORIGINS = ("https://app.example:443", "https://*.shop.example", "http://dev:8080")


class Fields(dict):
    def get_all(self, name):
        value = self.get(name, [])
        return [value] if isinstance(value, str) else value

    def add(self, name, value):
        self[name] = value


def seen(method="POST", scheme="http", host="a.example", **fields):
    headers = Fields({name.replace("_", "-"): value for name, value in fields.items()})
    request = SimpleNamespace(method=method, scheme=scheme, host=host, headers=headers)
    return SimpleNamespace(request=request, response=SimpleNamespace(headers=Fields()), state={})


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        ({"origin": "http://a.example"}, True),
        ({"origin": "https://a.example"}, True),  # TLS ends in front of us
        ({"origin": "https://A.example:443"}, True),
        ({"origin": "http://a.example:8080"}, False),
        ({"origin": "http://a.example.evil"}, False),
        ({"origin": "http://evil.a.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "a.example"}, False),
        ({"origin": "ftp://a.example"}, False),
        ({"origin": ["http://a.example", "http://a.example"]}, False),
        ({"origin": "https://app.example"}, True),
        ({"origin": "http://app.example"}, False),
        ({"origin": "http://dev:8080"}, True),
        ({"origin": "http://dev"}, False),
        ({"origin": "https://b.shop.example"}, True),
        ({"origin": "https://c.b.shop.example"}, True),
        ({"origin": "https://shop.example"}, False),
        ({"origin": "https://.shop.example"}, False),
        ({"origin": "https://evilshop.example"}, False),
        ({"origin": "https://app.example", "sec_fetch_site": "cross-site"}, True),
        ({"origin": "http://a.example", "sec_fetch_site": "same-origin"}, True),
        ({"origin": "http://a.example", "sec_fetch_site": "cross-site"}, False),
        ({"origin": "http://evil", "sec_fetch_site": "same-origin"}, False),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": ["none", "cross-site"]}, False),
        ({"referer": "http://a.example/page?x"}, True),
        ({"referer": "http://a.example"}, True),
        ({"referer": "http://evil/http://a.example/"}, False),
        ({"referer": "http://evil?http://a.example/"}, False),
        ({"referer": "http://user@a.example/"}, False),
        ({"referer": ""}, False),
        ({}, False),
    ],
)
def test_only_pages_of_the_host_and_of_listed_origins(fields, good):
    csrf = Csrf(CsrfFilter(origins=ORIGINS))
    assert (csrf.request(seen(**fields)) is None) is good


def test_a_page_without_tls_is_no_page_of_one_with():
    csrf = Csrf(CsrfFilter())
    assert csrf.request(seen(scheme="https", origin="http://a.example")).status == 403
    assert csrf.request(seen(scheme="https", origin="https://a.example")) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_requests_that_change_nothing_come_from_anywhere(method):
    assert Csrf(CsrfFilter()).request(seen(method, origin="http://evil")) is None


def test_programs_may_say_nothing_where_that_is_wanted():
    csrf = Csrf(CsrfFilter(allow_missing=True))
    assert csrf.request(seen()) is None
    assert csrf.request(seen(origin="null")) is not None


def token_of(csrf, **fields):
    exchange = seen("GET", **fields)
    assert csrf.request(exchange) is None
    csrf.response(exchange)
    return exchange.response.headers.get("set-cookie")


def test_a_token_is_handed_out_and_wanted_back(monkeypatch):
    csrf = Csrf(CsrfFilter(token_secret=SECRET))
    cookie = token_of(csrf)
    assert cookie.endswith("; Path=/; Max-Age=7200; SameSite=Lax")
    assert token_of(csrf, scheme="https").endswith("; Secure")
    pair = cookie.partition(";")[0]
    token = pair.partition("=")[2]
    assert token_of(csrf, cookie=pair) is None

    def post(**fields):
        reply = csrf.request(seen(origin="http://a.example", **fields))
        return reply if reply is None else reply.status

    assert post(cookie=pair, x_csrf_token=token) is None
    assert post(cookie=pair) == 403
    assert post(x_csrf_token=token) == 403
    assert post(cookie=pair, x_csrf_token=token + "0") == 403
    assert post(cookie=[pair, pair], x_csrf_token=token) == 403
    forged = "9999999999.x.0"
    assert post(cookie=f"csrf-token={forged}", x_csrf_token=forged) == 403
    other = Csrf(CsrfFilter(token_secret="x" * 32))
    theirs = token_of(other).partition(";")[0]
    assert post(cookie=theirs, x_csrf_token=theirs.partition("=")[2]) == 403
    reply = csrf.request(seen(origin="http://evil", cookie=pair, x_csrf_token=token))
    assert reply.status == 403
    monkeypatch.setattr("pyproxy.filters.csrf.time.time", lambda: 1e11)
    assert post(cookie=pair, x_csrf_token=token) == 403


WITH_TOKEN = Csrf(CsrfFilter(token_secret=SECRET, origins=ORIGINS))


@given(st.text(max_size=40), st.text(alphabet="0123456789.abcdef\xe4", max_size=40))
def test_whatever_is_sent_is_no_token(origin, token):
    exchange = seen(origin=origin, cookie=f"csrf-token={token}", x_csrf_token=token)
    assert WITH_TOKEN.request(exchange).status == 403
    exchange = seen(sec_fetch_site="none", cookie=f"csrf-token={token}", x_csrf_token=token)
    assert WITH_TOKEN.request(exchange).status == 403
