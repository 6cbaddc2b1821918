"""Addresses taken apart, and one spelling for each."""

import pytest

from pyproxy.config.addresses import Address, parse_bind, parse_endpoint


@pytest.mark.parametrize(
    ("text", "address", "spelling"),
    [
        ("127.0.0.1:80", Address("inet", "127.0.0.1", 80), "127.0.0.1:80"),
        ("[0:0::1]:80", Address("inet6", "::1", 80), "[::1]:80"),
        ("[::]:0", Address("inet6", "::", 0), "[::]:0"),
        ("unix:/run/a.sock", Address("unix", path="/run/a.sock"), "unix:/run/a.sock"),
        ("fd:web-1", Address("fd", path="web-1"), "fd:web-1"),
    ],
)
def test_bind_addresses(text, address, spelling):
    assert parse_bind(text) == address
    assert parse_bind(text).text == spelling


@pytest.mark.parametrize(
    ("text", "address", "spelling"),
    [
        ("App.Internal:80", Address("name", "app.internal", 80), "app.internal:80"),
        ("a_b:9000", Address("name", "a_b", 9000), "a_b:9000"),
        ("[2001:DB8::1]:80", Address("inet6", "2001:db8::1", 80), "[2001:db8::1]:80"),
        ("unix:/x.sock", Address("unix", path="/x.sock"), "unix:/x.sock"),
        ("demo:", Address("demo"), "demo:"),
    ],
)
def test_endpoint_addresses(text, address, spelling):
    assert parse_endpoint(text) == address
    assert parse_endpoint(text).text == spelling


@pytest.mark.parametrize("text", ["demo:", "fd:", "fd:a b", "unix:", "", ":", "[]:80", "1.2.3:80"])
def test_what_is_no_address_to_listen_on_is_refused(text):
    with pytest.raises(ValueError, match="; "):
        parse_bind(text)
