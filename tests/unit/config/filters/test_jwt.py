"""The options of the filter `jwt`."""

import pytest

from pyproxy.config.filters import packages
from pyproxy.config.load import inspect_texts

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - jwt: "
GOOD = "{algorithms: HS256, secret: 0123456789abcdef0123456789abcdef"


def faults_of(options, folder="."):
    _, faults = inspect_texts([(f"{folder}/f.yaml", BASE + options)])
    return [str(f).partition("f.yaml:")[2] for f in faults]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{secret: 0123456789abcdef0123456789abcdef}", 'filters[0].jwt: "algorithms" is missing'),
        ("{algorithms: HS256}", "filters[0].jwt: no key; give one of"),
        (GOOD + ", jwks: 'https://a/b'}", "filters[0].jwt: secret and jwks are both given"),
        (
            "{algorithms: none, secret: 0123456789abcdef0123456789abcdef}",
            "filters[0].jwt.algorithms",
        ),
        ("{algorithms: [HS256], secret: short}", "filters[0].jwt.secret: a secret that short"),
        ("{algorithms: [ES256, HS256], public_key: x}", "filters[0].jwt.algorithms[1]: HS256 goes"),
        (
            "{algorithms: RS256, secret: 0123456789abcdef0123456789abcdef}",
            "filters[0].jwt.algorithms: RS256 goes with public_key or jwks",
        ),
        ("{algorithms: RS256, jwks: nowhere.json}", "filters[0].jwt.jwks: there is no file"),
        (GOOD + ", claims_to_headers: {te: a}}", "filters[0].jwt.claims_to_headers.te: the pr"),
        (GOOD + ", claims_to_headers: {a: b.}}", "filters[0].jwt.claims_to_headers.a: "),
        (GOOD + ", header: ''}", "filters[0].jwt: nowhere to look"),
        (GOOD + ", leeway: 1}", "filters[0].jwt.leeway: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    found = faults_of(options)
    assert len(found) == 1
    assert fault in found[0]


def test_a_file_is_looked_for_beside_the_configuration(tmp_path):
    (tmp_path / "keys.json").write_text("{}")
    assert faults_of("{algorithms: RS256, jwks: keys.json}", tmp_path) == []


def test_the_package_that_it_needs_is_named(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda _name: None)
    found = faults_of(GOOD + "}")
    assert found == [
        "4:5: filters[0].jwt: this filter needs the package joserfc; pip install 'pyproxy[jwt]'"
    ]
