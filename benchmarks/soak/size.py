"""How much of everything a run does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of the scenarios; the letters are those of the lines."""

    upgrades: int = 50  # (a), (b), (d)
    clients: int = 32  # (a), (b), (c), (f)
    workers: int = 2
    many_workers: int = 4  # (b), (c)
    kill_rounds: int = 2  # (c)
    posters: int = 64  # (d)
    think: float = 0.1
    reloads: int = 200  # (d)
    tunnels: int = 500  # (e)
    tunnel_upgrades: int = 20
    deadline: str = "3s"  # (f)
    listeners: int = 400  # (h)
    first_upgrades: int = 5  # (i)
    all_upgrades: int = 100


FULL = Size()
QUICK = Size(
    upgrades=5,
    clients=16,
    kill_rounds=1,
    posters=32,
    reloads=12,
    tunnels=50,
    tunnel_upgrades=3,
    deadline="1s",
    listeners=40,
    first_upgrades=3,
    all_upgrades=10,
)
