"""Path patterns and templates."""

import pytest

from pyproxy.config.patterns import captures, placeholders, render


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", []),
        ("/a/{id}/b", ["id"]),
        ("/a/{id}/*rest", ["id", "rest"]),
        ("/a/*", []),
        ("/a*", []),
        ("*", []),
        ("/{{x}}/{y}", ["y"]),
        ("/{user-id}/{2}", ["user-id", "2"]),
    ],
)
def test_captures_of_a_path(path, names):
    assert captures(path) == names


def test_placeholders_of_a_template():
    assert placeholders("https://{host}{path}/{{literal}}") == ["host", "path"]


@pytest.mark.parametrize("text", ["{", "}", "{a", "a}", "{}", "{a b}", "{{{", "{a{b}}"])
def test_a_template_with_uneven_braces_is_refused(text):
    with pytest.raises(ValueError, match="; "):
        placeholders(text)


def test_rendering_fills_names_and_halves_doubled_braces():
    assert render("/{a}/{{{b}}}/{none}", {"a": "1", "b": "2"}) == "/1/{2}/"
