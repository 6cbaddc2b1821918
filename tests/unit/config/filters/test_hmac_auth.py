"""The options of the filter `hmac_auth`."""

import pytest

from pyproxy.config.load import inspect_texts

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - hmac_auth: "
KEYS = "keys: {a: 0123456789abcdef}"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", 'filters[0].hmac_auth: "keys" is missing'),
        ("{keys: {}}", "filters[0].hmac_auth.keys: nobody has a key"),
        ("{keys: {a: short}}", "filters[0].hmac_auth.keys.a: a secret that short"),
        ("{keys: {a: 0123456789abcdef0}, encoding: base64}", "hmac_auth.keys.a: the secret is not"),
        ("{keys: {ä: 0123456789abcdef}}", "a consumer's name is"),
        (f"{{{KEYS}, components: ['@status']}}", 'components[0]: "@status" is no component'),
        (f"{{{KEYS}, components: [Date]}}", 'components[0]: "Date" is no component'),
        (f"{{{KEYS}, components: ['a b']}}", 'components[0]: "a b" is no component'),
        (f"{{{KEYS}, max_skew: 0}}", "filters[0].hmac_auth.max_skew: no request would"),
        (f"{{{KEYS}, max_body: 1GiB}}", "filters[0].hmac_auth.max_body: "),
        (f"{{{KEYS}, realm: '\\'}}", "filters[0].hmac_auth.realm: a realm"),
        (f"{{{KEYS}, consumer_header: te}}", "filters[0].hmac_auth.consumer_header: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert len(faults) == 1
    assert fault in str(faults[0])


def test_what_is_right_is_taken():
    options = "{keys: {a: MDEyMzQ1Njc4OWFiY2RlZg==}, encoding: base64, components: [date, '@path']}"
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert faults == []
