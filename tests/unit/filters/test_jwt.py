"""Which tokens hold, without a proxy around it."""

import base64
import hmac
import json
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from pyproxy.config.filters.jwt import JwtFilter
from pyproxy.filters.base import Reply
from pyproxy.filters.jwt import MAX_TOKEN, Jwt, _Registry

SECRET = "0123456789abcdef" * 4
RSA = RSAKey.generate_key(2048)
OTHER_RSA = RSAKey.generate_key(2048)
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


class Fields(dict):
    def get_all(self, name):
        return [self[name]] if name in self else []

    def lookup(self, name, table):
        return table.get(self[name]) if name in self else None

    def pop_all(self, name):
        return self.pop(name, None) is not None


def seen(value=None, **fields):
    headers = Fields(fields)
    if value is not None:
        headers["authorization"] = value
    return SimpleNamespace(request=SimpleNamespace(headers=headers, query=None), state={})


def made(**options):
    options.setdefault("algorithms", ("HS256",))
    if not {"secret", "public_key", "jwks"} & set(options):
        options["secret"] = SECRET
    return Jwt(JwtFilter(**options))


def signed(claims, key=None, algorithm="HS256", **header):
    text = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    registry = _Registry(algorithms=[algorithm], strict_check_header=False)
    head = {"alg": algorithm, **header}
    return jws.serialize_compact(head, text, key or OctKey.import_key(SECRET), registry=registry)


def good(**more):
    return {"exp": time.time() + 100_000, **more}


class Ago(int):
    """So many seconds before the test runs."""


def why(reply):
    assert isinstance(reply, Reply)
    assert reply.status == 401
    text = dict(reply.headers)["www-authenticate"]
    return text.partition('error_description="')[2].rstrip('"')


def verdict(jwt, token):
    return jwt.request(seen(f"Bearer {token}"))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_shared_secrets(algorithm):
    jwt = made(algorithms=(algorithm,))
    assert verdict(jwt, signed(good(), algorithm=algorithm)) is None
    other = OctKey.import_key("x" * 64)
    assert why(verdict(jwt, signed(good(), other, algorithm))) == "the signature is wrong"


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rsa(algorithm):
    jwt = made(algorithms=(algorithm,), public_key=RSA.as_pem(private=False).decode())
    assert verdict(jwt, signed(good(), RSA, algorithm, kid="any")) is None
    assert why(verdict(jwt, signed(good(), OTHER_RSA, algorithm))) == "the signature is wrong"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_elliptic_curves(algorithm):
    key = ECKey.generate_key(CURVES[algorithm])
    jwt = made(algorithms=tuple(CURVES), public_key=key.as_pem(private=False).decode())
    assert verdict(jwt, signed(good(), key, algorithm)) is None
    for other, curve in CURVES.items():
        if other != algorithm:  # a key of another curve is no key for it
            token = signed(good(), ECKey.generate_key(curve), other)
            assert why(verdict(jwt, token)) == "the signature is wrong"


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_edwards_curves(algorithm, recwarn):
    key = OKPKey.generate_key("Ed25519")
    jwt = made(algorithms=(algorithm,), public_key=key.as_pem(private=False).decode())
    assert verdict(jwt, signed(good(), key, algorithm)) is None
    other = OKPKey.generate_key("Ed25519")
    assert why(verdict(jwt, signed(good(), other, algorithm))) == "the signature is wrong"


def test_no_algorithm_but_those_that_are_allowed():
    pem = RSA.as_pem(private=False)
    jwt = made(algorithms=("RS256",), public_key=pem.decode())
    for token in (
        signed(good(), RSA, "PS256"),
        by_hand(pem),  # the public key taken for a secret
        unsigned({"alg": "none"}),
        unsigned({"alg": "NONE"}),
        unsigned({"alg": ["RS256"]}),
        unsigned({"alg": None}),
    ):
        assert why(verdict(jwt, token)) == "the algorithm is not allowed"
    assert why(verdict(jwt, unsigned({"typ": "JWT"}))) == "the token is malformed"
    assert why(verdict(jwt, unsigned({"alg": "RS256"}))) == "the signature is wrong"


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(secret, **more):
    body = (
        f"{part(json.dumps({'alg': 'HS256', **more}).encode())}.{part(json.dumps(good()).encode())}"
    )
    return f"{body}.{part(hmac.digest(secret, body.encode(), 'sha256'))}"


def unsigned(header):
    return f"{part(json.dumps(header).encode())}.{part(json.dumps(good()).encode())}."


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": Ago(1000)}, "the token has expired"),
        ({}, "the token never expires"),
        ({"exp": "9999999999"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": None}, "exp is no time"),
        ({"exp": 10**400}, "exp is no time"),
        (b'{"exp": NaN}', "exp is no time"),
        (b'{"exp": 1e999}', "exp is no time"),
        (good(nbf=Ago(-1000)), "the token is not valid yet"),
        (good(nbf={}), "nbf is no time"),
        (good(iss="b", aud="x"), "the issuer is not known"),
        (good(iss=["a"], aud="x"), "the issuer is not known"),
        (good(aud="x"), "the issuer is not known"),
        (good(iss="a"), "the token is made for others"),
        (good(iss="a", aud=["z", None, {}]), "the token is made for others"),
        (good(iss="a", aud={"x": 1}), "the token is made for others"),
        (b"[]", "the token is malformed"),
        (b"\xff", "the token is malformed"),
        (b'{"a":' * 2000, "the token is malformed"),
        (good(iss="a", aud="x"), ""),
        (good(iss="a", aud=["z", "y"]), ""),
        ({"exp": Ago(10), "iss": "a", "aud": "x"}, ""),  # within the leeway
        (good(nbf=Ago(-10), iss="a", aud="x"), ""),
    ],
)
def test_claims_are_checked(claims, reason):
    if isinstance(claims, dict):
        now = time.time()
        claims = {k: now - v if isinstance(v, Ago) else v for k, v in claims.items()}
    reply = verdict(made(issuer=("a",), audience=("x", "y")), signed(claims))
    assert (why(reply) if reply is not None else "") == reason


def test_a_token_may_never_expire_where_that_is_wanted():
    assert verdict(made(require_exp=False), signed({})) is None


def test_extensions_that_we_do_not_know_are_refused():
    for crit in (["exp"], ["b64"], [], 1, None, "x"):
        token = by_hand(SECRET.encode(), crit=crit, exp=1)
        assert why(verdict(made(), token)) == "the token has critical extensions"
    assert verdict(made(), by_hand(SECRET.encode(), crit=["b64"], b64=False)) is not None
    assert verdict(made(), by_hand(SECRET.encode(), more="of it")) is None


def test_claims_become_headers_and_cannot_be_forged():
    names = {"x-user": "sub", "x-roles": "realm.roles", "x-n": "n", "x-no": "a.b", "x-url": "u/r.l"}
    jwt = made(claims_to_headers=names)
    claims = good(sub="bär", realm={"roles": ["a", 1, {}]}, n=True, **{"u/r.l": {"k": 1}})
    exchange = seen(f"Bearer {signed(claims)}", **{"x-no": "forged", "x-user": "root"})
    for _ in range(2):  # also when it is remembered
        assert jwt.request(exchange) is None
        assert {k: v for k, v in exchange.request.headers.items() if k[:2] == "x-"} == {
            "x-user": "bär".encode().decode("latin-1"),
            "x-roles": "a,1",
            "x-n": "true",
            "x-url": '{"k":1}',
        }
        assert exchange.state["claims"] == claims
        exchange.request.headers["x-no"] = "forged"


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\0", " a", "\ud800", "", 10**3000, [], None])
def test_what_no_header_can_hold_is_none(value):
    jwt = made(claims_to_headers={"x": "v"})
    exchange = seen(f"Bearer {signed(good(v=value))}", x="forged")
    assert jwt.request(exchange) is None
    assert "x" not in exchange.request.headers or value == 10**3000


def test_what_was_found_good_is_not_looked_at_again(monkeypatch):
    jwt = made()
    token = signed(good())
    assert verdict(jwt, token) is None
    monkeypatch.setattr(jwt, "_verify", None)
    assert verdict(jwt, token) is None
    with pytest.raises(TypeError):
        verdict(jwt, signed(good(other=1)))


def test_what_is_remembered_expires_with_the_token(monkeypatch):
    jwt = made(leeway_ms=0)
    token = signed({"exp": time.time() + 1000})
    assert verdict(jwt, token) is None
    later = time.time() + 1001
    monkeypatch.setattr("pyproxy.filters.jwt.time.time", lambda: later)
    assert why(verdict(jwt, token)) == "the token has expired"


def test_only_so_many_are_remembered():
    jwt = made(cache=3)
    for i in range(10):
        assert verdict(jwt, signed(good(n=i))) is None
    assert verdict(jwt, signed(good(n="x" * 5000))) is None
    assert len(jwt._known) == 3
    none = made(cache=0)
    assert verdict(none, signed(good())) is None
    assert not none._known


def test_a_token_that_is_wrong_is_never_remembered():
    jwt = made()
    token = signed(good())
    assert verdict(jwt, token[:-2] + "AA") is not None
    assert not jwt._known


def test_bearer_is_a_word_in_any_case():
    jwt = made()
    token = signed(good())
    assert jwt.request(seen(f"bEARER   {token}")) is None
    for value in (token, f"Basic {token}", "Bearer", f"Bearer{token}", ""):
        assert why(jwt.request(seen(value))) == "not a Bearer token"
    assert made(header="x-token").request(seen(**{"x-token": token})) is None


def test_none_may_be_shown_where_that_is_wanted():
    assert "error" not in dict(made().request(seen()).headers)["www-authenticate"]
    jwt = made(optional=True, claims_to_headers={"x-user": "sub"})
    exchange = seen(**{"x-user": "forged"})
    assert jwt.request(exchange) is None
    assert exchange.request.headers == {}
    assert jwt.request(seen("Bearer x")) is not None


@given(st.text(max_size=200) | st.lists(st.binary(max_size=60).map(part), max_size=6).map(".".join))
def test_malformed_tokens_are_refused(text):
    assert why(verdict(made(), text)) in (
        "the token is malformed",
        "the algorithm is not allowed",
    )


JWT, TOKEN = made(), signed(good(sub="a"))


@given(st.integers(0, len(TOKEN) - 1), st.characters(max_codepoint=0x7F))
def test_a_token_with_any_other_character_is_refused(at, character):
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    assert (verdict(JWT, changed) is None) == (changed == TOKEN)


def test_huge_tokens_are_not_looked_into():
    assert why(verdict(made(), "a." * MAX_TOKEN)) == "the token is too long"
