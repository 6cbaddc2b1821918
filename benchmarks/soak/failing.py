"""(f) Every way in which a new program can be bad, under load: the old one must serve on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from benchmarks.errors import Unavailable
from benchmarks.soak import load, session
from benchmarks.soak.line import Line
from benchmarks.soak.service import Refused, Service
from benchmarks.soak.setting import Setting, proxying

_AS_PYPROXY = """
import sys
from pyproxy.cli.main import main
sys.exit(main())
"""
# What stands for a new version that is bad: (its program, a part of what the service says then).
PROGRAMS = {
    "ends at an import": ("import a_module_that_nobody_has", "a_module_that_nobody_has"),
    "is killed before it is ready": (
        "import os, signal\n"
        "from pyproxy.supervise.takeover import Takeover\n"
        "Takeover.commit = lambda self, up: os.kill(os.getpid(), signal.SIGKILL)" + _AS_PYPROXY,
        "status -9 before it was ready",
    ),
    "loses a worker before it is ready": (
        "import os\n"
        "from pyproxy.supervise.worker import Worker\n"
        "Worker._start = lambda self: os._exit(7)" + _AS_PYPROXY,
        "could not start",
    ),
    "hangs at once": ("import time\ntime.sleep(600)", "was not ready within"),
    "hangs when its workers are ready": (
        "from pyproxy.supervise.takeover import Takeover\n"
        "Takeover.commit = lambda self, up: None" + _AS_PYPROXY,
        "was not ready within",
    ),
}
_SETTLE_SECONDS = 15.0


def bad_programs(setting: Setting) -> list[Line]:
    """(f)"""
    size = setting.size
    wrong: Counter[str] = Counter({"not served on": 0, "wrong outcomes": 0})
    notes: list[str] = []
    cases = 0
    with setting.origin() as origin:
        good = proxying(origin, size.workers, upgrade_timeout=size.deadline)
        with (
            setting.service(good) as service,
            load.new_connections(service.port("web"), size.clients) as clients,
        ):
            for name, case in _cases(setting, service, good):
                clients.alive_for(0.1)
                what, why = _judge(service, case)
                wrong.update(what)
                notes += [f"a program that {name}: {text}" for text in why]
                cases += 1
                setting.say(f"  {name}: {'; '.join(why) or 'the old one serves on'}")
            what, why = _two_at_once(service)
            wrong.update(what)
            notes += [f"two upgrades at once: {text}" for text in why]
            setting.say(f"  two at once: {'; '.join(why) or 'one is served, one refused'}")
            service.settle()
            report = clients.end()
    failed = load.failed(report)
    counts = {"failed requests": sum(failed.values()), **wrong, "processes left": service.left}
    facts = {"bad programs": cases, "requests": report["requests"]}
    return [Line("f", "bad new programs under load", counts, facts, tuple(notes))]


Case = Callable[[], None]


def _cases(setting: Setting, service: Service, good: dict[str, Any]) -> list[tuple[str, Case]]:
    """Each tries an upgrade, and raises when the outcome is not the right refusal."""
    found: list[tuple[str, Case]] = []
    for number, (name, (text, said)) in enumerate(PROGRAMS.items()):
        file = setting.folder / f"bad{number}.py"
        file.write_text(text + "\n")
        found.append((name, partial(_refused, service, [sys.executable, str(file)], said)))

    def faulty() -> None:
        service.configure({**good, "routes": [{"upstream": "nowhere"}]})
        try:
            _refused(service, None, "nowhere")
        finally:
            service.configure(good)

    return [*found, ("finds faults in the configuration", faulty)]


def _refused(service: Service, program: list[str] | None, said: str) -> None:
    try:
        done = service.upgrade(program)
    except Refused as error:
        if said not in str(error):
            raise AssertionError(f"the reason given was: {error}") from error
    else:
        raise AssertionError(f"it took over, as pid {done.get('pid')}")


def _judge(service: Service, case: Case) -> tuple[dict[str, int], list[str]]:
    """Run one case; what was wrong about it."""
    before = service.supervisor()
    names = _names(service)
    wrong, why = {"not served on": 0, "wrong outcomes": 0}, []
    try:
        case()
    except AssertionError as error:
        wrong["wrong outcomes"] = 1
        why.append(str(error))
    service.settle()
    if service.supervisor() != before:
        wrong["not served on"] = 1
        why.append("another generation serves")
    # What the bad program had started must be gone, and all that was there must be there.
    if not _happens(service, lambda: _names(service) == names):
        wrong["wrong outcomes"] = 1
        why.append(f"processes were {names}, are {_names(service)}")
    return wrong, why


def _two_at_once(service: Service) -> tuple[dict[str, int], list[str]]:
    """One must be refused, the other must take over; two generations more would be one too many."""
    before = service.status()["generations"][0]["generation"]
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(service.upgrade) for _ in range(2)]
        errors = [str(one.exception()) for one in tries if one.exception()]
    service.settle()
    after = service.status()["generations"][0]["generation"]
    why = []
    if after != before + 1:
        why.append(f"generation {before} was followed by {after}")
    if len(errors) != 1 or "in progress" not in errors[0]:
        why.append(f"refused: {errors}")
    return {"wrong outcomes": int(bool(why))}, why


def _names(service: Service) -> list[str]:
    return sorted(member.name for member in session.members(service.session))


def _happens(service: Service, condition: Callable[[], bool]) -> bool:
    try:
        service.wait(condition, "it does not happen", _SETTLE_SECONDS)
    except Unavailable:
        return False
    return True
