"""How endpoints are checked and judged, as the file says it."""

import pytest

from pyproxy.config.load import inspect, loads
from pyproxy.config.sections_health import HttpCheck

FILE = """
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: [{endpoint}], {more}}}}}
routes: [{{upstream: app}}]
"""


def upstream(more: str):
    return loads(FILE.format(endpoint='"127.0.0.1:1"', more=more)).upstreams["app"]


def faults(tmp_path, more: str, endpoint: str = '"127.0.0.1:1"') -> list[str]:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.format(endpoint=endpoint, more=more))
    return [str(fault) for fault in inspect(path).faults]


def test_without_a_word_nothing_is_checked() -> None:
    group = upstream("retries: 1")
    assert (group.health_check, group.outlier_detection) == (None, None)


def test_one_word_is_the_path() -> None:
    check = upstream("health_check: {http: /healthz}").health_check
    assert check.http.path == "/healthz"
    assert check.pause_ms == (5000, 5000)
    assert (check.rise, check.fall, check.start) == (2, 3, "up")


def test_intervals_of_those_that_are_down() -> None:
    check = upstream("health_check: {tcp: {}, interval: 2s, down_interval: 500ms}").health_check
    assert check.pause_ms == (2000, 500)


@pytest.mark.parametrize(
    ("status", "good", "bad"),
    [
        (("200-299",), (200, 299), (199, 300)),
        (("204", "404-404"), (204, 404), (200, 205, 403)),
    ],
)
def test_statuses_are_ranges(status, good, bad) -> None:
    check = HttpCheck(status=status)
    assert all(check.allows(one) for one in good)
    assert not any(check.allows(one) for one in bad)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("health_check: {}", "this check does nothing"),
        ("health_check: {http: /, tcp: {}}", "not by http and tcp"),
        ("health_check: {http: healthz}", ""),
        ("health_check: {http: {status: 299-200}}", "begins after its end"),
        ("health_check: {http: {status: ok}}", ""),
        ("health_check: {http: {headers: {Host: a}}}", "use `host`"),
        ("health_check: {http: {headers: {'a b': c}}}", "is no name of a field"),
        ('health_check: {http: {headers: {a: "b\\nc"}}}', "cannot hold"),
        ('health_check: {http: {host: "a b"}}', "is no host"),
        ("health_check: {http: {body_regex: '('}}", "no regular expression"),
        ("health_check: {http: {method: HEAD, body: a}}", "HEAD has no body"),
        ("health_check: {tcp: {}, tls: true}", 'add "tls: true"'),
        ("health_check: {tcp: {}, interval: 1ms}", "out of range"),
        ("health_check: {tcp: {}, down_interval: 1ms}", "out of range"),
        ("health_check: {tcp: {}, rise: 0}", "out of range"),
        ("health_check: {tcp: {}, port: 0}", "out of range"),
        ("health_check: {tcp: {}, start: maybe}", "is not allowed here"),
        ("outlier_detection: {max_ejected: 101}", "out of range"),
        ("outlier_detection: {max_ejection: 1s}", "shorter than the first"),
        ("outlier_detection: {success_rate: {min_volume: 0}}", "out of range"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, more, said) -> None:
    found = faults(tmp_path, more)
    assert len(found) == 1
    assert said in found[0]


def test_a_socket_has_no_port(tmp_path) -> None:
    found = faults(tmp_path, "health_check: {tcp: {}, port: 1}", '"unix:/run/a.sock"')
    assert "has no port" in found[0]


def test_what_the_engine_is_told_of_outliers() -> None:
    assert upstream("outlier_detection: {}").outlier_detection.numbers() == {
        "interval_ms": 10_000,
        "base_ms": 30_000,
        "max_ms": 300_000,
        "consecutive_5xx": 5,
        "consecutive_gateway": 5,
        "min_hosts": 5,
        "min_volume": 100,
        "stdev_factor": 1900,
        "max_percent": 10,
    }
