"""The options of the filter `csrf`."""

import pytest

from pyproxy.config.load import inspect_texts

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - csrf: "


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{origins: [app.example]}", 'csrf.origins[0]: "app.example" is not an origin'),
        ("{origins: ['https://App.example']}", "csrf.origins[0]: "),
        ("{origins: ['https://a.example/x']}", "csrf.origins[0]: "),
        ("{origins: ['https://*']}", "csrf.origins[0]: "),
        ("{origins: ['null']}", "csrf.origins[0]: "),
        ("{token_secret: short}", "csrf.token_secret: a secret that short"),
        ("{token_cookie: 'a b'}", "csrf.token_cookie: "),
        ("{token_header: ''}", "csrf.token_header: "),
        ("{token_lifetime: 0}", "csrf.token_lifetime: no token"),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert len(faults) == 1
    assert fault in str(faults[0])


@pytest.mark.parametrize(
    "origin", ["http://a", "https://a.example:8443", "https://*.a.example", "http://[::1]:80"]
)
def test_origins(origin):
    _, faults = inspect_texts([("f.yaml", BASE + f"{{origins: ['{origin}']}}")])
    assert faults == []
