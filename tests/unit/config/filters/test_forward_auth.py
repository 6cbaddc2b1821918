"""The options of the filter `forward_auth`."""

import pytest

from pyproxy.config.load import inspect_texts

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - forward_auth: "
)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", 'filters[0].forward_auth: "url" is missing'),
        ("{url: 'ftp://a/b'}", "filters[0].forward_auth.url: "),
        ("{url: 'http:///b'}", "filters[0].forward_auth.url: "),
        ("{url: 'http://a:99999/'}", "filters[0].forward_auth.url: "),
        ("{url: 'http://[::1/'}", "filters[0].forward_auth.url: "),
        ("{url: 'http://a/b c'}", "filters[0].forward_auth.url: "),
        ("{url: 'http://a', timeout: 0}", "filters[0].forward_auth.timeout: "),
        ("{url: 'http://a', timeout: 1h}", "filters[0].forward_auth.timeout: "),
        ("{url: 'http://a', on_error: maybe}", "filters[0].forward_auth.on_error: "),
        ("{url: 'http://a', status_on_error: 200}", "filters[0].forward_auth.status_on_error: "),
        ("{url: 'http://a', upstream_headers: [host]}", "upstream_headers[0]: the proxy writes"),
        ("{url: 'http://a', request_headers: [x, te]}", 'request_headers[1]: "te" is no header'),
        ("{url: 'http://a', body: 0}", "filters[0].forward_auth.body: "),
        ("{url: 'http://a', body: {max: 1GiB}}", "filters[0].forward_auth.body.max: "),
        ("{url: 'http://a', body: {}}", 'filters[0].forward_auth.body: "max" is missing'),
        ("{url: 'http://a', client_headers: ['a b']}", 'client_headers[0]: "a b" is no header'),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert len(faults) == 1
    assert fault in str(faults[0])
