"""Names and passwords, without a proxy around them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyproxy.filters.basic_auth import MAX_FIELD, _parse, is_right

BCRYPT = "$2b$04$q7BhDGNAVmSeQ5Pl/KKM.us9VJyvw0pe/1LkBhd2otRCluX4e2VAW"  # correct horse
ARGON2 = (  # tr0ub4dor
    "$argon2id$v=19$m=64,t=1,p=1$zNAdIdaO97rzPAy7EMzFhg$xn0533hjrUbJrHogxVoXMcVpZa32hnF6gIlOFNnT/X0"
)


def shown(pair: bytes) -> str:
    return "Basic " + base64.b64encode(pair).decode()


@pytest.mark.parametrize(
    ("password", "hashed", "right"),
    [
        (b"correct horse", BCRYPT, True),
        (b"correct horse", BCRYPT.replace("$2b$", "$2y$"), True),
        (b"correct horsf", BCRYPT, False),
        (b"", BCRYPT, False),
        (b"x" * 500, BCRYPT, False),
        (b"tr0ub4dor", ARGON2, True),
        (b"tr0ub4do", ARGON2, False),
        (b"x", "$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAA", False),
        (b"", "", False),
    ],
)
def test_hashes_are_verified(password, hashed, right):
    assert is_right(password, hashed) is right


@pytest.mark.parametrize(
    ("value", "pair"),
    [
        (shown(b"ann:pass:word"), ("ann", b"pass:word")),
        ("bASIC " + base64.b64encode("bär:pä".encode()).decode(), ("bär", "pä".encode())),
        (shown(b":"), ("", b"")),
        (shown(b"ann"), None),
        (shown(b"a\0b:x"), None),
        (shown(b"a:x\n"), None),
        (shown(b"\xff:x"), None),
        (shown(b"a:xy").rstrip("="), None),
        ("Basic", None),
        ("Basic YTp4 YTp4", None),
        ("Bearer YTp4", None),
        ("Basic \xe4\xf6", None),
        (shown(b"a:" + b"x" * MAX_FIELD), None),
    ],
)
def test_fields_are_read_strictly(value, pair):
    assert _parse(value) == pair


@given(st.text(max_size=60).map(lambda t: f"Basic {t}") | st.binary(max_size=60).map(shown))
def test_malformed_fields_are_nothing(value):
    found = _parse(value)
    assert found is None or ":" not in found[0]
    assert found is None or shown(found[0].encode() + b":" + found[1]).split(" ")[1] in value
