"""Endpoints that were found, as a part of the configuration."""

import pytest

from pyproxy.config import found
from pyproxy.config.load import from_mapping


def config(discover=None, endpoints=("10.0.0.1:80",)):
    upstream = {"endpoints": list(endpoints)} if endpoints else {}
    return from_mapping(
        {
            "listeners": {"web": {"bind": "127.0.0.1:8080"}},
            "upstreams": {
                "app": {**upstream, "discover": discover or {"file": "/a.yaml"}},
                "fixed": {"endpoints": "10.0.0.9:80"},
            },
            "routes": [{"upstream": "app"}],
        }
    )


def addresses(of):
    return [(e.address, e.found) for e in of.upstreams["app"].endpoints]


def test_they_stand_behind_those_of_the_file_and_each_once():
    more = [found.endpoint(a) for a in ("10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80")]
    with_more = found.with_found(config(), {"app": more, "fixed": more, "other": more})
    assert addresses(with_more) == [("10.0.0.1:80", False), ("10.0.0.2:80", True)]
    assert len(with_more.upstreams["fixed"].endpoints) == 1
    with_others = found.with_found(with_more, {"app": [found.endpoint("10.0.0.3:80")]})
    assert addresses(with_others) == [("10.0.0.1:80", False), ("10.0.0.3:80", True)]
    assert found.found_of(with_others) == {"app": (found.endpoint("10.0.0.3:80"),)}


def test_only_what_differs_is_served_anew():
    two = (found.endpoint("10.0.0.2:80"),)
    served = found.with_found(config(), {"app": two})
    assert found.differing(served, {"app": two, "gone": two}) == {}
    heavier = (found.endpoint("10.0.0.2:80", 5),)
    assert found.differing(served, {"app": heavier}) == {"app": heavier}


def test_a_new_file_keeps_what_was_found_by_the_same_source():
    served = found.with_found(config(), {"app": [found.endpoint("10.0.0.2:80")]})
    same, fresh = found.carried(config(endpoints=()), served)
    assert (addresses(same), fresh) == ([("10.0.0.2:80", True)], [])
    other, fresh = found.carried(config({"file": "/b.yaml"}), served)
    assert (addresses(other), fresh) == ([("10.0.0.1:80", False)], ["app"])


def test_rows_travel():
    given = (
        found.endpoint("10.0.0.2:80", 3, 1, "a.test"),
        found.endpoint("[::1]:80"),
        found.endpoint("unix:/run/a.sock"),
    )
    assert found.from_rows(found.to_rows(given)) == given


@pytest.mark.parametrize(
    "row",
    [
        ["a.test:80", 1, 0, "", False],
        ["10.0.0.1", 1, 0, "", False],
        ["10.0.0.1:80", 0, 0, "", False],
        ["10.0.0.1:80", 65_536, 0, "", False],
        ["10.0.0.1:80", 1, 16, "", False],
        ["10.0.0.1:80", 1, -1, "", False],
        ["10.0.0.1:80", None, 0, "", False],
        ["10.0.0.1:80"],
        7,
    ],
)
def test_what_is_no_endpoint_is_refused(row):
    with pytest.raises(ValueError):  # noqa: PT011  # any words
        found.from_rows([row])


def test_there_is_a_bound():
    with pytest.raises(ValueError, match="1001 endpoints are more than 1000"):
        found.from_rows([["10.0.0.1:80", 1, 0, "", False]] * 1001)
