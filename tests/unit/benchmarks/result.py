"""A result file made by hand, small and complete."""

from __future__ import annotations

from typing import Any


def spread(value: float) -> dict[str, float]:
    return {"median": value, "low": value * 0.9, "high": value * 1.1, "n": 5}


def scenario(
    subject: float, others: dict[str, float], noise: float | None = None
) -> dict[str, Any]:
    """A load scenario: CPU per request of pyproxy and of others."""
    everybody = {"pyproxy": subject, **others}
    keys = ("user_us", "system_us", "rps", "busy", "failed", "p50_us", "p99_us", "p999_us")
    return {
        "title": "a scenario",
        "slots": list(everybody),
        "left_out": {"pingora": "cargo is not installed"},
        "rate": 0.0,
        "rounds": [],
        "figures": {
            name: {"cpu_us": spread(cpu), **{k: spread(1.0) for k in keys}}
            for name, cpu in everybody.items()
        },
        "ratios": {
            name: {"cpu_us": spread(subject / cpu), "p99_us": spread(subject / cpu)}
            for name, cpu in others.items()
        },
        "noise": {} if noise is None else {"cpu_us": noise},
    }


def result(**scenarios: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "date": "2030-01-01T00:00:00Z",
        "commit": "abc",
        "dirty": False,
        "machine": {"cpu": "A <fast> one", "cpus": 2, "system": "Linux", "kernel": "6.1"},
        "load_average": 0.1,
        "settings": {"rounds": 5, "seconds": 2.5},
        "versions": {"nginx": "1.0"},
        "missing": {"envoy": "no wheel for this machine"},
        "scenarios": {name.replace("_", "-"): part for name, part in scenarios.items()},
        "singles": {},
        "failures": {},
    }
