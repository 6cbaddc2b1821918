"""The documentation's examples of filters, for configurations of tests."""

from __future__ import annotations

from typing import Any

import yaml

from pyproxy.config.filters import FILTER_KINDS


def filter_example(word: str) -> list[dict[str, Any]]:
    """The entries of a `filters` list that the page of a kind shows."""
    entries: list[dict[str, Any]] = yaml.safe_load(FILTER_KINDS[word].example)
    return entries
