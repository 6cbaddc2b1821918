"""Certificates of listeners: which one is shown, what is asked of clients, what changes on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from testenv import (
    GUARD_SECONDS,
    Proxy,
    get,
    origin,
    read_response,
    run_to_end,
    running,
    send,
    wait_until,
)
from testenv.certificates import Pair, certificates

PKI = certificates()

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")

CONFIG = """
workers: 2
admin: 127.0.0.1:0
listeners:
  web:
    bind: 127.0.0.1:0
    tls: {tls}
upstreams: {{app: {{endpoints: "{app}"}}}}
routes: [{{upstream: app}}]
"""


def pair(pair: Pair, more: str = "") -> str:
    return f"{{cert: {pair.cert}, key: {pair.key}{more}}}"


def answering(tls: str) -> str:
    """A configuration that needs no origin."""
    config = CONFIG.format(tls=tls, app="127.0.0.1:1")
    return config.replace("routes: [{upstream: app}]", 'routes: [{respond: {body: "hello\\n"}}]')


def dial(proxy: Proxy, name: str | None = "app.test", context=None) -> ssl.SSLSocket:
    """A TLS connection that asks for <name>; None: for nobody."""
    context = context or PKI.client_context()
    if name is None:
        context.check_hostname = False
    sock = socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS)
    try:
        return context.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def shown(proxy: Proxy, name: str | None = "app.test", context=None) -> str:
    """The fingerprint of the certificate that a new connection is shown."""
    with dial(proxy, name, context) as sock:
        return hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()


def anybody() -> ssl.SSLContext:
    """A client that looks at the certificate and believes it."""
    context = PKI.client_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait_for_certificate(proxy: Proxy, wanted: Pair) -> None:
    wait_until(lambda: shown(proxy, context=anybody()) == wanted.fingerprint, "another certificate")


# ---- which one


def test_requests_come_through_and_say_how() -> None:
    with origin() as app, running(CONFIG.format(tls=pair(PKI.chained), app=app.address)) as proxy:
        assert proxy.urls() == [f"https://127.0.0.1:{proxy.port()}"]
        with dial(proxy) as sock:
            for path in ("/a", "/b"):
                send(sock, path, host="app.test")
                assert read_response(sock).status == 200
        assert [request.path for request in app.requests] == ["/a", "/b"]
        assert app.requests[0].headers["x-forwarded-proto"] == "https"


def test_the_name_chooses_and_an_exact_one_goes_before_a_wildcard() -> None:
    tls = ", ".join(pair(one) for one in (PKI.server, PKI.wildcard, PKI.exact))
    with running(answering(f"{{certificates: [{tls}]}}")) as proxy:
        expected = {
            "app.test": PKI.server,
            "WWW.app.test": PKI.server,
            "exact.wild.test": PKI.exact,
            "any.wild.test": PKI.wildcard,
            "a.b.wild.test": PKI.server,  # a wildcard stands for one label
            "nobody.test": PKI.server,
            None: PKI.server,
        }
        for name, one in expected.items():
            assert shown(proxy, name, anybody()) == one.fingerprint, name


def test_names_may_be_said_in_the_configuration() -> None:
    tls = f"{pair(PKI.server)}, {pair(PKI.other, ', hosts: [mine.test]')}"
    with running(answering(f"{{certificates: [{tls}]}}")) as proxy:
        assert shown(proxy, "mine.test", anybody()) == PKI.other.fingerprint
        assert shown(proxy, "other.test", anybody()) == PKI.server.fingerprint


def test_a_client_that_knows_only_rsa_gets_that() -> None:
    tls = f"{{certificates: [{pair(PKI.server)}, {pair(PKI.server_rsa)}]}}"
    with running(answering(tls)) as proxy:
        old = PKI.client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
        old.set_ciphers("aRSA+AESGCM")
        assert shown(proxy, context=old) == PKI.server_rsa.fingerprint
        assert shown(proxy) == PKI.server.fingerprint


def test_a_chain_in_the_wrong_order_is_mended(tmp_path) -> None:
    mixed = PKI.chained.copy(tmp_path)
    blocks = mixed.cert.read_text().split("-----END CERTIFICATE-----\n")[:-1]
    mixed.cert.write_text("".join(f"{b}-----END CERTIFICATE-----\n" for b in reversed(blocks)))
    with running(answering(pair(mixed))) as proxy:
        assert shown(proxy) == PKI.chained.fingerprint  # which verifies the chain
        assert "in the wrong order; the right one, by their lines: " in proxy.stderr


def test_old_versions_are_refused_where_they_are_not_wanted() -> None:
    with running(answering(pair(PKI.server, ", min_version: 1.3"))) as proxy:
        with pytest.raises(ssl.SSLError):
            dial(proxy, context=PKI.client_context(maximum_version=ssl.TLSVersion.TLSv1_2))
        with dial(proxy) as sock:
            assert sock.version() == "TLSv1.3"


def test_keys_can_be_logged_for_debugging(tmp_path) -> None:
    client = PKI.client_context()
    client.keylog_filename = str(tmp_path / "client.keys")
    log = tmp_path / "server.keys"
    with running(answering(pair(PKI.server, f", key_log: {log}"))) as proxy:
        with dial(proxy, context=client) as sock:
            send(sock)
            assert read_response(sock).status == 200
        theirs = [
            line
            for line in Path(client.keylog_filename).read_text().splitlines()
            if not line.startswith("#")
        ]
        assert "CLIENT_TRAFFIC_SECRET_0" in "".join(theirs)
        assert set(theirs) <= set(log.read_text().splitlines())
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_protocols_are_offered_and_strangers_turned_away() -> None:
    with running(answering(pair(PKI.server, ", alpn: [h2, http/1.1]"))) as proxy:
        for offered in (["h2"], ["http/1.1"], ["http/1.1", "h2"], ["h2", "unknown"]):
            context = PKI.client_context()
            context.set_alpn_protocols(offered)
            with dial(proxy, context=context) as sock:
                # In our order, not in theirs.
                assert sock.selected_alpn_protocol() == ("h2" if "h2" in offered else "http/1.1")
        context.set_alpn_protocols(["unknown"])
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            dial(proxy, context=context)
    with running(answering(pair(PKI.server, ", alpn: [http/1.1]"))) as proxy:
        context.set_alpn_protocols(["h2", "http/1.1"])
        with dial(proxy, context=context) as sock:
            assert sock.selected_alpn_protocol() == "http/1.1"


# ---- what keeps it from starting, and what does not


def test_a_mismatched_pair_keeps_it_from_starting() -> None:
    ended = run_to_end(answering(pair(PKI.mismatched)))
    assert ended.status == 2
    assert "pyproxy.yaml:7:" in ended.stderr
    assert "does not belong to the certificate" in ended.stderr


def test_an_expired_certificate_is_served_with_a_warning() -> None:
    with running(answering(pair(PKI.expired))) as proxy:
        assert shown(proxy, context=anybody()) == PKI.expired.fingerprint
        assert 'the certificate "localhost" has expired 1 day ago' in proxy.stderr
        expiry = [v for k, v in proxy.metrics().items() if "certificate_expiry_seconds" in k]
        assert [value < 0 for value in expiry] == [True]


# ---- what changes on disk


def test_a_renewed_certificate_is_served_and_no_request_fails(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    failures: list[str] = []
    counts = {"kept": 0, "new": 0}
    stop = threading.Event()

    def one_connection(proxy: Proxy) -> None:
        """A connection that stays open all the time."""
        with dial(proxy) as sock:
            while not stop.is_set():
                send(sock)
                if read_response(sock).status != 200:
                    failures.append("status")
                counts["kept"] += 1

    def many_connections(proxy: Proxy) -> None:
        while not stop.is_set():
            with dial(proxy) as sock:
                send(sock)
                if read_response(sock).status != 200:
                    failures.append("status")
            counts["new"] += 1

    def guarded(run, proxy: Proxy) -> None:
        try:
            run(proxy)
        except Exception as error:
            failures.append(repr(error))

    with running(answering(pair(live))) as proxy:
        threads = [
            threading.Thread(target=guarded, args=(run, proxy))
            for run in (one_connection, one_connection, many_connections, many_connections)
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                for new in (PKI.server_rsa, PKI.chained, PKI.server):
                    new.copy(tmp_path)  # half-written pairs are seen on the way, too
                    wait_for_certificate(proxy, new)
            before = dict(counts)
            wait_until(
                lambda: all(counts[k] > before[k] + 5 for k in counts), "requests afterwards"
            )
        finally:
            stop.set()
            for thread in threads:
                thread.join(GUARD_SECONDS)
        assert failures == []
        assert proxy.metrics()["pyproxy_certificate_reloads_total"] >= 6
        assert proxy.metrics()["pyproxy_config_generation"] == 1


def test_a_link_above_the_files_may_be_swapped(tmp_path) -> None:
    """As Kubernetes mounts secrets."""
    for name, one in (("..1", PKI.server), ("..2", PKI.other)):
        (tmp_path / name).mkdir()
        one.copy(tmp_path / name)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    live = Pair(tmp_path / "tls.crt", tmp_path / "tls.key")
    with running(answering(pair(live))) as proxy:
        assert shown(proxy) == PKI.server.fingerprint
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").replace(tmp_path / "..data")
        wait_for_certificate(proxy, PKI.other)


def test_a_bad_pair_is_refused_and_reported_and_the_old_one_goes_on(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    with running(answering(pair(live))) as proxy, dial(proxy) as open_before:
        shutil.copy(PKI.other.cert, live.cert)
        proxy.wait_for("refused, so what was served before goes on")
        assert "does not belong to the certificate" in proxy.stderr
        assert shown(proxy) == PKI.server.fingerprint
        assert proxy.metrics()["pyproxy_certificate_reload_failures_total"] == 1
        assert "refused   " in proxy.ask("status").stdout
        # A worker that comes meanwhile has the old pair, too.
        os.kill(proxy.workers()[0], signal.SIGTERM)
        proxy.wait_for("leaves, and is replaced")
        assert shown(proxy) == PKI.server.fingerprint
        shutil.copy(PKI.other.key, live.key)
        wait_for_certificate(proxy, PKI.other)
        assert "refused   " not in proxy.ask("status").stdout
        send(open_before)
        assert read_response(open_before).status == 200


def test_the_configuration_itself_is_left_alone(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    with running(answering(pair(live))) as proxy:
        file = proxy.folder / "pyproxy.yaml"
        file.write_text("this is broken: [\n")
        PKI.other.copy(tmp_path)
        wait_for_certificate(proxy, PKI.other)


def test_a_reload_refuses_a_bad_pair_and_brings_tls_to_a_plain_listener(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    plain = answering(pair(live)).replace(f"    tls: {pair(live)}\n", "")
    with running(plain) as proxy:
        asked = proxy.reload(answering(pair(PKI.mismatched)))
        assert asked.returncode == 2
        assert "does not belong to the certificate" in asked.stderr
        assert get(proxy.port()).status == 200
        assert proxy.reload(answering(pair(live))).returncode == 0
        assert shown(proxy) == PKI.server.fingerprint
        PKI.other.copy(tmp_path)
        wait_for_certificate(proxy, PKI.other)


def test_an_upgrade_goes_on_with_what_is_on_disk(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    with running(answering(pair(live))) as proxy:
        port = proxy.port()
        assert proxy.ask("upgrade").returncode == 0
        assert proxy.port() == port
        assert shown(proxy) == PKI.server.fingerprint
        PKI.other.copy(tmp_path)
        wait_for_certificate(proxy, PKI.other)


FILTER = """
from pyproxy import Filter, Reply

class Count(Filter):
    def __init__(self, config):
        super().__init__(config)
        self.seen = 0

    def response(self, exchange):
        self.seen += 1
        exchange.response.headers["x-seen"] = str(self.seen)
"""


def test_filters_and_connections_to_endpoints_notice_nothing(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    with origin() as app:
        config = CONFIG.format(tls=pair(live), app=app.address).replace("workers: 2", "workers: 1")
        config = config.replace(
            "[{upstream: app}]", '[{upstream: app, filters: [{python: {use: "own:Count"}}]}]'
        )
        with running(config, files={"own.py": FILTER}) as proxy, dial(proxy) as sock:
            for seen, new in enumerate((PKI.other, PKI.server, PKI.other), 1):
                send(sock, host="app.test")
                assert read_response(sock).headers["x-seen"] == str(seen)
                new.copy(tmp_path)
                wait_for_certificate(proxy, new)
            assert app.connections == 1


@needs_root
def test_workers_need_no_right_to_read_keys(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)  # below a folder that is ours alone
    live.key.chmod(0o600)
    with running("user: nobody\n" + answering(pair(live))) as proxy:
        assert shown(proxy) == PKI.server.fingerprint
        PKI.other.copy(tmp_path)
        wait_for_certificate(proxy, PKI.other)
        (first, _) = proxy.workers()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in (now := proxy.workers()) and len(now) == 2, "replaced")
        assert {shown(proxy, context=anybody()) for _ in range(8)} == {PKI.other.fingerprint}


# ---- what operators see


def test_certificates_are_shown_and_keys_never() -> None:
    with running(answering(pair(PKI.server))) as proxy:
        (row,) = json.loads(proxy.admin("/certificates").text)["certificates"]
        assert row["names"] == ["localhost", "app.test", "www.app.test"]
        assert row["fingerprint"] == PKI.server.fingerprint
        shown_by_status = proxy.ask("status").stdout
        assert "listeners.web.tls.certificates[0]  localhost, app.test" in shown_by_status
        secret = PKI.server.key.read_text().splitlines()[1]
        for page in ("/", "/certificates", "/config/summary", "/metrics", "/listeners"):
            assert secret not in proxy.admin(page).text
