"""Header fields as a mapping."""

import pytest

from pyproxy.testing import Fields


def test_names_match_in_any_case_and_the_first_counts() -> None:
    fields = Fields([("A", "1"), ("b", "2"), ("a", "3")])
    assert (fields["a"], fields.get_all("A"), list(fields), len(fields)) == (
        "1",
        ["1", "3"],
        ["a", "b"],
        2,
    )
    assert "B" in fields
    assert fields.get("c") is None
    with pytest.raises(KeyError):
        fields["c"]
