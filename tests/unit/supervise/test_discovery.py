"""What was found, on its way into the workers."""

from types import SimpleNamespace

from pyproxy.config import found
from pyproxy.config.load import from_mapping
from pyproxy.supervise.discovery import Discovery

CONFIG = from_mapping(
    {
        "listeners": {"web": {"bind": "127.0.0.1:8080"}},
        "upstreams": {
            "a": {"discover": {"file": "/a.yaml"}},
            "b": {"discover": {"file": "/b.yaml"}},
        },
        "routes": [{"upstream": "a"}],
    }
)


class Machine:
    """A supervisor whose time is told, and whose reloads are ended by hand."""

    def __init__(self):
        self.now = 0.0
        self.timers = []
        self.phase = "running"
        self.control = object()
        self.reactor = SimpleNamespace(clock=lambda: self.now, call_later=self.call_later)
        self.service = SimpleNamespace(config=CONFIG)
        self.reload = SimpleNamespace(active=False, serve=self.serve)
        self.upgrade = SimpleNamespace(active=False)
        self.served = []
        self.discovery = Discovery(self)

    def call_later(self, seconds, call):
        self.timers.append((self.now + seconds, call))
        return object()

    def serve(self, config, asker):
        self.served.append((config, asker))
        self.reload.active = True

    def until(self, when):
        self.now = when
        due = [t for t in self.timers if t[0] <= when]
        self.timers = [t for t in self.timers if t[0] > when]
        for _, call in due:
            call()

    def end(self, ok=True, **more):
        config, asker = self.served[-1]
        self.reload.active = False
        if ok:
            self.service.config = config
        asker.done(ok, **more)
        self.discovery.look()

    def tell(self, upstream, *addresses, key=None, error=""):
        rows = [[a, 1, 0, "", False] for a in addresses] if not error else None
        key = key or CONFIG.upstreams[upstream].discover.key
        message = {"upstream": upstream, "key": key, "endpoints": rows, "error": error}
        self.discovery.on_found({**message, "failures": 0, "looked": 1.0, "changed": 1.0})

    def now_served(self):
        config = self.service.config
        return {n: [e.address for e in u.endpoints] for n, u in config.upstreams.items()}


def test_changes_are_served_together_and_at_most_once_a_second():
    up = Machine()
    up.tell("a", "10.0.0.1:80")
    up.tell("b", "10.0.0.2:80")
    up.until(0)
    assert len(up.served) == 1
    up.end()
    assert up.now_served() == {"a": ["10.0.0.1:80"], "b": ["10.0.0.2:80"]}
    for n in range(5):
        up.tell("a", f"10.0.1.{n}:80")
        up.until(0.1 + n / 10)
    assert len(up.served) == 1
    up.until(1.0)
    up.end()
    assert len(up.served) == 2
    assert up.now_served()["a"] == ["10.0.1.4:80"]
    assert up.timers == []


def test_what_is_served_already_is_nothing_new():
    up = Machine()
    up.service.config = found.with_found(CONFIG, {"a": [found.endpoint("10.0.0.1:80")]})
    up.tell("a", "10.0.0.1:80")
    up.until(10)
    assert up.served == []


def test_it_waits_for_what_is_in_progress():
    up = Machine()
    up.reload.active = True
    up.tell("a", "10.0.0.1:80")
    up.until(0)
    assert up.served == []
    up.reload.active = False
    up.until(1)
    assert len(up.served) == 1


def test_after_a_reload_with_an_older_picture_it_is_served_again():
    up = Machine()
    up.tell("a", "10.0.0.1:80")
    up.until(0)
    up.end()
    up.service.config = CONFIG
    up.discovery.look()
    up.until(5)
    assert len(up.served) == 2


def test_what_another_source_has_found_is_not_served():
    up = Machine()
    up.tell("a", "10.0.0.1:80", key="another")
    up.tell("gone", "10.0.0.1:80", key="x")
    up.until(5)
    assert up.served == []


def test_a_refusal_is_tried_again_later():
    up = Machine()
    up.tell("a", "10.0.0.1:80")
    up.until(0)
    up.reload.active = False
    up.served[-1][1].done(False, error="no")
    up.until(5)
    assert len(up.served) == 1
    up.until(10)
    assert len(up.served) == 2


def test_nonsense_and_troubles_change_nothing():
    up = Machine()
    up.tell("a", "a.test:80")
    up.tell("b", error="there is no such name")
    up.until(5)
    assert up.served == []
    rows = up.discovery.rows()
    assert rows["b"] == {
        "source": "file /b.yaml",
        "error": "there is no such name",
        "last_change": 1.0,
    }


def test_the_control_process_starts_when_there_is_something_for_it():
    up = Machine()
    up.control = None
    added = []
    up.tree = SimpleNamespace(add=added.append)
    up.service.control_child = lambda: SimpleNamespace(state=None)
    up.discovery.look()
    up.discovery.look()
    assert added == [up.control]
