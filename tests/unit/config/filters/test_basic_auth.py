"""The options of the filter `basic_auth`."""

import pytest

from pyproxy.config.filters import packages
from pyproxy.config.filters.basic_auth import is_hash, read_htpasswd
from pyproxy.config.load import inspect_texts

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - basic_auth: "
BCRYPT = "$2b$04$q7BhDGNAVmSeQ5Pl/KKM.us9VJyvw0pe/1LkBhd2otRCluX4e2VAW"
ARGON2 = "$argon2id$v=19$m=64,t=1,p=1$zNAdIdaO97rzPAy7EMzFhg$xn0533hjrUbJrHogxVoXMcVpZa32hnF6gIlO"


def faults_of(options, folder="."):
    _, faults = inspect_texts([(f"{folder}/f.yaml", BASE + options)])
    return [str(f).partition("f.yaml:")[2] for f in faults]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", "filters[0].basic_auth: there are no users"),
        ("{users: {a: secret}}", "filters[0].basic_auth.users.a: not a hash of"),
        ("{users: {a: '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g='}}", "basic_auth.users.a: not a hash"),
        ("{users: {a: $apr1$x$y}}", "filters[0].basic_auth.users.a: not a hash"),
        (f"{{users: {{'a:b': '{BCRYPT}'}}}}", 'basic_auth.users."a:b": a user\'s name'),
        (f"{{users: {{a: '{BCRYPT}'}}, realm: 'ä'}}", "basic_auth.realm: a realm is"),
        (f"{{users: {{a: '{BCRYPT}'}}, consumer_header: host}}", "basic_auth.consumer_header: "),
        ("{htpasswd: nowhere}", "filters[0].basic_auth.htpasswd: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    found = faults_of(options)
    assert len(found) == 1
    assert fault in found[0]


def test_a_file_is_looked_for_beside_the_configuration(tmp_path):
    (tmp_path / "users").write_text(f"# ours\n\nann:{BCRYPT}\nbob:{ARGON2}\n")
    assert faults_of("{htpasswd: users}", tmp_path) == []
    (tmp_path / "users").write_text(f"ann:{BCRYPT}\nbob\n")
    assert "htpasswd: line 2 is not name:hash" in faults_of("{htpasswd: users}", tmp_path)[0]
    (tmp_path / "users").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in faults_of("{htpasswd: users}", tmp_path)[0]


def test_the_package_that_it_needs_is_named(monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda _name: None)
    assert "pip install 'pyproxy[basic-auth]'" in faults_of(f"{{users: {{a: '{BCRYPT}'}}}}")[0]
    assert faults_of(f"{{users: {{a: '{ARGON2}'}}}}") == []


def test_hashes_are_of_two_kinds():
    assert is_hash(BCRYPT)
    assert is_hash(BCRYPT.replace("$2b$", "$2y$"))
    assert is_hash(ARGON2)
    for other in ("", BCRYPT[:-1], BCRYPT + "x", ARGON2.replace("argon2id", "argon2i"), "$2b$99$"):
        assert not is_hash(other)


def test_lines_of_htpasswd():
    assert read_htpasswd(f"a:{BCRYPT}\n  \n#x:y\nä b:{ARGON2}") == {"a": BCRYPT, "ä b": ARGON2}
    for bad in ("a", ":x", "a:", "a:secret", "a :" + BCRYPT):
        with pytest.raises(ValueError, match="line 1"):
            read_htpasswd(bad)
