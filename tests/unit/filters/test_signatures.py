"""HTTP Message Signatures, by the examples of RFC 9421 and against malformed fields."""

import contextlib
import hmac
from base64 import b64decode
from hashlib import sha256, sha512
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyproxy.filters.signatures import (
    MAX_FIELD,
    Covered,
    base_of,
    digests_of,
    has_digests,
    read_inputs,
    read_signatures,
)


class Fields(dict):
    def get_all(self, name):
        return self.get(name, [])


def request(target="/foo?param=Value&Pet=dog", host="example.com", scheme="https", **fields):
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return SimpleNamespace(
        method="POST", target=target, host=host, scheme=scheme, headers=Fields(named)
    )


def test_the_example_of_the_standard():
    # RFC 9421, appendix B.2.5 with the key of B.1.5
    key = b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    fields = {"date": ["Tue, 20 Apr 2021 02:07:55 GMT"], "content_type": ["application/json"]}
    given = (
        'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    )
    covered = read_inputs([given])["sig-b25"]
    signature = read_signatures(["sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"])
    assert covered.parameters == {"created": 1618884473, "keyid": "test-shared-secret"}
    assert hmac.digest(key, base_of(request(**fields), covered), "sha256") == signature["sig-b25"]


@pytest.mark.parametrize(
    ("name", "target", "value"),
    [
        ("@method", "/", "POST"),
        ("@authority", "/", "example.com"),
        ("@scheme", "/", "https"),
        ("@request-target", "/a?b", "/a?b"),
        ("@path", "/a/../b?c", "/a/../b"),
        ("@query", "/a?c=%20", "?c=%20"),
        ("@query", "/a", "?"),
        ("@target-uri", "/a?c", "https://example.com/a?c"),
        ("@path", "http://other/x?y", "/x"),
        ("@path", "http://other", "/"),
        ("@query", "http://other?y=/", "?y=/"),
        ("@path", "*", "*"),
    ],
)
def test_derived_components(name, target, value):
    base = base_of(request(target, "Example.com:443"), Covered((name,), {}, "x"))
    assert base.decode() == f'"{name}": {value}\n"@signature-params": x'


def test_lines_of_a_field_are_joined():
    base = base_of(request(a=[" x ", "y\t"]), Covered(("a",), {}, "x"))
    assert base == b'"a": x, y\n"@signature-params": x'


@pytest.mark.parametrize("name", ["missing", "@status", "@query-param", "@signature-params", "A"])
def test_what_is_not_there_cannot_be_signed(name):
    with pytest.raises(ValueError, match=r"."):
        base_of(request(A=["x"]), Covered((name,), {}, "x"))


def test_several_signatures():
    found = read_inputs(['a=("@method" "x");created=1 , b=()', 'c=("\\"");tag=t;n="";f;g=?0'])
    assert found["a"] == (("@method", "x"), {"created": 1}, '("@method" "x");created=1')
    assert found["b"] == ((), {}, "()")
    assert found["c"].components == ('"',)
    assert found["c"].parameters == {"tag": "t", "n": "", "f": True, "g": False}
    assert read_signatures(["a=:AA==:,b=::"]) == {"a": b"\0", "b": b""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a=",
        "a=(",
        "a=()x",
        "a=(),",
        "a=(),,b=()",
        "a=(), a=()",
        'a=("x"  "y")',
        'a=( "x")',
        'a=("x" "x")',
        'a=("x";req)',
        "a=();created=1;created=2",
        "a=(); created=1",
        "a=();created=1.5",
        "a=();created=99999999999999999999",
        'a=("\xe4")',
        'a=("x',
        "A=()",
        ", ".join(f"a{i}=()" for i in range(9)),
        "a=();b=" + "x" * MAX_FIELD,
    ],
)
def test_malformed_inputs_are_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read_inputs([text])


@pytest.mark.parametrize(
    "text", ["", "a=AA==", "a=:A:", "a=:AA=:", "a=:AAAA", "a=(), b", "a=:AA==:b"]
)
def test_malformed_signatures_are_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read_signatures([text])


@given(st.text(alphabet='a=();",:\\ 1?*@xA\xe4\t', max_size=60))
def test_whatever_is_sent_is_read_or_refused(text):
    for read in (read_inputs, read_signatures, digests_of):
        with contextlib.suppress(ValueError):
            assert read([text])


def test_bodies_are_compared_with_all_digests():
    import base64

    def digest(name, make, body):
        return f"{name}=:{base64.b64encode(make(body).digest()).decode()}:"

    both = [digest("sha-256", sha256, b"x"), digest("sha-512", sha512, b"x") + ", md5=:AA==:"]
    assert has_digests(b"x", digests_of(both))
    assert not has_digests(b"y", digests_of(both))
    both[1] = digest("sha-512", sha512, b"y")
    assert not has_digests(b"x", digests_of(both))
    with pytest.raises(ValueError, match="no digest"):
        digests_of(["md5=:AA==:"])
