"""The options of the filter `key_auth`."""

import pytest

from pyproxy.config.load import inspect_texts

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - key_auth:\n"
    "      "
)


def faults_of(options):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    return [str(f).removeprefix("f.yaml:") for f in faults]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("header: x", '5:7: filters[0].key_auth: "keys" is missing'),
        ("keys: {}", "5:13: filters[0].key_auth.keys: "),
        ("keys: {a: [b, '']}", "5:21: filters[0].key_auth.keys.a[1]: an empty key lets"),
        ("keys: {a: x, b: x}", "5:23: filters[0].key_auth.keys.b: a has the same key"),
        ("{keys: {a: x}, header: ''}", "5:7: filters[0].key_auth: nowhere to look"),
        ("{keys: {a: x}, header: 'a b'}", "5:30: filters[0].key_auth.header: "),
        ("{keys: {a: x}, cookie: 'a b'}", "5:30: filters[0].key_auth.cookie: "),
        ("{keys: {a: x}, realm: 'a\"b'}", "5:29: filters[0].key_auth.realm: a realm is"),
        ("{keys: {a: x}, consumer_header: te}", "5:39: filters[0].key_auth.consumer_header: "),
        ('{keys: {"a\\nb": x}}', '5:23: filters[0].key_auth.keys."a\nb": a consumer'),
        ("{keys: {a: x}, anonymous: ä}", "5:33: filters[0].key_auth.anonymous: a consumer"),
        ("{keys: {a: x}, hide: yes}", '5:22: filters[0].key_auth.hide: unknown key "hide"'),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    found = faults_of(options)
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_a_key_is_kept_elsewhere_and_never_shown(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "k-1234")
    assert faults_of("keys: {shop: 'secret://env/SHOP_KEY'}") == []
    found = faults_of("keys: {shop: 'secret://env/SHOP_KEY', more: 'secret://env/SHOP_KEY'}")
    assert len(found) == 1
    assert "k-1234" not in found[0]
