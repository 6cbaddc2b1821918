"""The certificates of a configuration, for those who show them."""

from __future__ import annotations

import base64

import msgspec

from pyproxy.config.load import loads
from pyproxy.tls.files import read_again
from pyproxy.tls.held import (
    age_remark,
    certificates_of,
    days_left,
    file_of,
    names_files,
    part_of,
    remarks_of,
    rows_of,
    with_part,
    without_keys,
)
from testenv.certificates import certificates

PKI = certificates()
TEXT = f"""
listeners:
  web:
    bind: "127.0.0.1:0"
    tls:
      certificates: {{cert: {PKI.server.cert}, key: {PKI.server.key}}}
      client_certificates: {PKI.ca.cert}
upstreams:
  app:
    endpoints: ["127.0.0.1:1"]
    tls: {{ca: {PKI.ca.cert}, cert: {PKI.alice.cert}, key: {PKI.alice.key}}}
routes: [{{upstream: app}}]
"""


def test_every_certificate_is_told_with_its_use() -> None:
    held = list(certificates_of(loads(TEXT)))
    assert [(one.owner, one.name, one.use, one.path) for one in held] == [
        ("listener", "web", "server", "listeners.web.tls.certificates[0]"),
        ("listener", "web", "ca", "listeners.web.tls.client_certificates"),
        ("upstream", "app", "client", "upstreams.app.tls"),
        ("upstream", "app", "ca", "upstreams.app.tls"),
    ]
    assert [file_of(one) for one in held] == [
        str(path) for path in (PKI.server.cert, PKI.ca.cert, PKI.alice.cert, PKI.ca.cert)
    ]


def test_a_configuration_may_name_no_file() -> None:
    plain = "listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\n"
    assert not names_files(loads(plain))
    assert names_files(loads(TEXT))


def test_dates_are_judged() -> None:
    (held, *_) = certificates_of(loads(TEXT))
    facts = msgspec.structs.replace(held.facts, not_before=1_000_000, not_after=2_000_000)
    assert age_remark(facts, 1_000_000) == ""
    assert age_remark(facts, 1_999_999) == ""
    assert age_remark(facts, 2_000_000 + 86_400) == (
        "has expired 1 day ago, on 1970-01-24 03:33 UTC; renew it"
    )
    assert age_remark(facts, 2_000_000).startswith("has expired today")
    assert age_remark(facts, 1_000_000 - 43_200) == (
        "is not valid before 1970-01-12 13:46 UTC, in 0.5 days; is the clock right?"
    )
    late = held._replace(facts=facts, remarks=("x; y",))
    first, second = remarks_of(late, 3_000_000)
    assert first.startswith('the certificate "localhost" has expired 11 days ago')
    assert second == "x; y"


def test_the_time_that_is_left_is_told_in_days_or_hours() -> None:
    (held, *_) = certificates_of(loads(TEXT))
    facts = msgspec.structs.replace(held.facts, not_after=100 * 86_400)
    told = [days_left(facts, 86_400 * day) for day in (0, 98, 99, 99 + 23 / 24, 100)]
    assert told == ["100 days left", "2 days left", "24 hours left", "1 hour left", "expired"]


def test_who_only_shows_certificates_gets_no_key() -> None:
    config = loads(TEXT)
    shown = without_keys(config)
    assert rows_of(shown, 0.0) == rows_of(config, 0.0)
    packed = msgspec.json.encode(shown, enc_hook=lambda _: None)
    assert b"PRIVATE" not in packed
    for pair in (PKI.server, PKI.alice):
        assert base64.b64encode(pair.key.read_bytes()[30:90])[4:-4] not in packed
    assert shown.listeners["web"].tls.certificates[0].read.key == b""
    assert shown.upstreams["app"].tls.pair.key == b""


def test_rows_are_for_programs() -> None:
    server, _, client, _ = rows_of(loads(TEXT), 0.0)
    assert (server["listener"], server["use"], client["upstream"]) == ("web", "server", "app")
    assert server["file"] == str(PKI.server.cert)
    assert server["fingerprint"] == PKI.server.fingerprint
    assert server["days_left"] == round(server["not_after"] / 86_400, 2)


def test_other_certificates_are_a_part_of_the_configuration(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    text = TEXT.replace(str(PKI.server.cert), str(live.cert))
    text = text.replace(str(PKI.server.key), str(live.key))
    running = loads(text.replace("listeners:", "listeners:\n  plain: {bind: '127.0.0.1:0'}"))
    PKI.server_rsa.copy(tmp_path)
    again = read_again(running).config
    part = part_of(again, running)
    assert list(part.listeners) == ["web"]
    assert (part.upstreams, part.routes) == ({}, ())
    assert with_part(running, part) == again
    assert with_part(running, part).files == again.files
