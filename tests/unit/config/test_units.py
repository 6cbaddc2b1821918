"""Durations, sizes and file modes as people write them."""

import pytest

from pyproxy.config.units import (
    format_duration,
    format_mode,
    format_size,
    parse_duration,
    parse_mode,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("250ms", 250),
        ("30s", 30_000),
        ("1.5s", 1500),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("10 s", 10_000),
        ("0", 0),
        ("off", 0),
    ],
)
def test_durations_are_milliseconds(text, ms):
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1y", "1s2", "1ss", "30d", "0.1ms", "1e3s"])
def test_a_duration_needs_a_number_and_a_unit_in_range(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_bare_number_gets_its_unit_suggested():
    with pytest.raises(ValueError, match="such as 30s"):
        parse_duration("30")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("16KiB", 16_384),
        ("1MiB", 2**20),
        ("1.5GiB", 3 * 2**29),
        ("2TiB", 2**41),
        ("10MB", 10_000_000),
        ("unlimited", 0),
    ],
)
def test_sizes_are_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "16K", "1 mib", "-1", "1.5", "KiB", "9999999999TiB"])
def test_a_size_is_a_whole_number_of_bytes_in_range(text):
    with pytest.raises(ValueError, match=r"size|bytes|range"):
        parse_size(text)


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("600", 0o600), ("0o777", 0o777)])
def test_modes_are_octal(text, mode):
    assert parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "0888", "rw-", "7777", "1"])
def test_a_mode_is_three_octal_digits(text):
    with pytest.raises(ValueError, match="file mode"):
        parse_mode(text)


@pytest.mark.parametrize("ms", [0, 1, 250, 1000, 75_000, 60_000, 3_600_000, 86_400_000])
def test_a_formatted_duration_reads_back(ms):
    assert parse_duration(format_duration(ms)) == ms


@pytest.mark.parametrize("size", [0, 240, 1024, 61_440, 2**20, 2**31])
def test_a_formatted_size_reads_back(size):
    assert parse_size(format_size(size)) == size


def test_a_formatted_mode_reads_back():
    assert parse_mode(format_mode(0o640)) == 0o640
