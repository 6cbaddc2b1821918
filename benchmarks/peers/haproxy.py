"""HAProxy from Debian. One process, one thread."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import install
from benchmarks.certificate import GROUP, SUITE
from benchmarks.contender import Contender, Setup
from benchmarks.machine import output


class Haproxy(Contender):
    name = "haproxy"
    label = "HAProxy"
    flavours = frozenset({"plain", "log", "tls", "h2c", "websocket", "tcp"})
    access_log = "output.txt"

    def install(self) -> None:
        install.packages("haproxy", commands=("/usr/sbin/haproxy",))

    def version(self) -> str:
        words = output("/usr/sbin/haproxy", "-v").split()
        return words[2] if len(words) > 2 else ""

    def command(self, setup: Setup) -> Sequence[str]:
        # Standard output is a file here; HAProxy has no log file or buffer of its own.
        log = (
            "log stdout format raw local0\n    option httplog"
            if setup.flavour == "log"
            else "no log"
        )
        h2c = " proto h2" if setup.flavour == "h2c" else ""
        tcp = setup.flavour == "tcp"
        http = "http\n    option http-keep-alive\n    option http-ignore-probes"
        mode = "tcp\n    option splice-auto" if tcp else http
        config = f"""global
    nbthread {setup.workers}
    maxconn {4000 if tcp else 9000}
    log stdout format raw local0
defaults
    mode {mode}
    {log}
    {"" if tcp else "http-reuse always"}
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout tunnel 600s
    timeout http-keep-alive 600s
frontend web
    bind 127.0.0.1:{setup.port} backlog 4096{h2c}{secure(setup)}
    default_backend origin
backend origin
    server origin 127.0.0.1:{setup.origin} pool-max-conn 1024{h2c}
"""
        path = setup.write("haproxy.cfg", config)
        return ["/usr/sbin/haproxy", "-db", "-f", str(path)]


def secure(setup: Setup) -> str:
    """What stands on the line of the socket when it speaks TLS."""
    if setup.pair is None:
        return ""
    return (
        f" ssl crt {setup.pair.both} alpn h2,http/1.1 ssl-min-ver TLSv1.3"
        f" ciphersuites {SUITE} curves {GROUP}"
    )
