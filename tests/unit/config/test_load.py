"""Reading: files, folders, types, and every fault at once with its place."""

import msgspec
import pytest

from pyproxy.config.load import inspect, inspect_texts, load, loads
from pyproxy.config.model import AccessLog, Config, Listener
from pyproxy.config.nodes import NOWHERE
from pyproxy.errors import ConfigError

SMALL = """
listeners: {web: {bind: "127.0.0.1:0"}}
routes: [{respond: {body: hello}}]
"""


def faults_of(text):
    return [
        str(fault).removeprefix("f.yaml:") for fault in inspect_texts([("f.yaml", text)]).faults
    ]


def test_a_small_configuration_gets_careful_defaults():
    config = loads(SMALL)
    listener = config.listeners["web"]
    assert config.workers == "auto"
    assert listener.limits.max_head_bytes == 61_440
    assert listener.timeouts.header_ms == 60_000
    assert config.routes[0].max_body_bytes == 1_048_576
    assert config.routes[0].match.all_paths == ("*",)
    assert config.access_log is None
    assert config.admin is None


def test_every_kind_of_value_is_read():
    config = loads("""
workers: 3
drain: 1m
log: debug
access_log: {path: /var/log/a.log, format: "{request.method} {response.status}"}
listeners:
  web:
    bind: ["127.0.0.1:0", {address: "unix:/tmp/x.sock", mode: "0600"}]
    limits: {max_head: 16KiB, max_requests: 1000, max_age: 0}
    timeouts: {idle: 1m30s}
    trusted_proxies: 10.0.0.0/8
    access_log: off
upstreams:
  app:
    endpoints: [{address: "127.0.0.1:9000", weight: 2}, "[::1]:9000"]
    retries: 0
routes:
  - name: r
    match: {hosts: [A.Example.com], path: "/a/{id}", methods: GET}
    upstream: app
    rewrite: {path: "/b/{id}"}
    max_body: unlimited
    filters: [{python: {use: "m:C", config: {n: 1}, timeout: 2s}}]
  - respond: {status: 418, headers: {X-A: [a, b], X-B: c}, body: "x"}
  - redirect: https://{host}{path}
admin: 127.0.0.1:9901
""")
    web, app, route = config.listeners["web"], config.upstreams["app"], config.routes[0]
    assert (config.workers, config.drain.timeout_ms, config.log.level) == (3, 60_000, "debug")
    assert config.access_log == AccessLog(
        path="/var/log/a.log", format="{request.method} {response.status}"
    )
    assert [(b.address, b.mode) for b in web.bind] == [
        ("127.0.0.1:0", 0o666),
        ("unix:/tmp/x.sock", 0o600),
    ]
    assert (web.limits.max_head_bytes, web.limits.max_requests, web.limits.max_age_ms) == (
        16_384,
        1000,
        0,
    )
    assert web.timeouts.idle_ms == 90_000
    assert web.trusted_proxies == ("10.0.0.0/8",)
    assert web.access_log is False
    assert [(e.address, e.weight) for e in app.endpoints] == [
        ("127.0.0.1:9000", 2),
        ("[::1]:9000", 1),
    ]
    assert route.match.all_hosts == ("a.example.com",)
    assert route.match.methods == ("GET",)
    assert route.max_body_bytes == 0
    ref = route.filters[0]
    assert (ref.kind, ref.name, ref.label, ref.enabled, ref.priority) == (
        *("python", "", "C"),
        *(True, None),
    )
    options = ref.options
    assert (options.use, options.config, options.timeout_ms) == ("m:C", {"n": 1}, 2000)
    assert config.routes[1].respond.headers == {"X-A": ("a", "b"), "X-B": "c"}
    assert config.routes[2].redirect.location == "https://{host}{path}"
    assert config.admin.bind == "127.0.0.1:9901"


def test_text_is_taken_as_it_is_written():
    config = loads(SMALL.replace("hello", "1.10") + "user: no\n")
    assert config.routes[0].respond.body == "1.10"
    assert config.user == "no"


def test_places_are_no_part_of_the_value():
    assert loads(SMALL) == loads("\n\n" + SMALL)
    assert loads(SMALL).routes[0] == loads("# x\n" + SMALL).routes[0]
    assert loads(SMALL).listeners["web"] == Listener(bind=loads(SMALL).listeners["web"].bind)


def test_every_fault_is_reported_at_once_in_the_order_of_the_file():
    faults = faults_of("""\
workers: 0
listener: {}
listeners:
  web: {bind: [x], limits: {max_head: lots, max_fields: many}}
upstreams:
  app: {endpoint: []}
routes:
  - match: {path: "/x/{id"}
    upstream: nope
    timeout: 3
  - 7
""")
    assert [fault.split(": ", 2)[:2] for fault in faults] == [
        ["1:10", "workers"],
        ["2:1", "listener"],
        ["4:16", "listeners.web.bind[0]"],
        ["4:39", "listeners.web.limits.max_head"],
        ["4:57", "listeners.web.limits.max_fields"],
        ["6:8", "upstreams.app"],
        ["6:9", "upstreams.app.endpoint"],
        ["8:19", "routes[0].match.path"],
        ["9:15", "routes[0].upstream"],
        ["10:14", "routes[0].timeout"],
        ["11:5", "routes[1]"],
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lisners: {}", 'unknown key "lisners"; did you mean "listeners"?'),
        ("zzz: {}", 'unknown key "zzz"; known here: access_log, admin,'),
        ("workers: many", '"many" is not allowed here; write auto or a whole number'),
        ("workers: 300", '"300" is out of range'),
        ("drain: 30", '"30" is not a duration; write a number and its unit, such as 30s'),
        ("upgrade_timeout: [1s]", "this must be a duration, not a list"),
        ("upgrade_timeout:", "the value is missing; this must be a duration"),
        ("user: {a: b}", "expected str, got object"),
        ("log: loud", '"loud" is not allowed here; known here: debug, error, info, warning'),
        ("log: {level: warn}", 'did you mean "warning"?'),
        ("access_log: on", "where should the access log go?; write where to: stdout"),
        ("access_log: ''", "the access log has no file"),
        ("access_log: /", '"/" is a folder'),
        ("filters: {}", "this must be a list, not a mapping"),
        ("filters: [x]", "a filter is a mapping with one key"),
        ("filters: [{pyton: {}}]", 'unknown filter "pyton"; did you mean "python"?'),
        ("filters: [{python: {}}]", '"use" is missing; add it'),
        ("filters: [{python: {use: x}}]", '"x" does not name a class'),
        ("admin: 9901", '"9901" has no host; write 0.0.0.0:9901'),
        ("upstreams: {a: {endpoints: []}}", "this list is too short; it needs at least 1"),
        ("upstreams: {a: {endpoints: x:1, retries: 99}}", "write at most 16"),
        ("upstreams: {a: {endpoints: x:1, balance: magic}}", '"magic" is not allowed here'),
    ],
)
def test_a_fault_says_what_and_how_to_cure_it(line, says):
    (fault,) = faults_of(SMALL + line)
    assert says in fault


def test_an_unknown_key_points_at_the_key_and_a_bad_value_at_the_value():
    assert faults_of(SMALL + "drain_timout: 1s")[0].startswith("4:1: drain_timout: ")
    assert faults_of(SMALL + "drain: 1x")[0].startswith("4:8: drain: ")


def test_what_is_wrong_in_an_upstream_does_not_make_it_unknown():
    faults = faults_of("""
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {}}
routes: [{upstream: app}, {upstream: ap}]
""")
    assert len(faults) == 2
    assert '"endpoints" is missing' in faults[0]
    assert 'there is no upstream named "ap"; did you mean "app"?' in faults[1]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "~"])
def test_an_empty_file_is_a_fault(text):
    assert faults_of(text) == ["1:1: the file is empty; `pyproxy init` writes one to start from"]


@pytest.mark.parametrize("text", ["hello", "[1]"])
def test_something_else_than_a_mapping_is_a_fault(text):
    assert faults_of(text) == [
        "1:1: this is not a configuration; `pyproxy init` writes one to start from"
    ]


def test_a_missing_file_is_a_fault(tmp_path):
    config, (fault,) = inspect(tmp_path / "none.yaml")
    assert config is None
    assert "there is no such file" in str(fault)


def test_an_unreadable_file_is_a_fault(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"user: ok\nlog: \xff\n")
    (fault,) = inspect(tmp_path / "f.yaml").faults
    assert (fault.line, fault.column, fault.message) == (2, 6, "not UTF-8 text")


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    config = msgspec.structs.replace(load(tmp_path / "f.yaml"), folders=loads(SMALL).folders)
    assert config == loads(SMALL)


def test_load_raises_with_every_fault():
    with pytest.raises(ConfigError) as caught:
        loads(SMALL + "a: 1\nb: 2\n", "f.yaml")
    assert [fault.path for fault in caught.value.faults] == ["a", "b"]
    assert str(caught.value).splitlines()[0].startswith("f.yaml:4:1: a: unknown key")


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_the_files_of_a_folder_are_merged_in_the_order_of_their_names(tmp_path):
    write(
        tmp_path,
        a="listeners: {web: {bind: '127.0.0.1:0'}}\nroutes: [{name: one, respond: {}}]",
        b="upstreams: {app: {endpoints: 'x:1'}}\nroutes: [{name: two, upstream: app}]\nworkers: 2",
        c="# nothing yet",
    )
    (tmp_path / "d.yml").write_text("not: read")
    config = load(tmp_path)
    assert [route.name for route in config.routes] == ["one", "two"]
    assert list(config.upstreams) == ["app"]
    assert config.workers == 2


def test_names_that_two_files_give_are_faults_that_name_both_places(tmp_path):
    write(
        tmp_path,
        a="listeners: {web: {bind: '127.0.0.1:0'}}\nworkers: 1\nroutes: [{name: r, respond: {}}]",
        b="listeners:\n  web: {bind: '127.0.0.1:0'}\nworkers: 1\nroutes: [{name: r, respond: {}}]",
    )
    faults = [str(fault).replace(f"{tmp_path}/", "") for fault in inspect(tmp_path).faults]
    assert faults == [
        'b.yaml:2:3: listeners.web: "web" is set already, at a.yaml:1; keep one of them',
        'b.yaml:3:1: workers: "workers" is set already, at a.yaml:2; keep one of them',
        (
            'b.yaml:4:17: routes[0].name: the name "r" is taken already, '
            "by routes[0].name (a.yaml:3); give each route its own"
        ),
    ]


def test_a_syntax_error_in_one_file_does_not_hide_the_faults_of_the_others(tmp_path):
    write(tmp_path, a="listeners: {", b="workers: 0\nroutes: [{upstream: from-a}]")
    faults = inspect(tmp_path).faults
    assert [fault.file[-6:] for fault in faults] == ["a.yaml", "b.yaml"]
    assert "not valid YAML" in faults[0].message
    assert faults[1].path == "workers"


def test_a_folder_without_files_is_a_fault(tmp_path):
    (fault,) = inspect(tmp_path).faults
    assert "no *.yaml file" in str(fault)


def test_a_configuration_made_by_a_program_needs_no_file():
    assert Config(listeners={"web": Listener(bind=())}).place is NOWHERE
