"""How endpoints are chosen, as the file says it."""

import pytest

from pyproxy.config.load import inspect, loads

FILE = """
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: [{endpoint}], {more}}}}}
routes: [{{upstream: app}}]
"""


def upstream(more: str = "retries: 1", endpoint: str = '"127.0.0.1:1"'):
    return loads(FILE.format(endpoint=endpoint, more=more)).upstreams["app"]


def faults(tmp_path, more: str = "retries: 1", endpoint: str = '"127.0.0.1:1"') -> list[str]:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.format(endpoint=endpoint, more=more))
    return [str(fault) for fault in inspect(path).faults]


def test_without_a_word_it_is_round_robin() -> None:
    group = upstream()
    assert group.balance.policy == "round_robin"
    assert group.balance.panic_threshold == 50
    assert group.sticky is None
    assert group.balance.numbers()["slow_start_ms"] == 0


def test_one_word_is_the_policy() -> None:
    assert upstream("balance: maglev").balance.policy == "maglev"


def test_everything_can_be_said() -> None:
    numbers = upstream(
        "balance: {policy: ring_hash, key: header.x-user, points: 64, bounded_load: 1.25, "
        "panic_threshold: 0}"
    ).balance.numbers()
    assert numbers == {
        "key": "header.x-user",
        "points": 64,
        "bound_percent": 125,
        "panic_percent": 0,
        "slow_start_ms": 0,
        "ramp": (),
    }


@pytest.mark.parametrize(("aggression", "half"), [("1.0", 500), ("2.0", 707), ("0.5", 250)])
def test_a_slow_start_grows_as_it_is_told(aggression, half) -> None:
    more = f"balance: {{slow_start: {{window: 32s, min_weight: 5, aggression: {aggression}}}}}"
    ramp = upstream(more).balance.numbers()["ramp"]
    assert len(ramp) == 32
    assert ramp[0] == 50
    assert ramp[16] == half
    assert list(ramp) == sorted(ramp)
    assert ramp[31] < 1000


def test_one_word_is_the_window_of_a_slow_start() -> None:
    assert upstream("balance: {slow_start: 30s}").balance.numbers()["slow_start_ms"] == 30_000


@pytest.mark.parametrize(
    "key",
    [
        "host",
        "path",
        "client.address",
        "cookie.session",
        "query.id",
        "param.x",
        "tls.sni",
        "header.X",
        "protocol",
    ],
)
def test_keys_are_request_variables(key) -> None:
    balance = upstream(f"balance: {{policy: maglev, key: {key}}}").balance
    assert balance.numbers()["key"] == key


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("balance: fair", "is not allowed here"),
        ("balance: {key: colour}", '"colour" is no request variable'),
        ("balance: {key: cookie.a b}", '"cookie.a b" is no request variable'),
        ("balance: {key: time}", '"time" is no request variable'),
        ("balance: {key: header.}", '"header." is no request variable'),
        ("balance: {bounded_load: 0.5}", "bounded_load must be more than 1"),
        ("balance: {panic_threshold: 101}", "out of range"),
        ("balance: {points: 0}", "out of range"),
        ("balance: {slow_start: {min_weight: 10}}", '"window" is missing'),
        ("balance: {slow_start: {window: 1s, min_weight: 0}}", "out of range"),
        ("sticky: {ttl: 1h}", '"cookie" is missing'),
        ('sticky: "a b"', ""),
        ('sticky: {cookie: a, path: "/; Domain=x"}', ""),
        ("sticky: {cookie: a, same_site: none}", "same_site: none needs secure: true"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, more, said) -> None:
    found = faults(tmp_path, more)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("sticky", "attributes"),
    [
        ("srv", "; Path=/; HttpOnly; SameSite=Lax"),
        ("{cookie: srv, path: '', http_only: false, same_site: unset}", ""),
        (
            "{cookie: srv, ttl: 1500ms, domain: a.example, secure: true, same_site: none}",
            "; Path=/; Domain=a.example; Max-Age=2; Secure; HttpOnly; SameSite=None",
        ),
    ],
)
def test_attributes_of_the_cookie(sticky, attributes) -> None:
    group = upstream(f"sticky: {sticky}")
    assert group.sticky.cookie == "srv"
    assert group.sticky.attributes() == attributes


@pytest.mark.parametrize(
    ("endpoint", "tier"),
    [
        ('"a:1"', 0),
        ('{address: "a:1", backup: true}', 1),
        ('{address: "a:1", backup: true, priority: 1}', 1),
        ('{address: "a:1", priority: 15}', 15),
    ],
)
def test_tiers(endpoint, tier) -> None:
    assert upstream(endpoint=endpoint).endpoints[0].tier == tier


@pytest.mark.parametrize(
    "endpoint",
    ['{address: "a:1", priority: 16}', '{address: "a:1", backup: true, priority: 2}'],
)
def test_tiers_that_cannot_be(tmp_path, endpoint) -> None:
    assert len(faults(tmp_path, endpoint=endpoint)) == 1
