"""Which certificate for which name."""

from __future__ import annotations

import msgspec
import pytest

from pyproxy.config.load import loads
from pyproxy.config.sections_tls import Certificate
from pyproxy.errors import ConfigError
from pyproxy.tls.names import Choice, choice_steps, host_fault
from pyproxy.tls.pairs import Source, read_pair
from testenv.certificates import certificates

PKI = certificates()


def held(pair, hosts=()) -> Certificate:
    read = read_pair(Source(pair.cert.read_bytes(), "c"), Source(pair.key.read_bytes(), "k"))
    return Certificate(cert="c", key="k", hosts=hosts, read=read)


def choices(certificates: tuple[Certificate, ...]) -> list[Choice]:
    return [choice for choice in choice_steps(certificates) if choice is not None]


def chosen(*certificates: Certificate) -> list[tuple[list[str], int]]:
    return [(names, len(pairs)) for names, pairs, _ in choices(certificates)]


def test_names_come_from_the_certificate() -> None:
    assert chosen(held(PKI.server), held(PKI.wildcard)) == [
        (["localhost", "app.test", "www.app.test"], 1),
        (["*.wild.test"], 1),
    ]


def test_names_may_be_given() -> None:
    assert chosen(held(PKI.server, ("App.test",))) == [(["app.test"], 1)]


def test_two_kinds_of_keys_for_a_name_stand_together() -> None:
    ((names, pairs, _),) = choices((held(PKI.server), held(PKI.server_rsa)))
    assert names == ["localhost", "app.test", "www.app.test"]
    assert [chain for chain, _, _ in pairs] == [
        PKI.server.cert.read_bytes(),
        PKI.server_rsa.cert.read_bytes(),
    ]


def test_names_that_only_one_of_them_has_are_for_itself() -> None:
    rsa = held(PKI.server_rsa, ("app.test", "old.test"))
    assert chosen(held(PKI.server), rsa) == [
        (["app.test"], 2),
        (["localhost", "www.app.test"], 1),
        (["old.test"], 1),
    ]


def test_the_first_one_is_the_default_wherever_its_names_stand() -> None:
    first = choices((held(PKI.other), held(PKI.server), held(PKI.server_rsa)))[0]
    assert first.names == ["other.test"]


def test_a_certificate_without_a_name_can_be_the_default() -> None:
    nameless = PKI.ca.issue("nameless", ["127.0.0.1"])
    assert chosen(held(nameless), held(PKI.other)) == [([], 1), (["other.test"], 1)]


@pytest.mark.parametrize("name", ["a", "a.example", "*.a.example", "xn--bcher-kva.example", "_a.b"])
def test_these_can_be_asked_for(name) -> None:
    assert not host_fault(name)


@pytest.mark.parametrize(
    "name", ["", "*", "a.*.b", "a..b", "-a", "127.0.0.1", "::1", "bücher.example", "a/b", "a" * 64]
)
def test_these_cannot(name) -> None:
    what, _, cure = host_fault(name).partition("; ")
    assert name in what
    assert cure


def test_a_certificate_that_is_never_chosen_is_a_fault() -> None:
    one = f"{{cert: {PKI.server.cert}, key: {PKI.server.key}}}"
    rsa = f"{{cert: {PKI.server_rsa.cert}, key: {PKI.server_rsa.key}}}"
    text = """
listeners: {web: {bind: "127.0.0.1:0", tls: {certificates: [%s, %s]}}}
routes: [{respond: {}}]
"""
    assert loads(text % (one, rsa))
    with pytest.raises(ConfigError) as caught:
        loads(text % (one, one))
    (fault,) = caught.value.faults
    assert fault.message == 'certificates[0] is for "localhost" already, with ECDSA as well'
    assert (fault.line, fault.path) == (2, "listeners.web.tls.certificates[1]")


def test_a_certificate_with_a_uri_tells_endpoints_who_we_are() -> None:
    first, second = choices((held(PKI.alice), held(PKI.server)))
    assert (first.by, second.by) == ("By=spiffe://test/alice", "")


def test_many_certificates_are_sorted_in_steps() -> None:
    one = held(PKI.server)
    many = tuple(msgspec.structs.replace(one, hosts=(f"h{i}.test",)) for i in range(200))
    steps = list(choice_steps(many))
    assert [step.names for step in steps if step] == [[f"h{i}.test"] for i in range(200)]
    assert sum(step is None for step in steps) == 12
