"""HAProxy from Debian. One process, one thread."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import install
from benchmarks.contender import Contender, Setup
from benchmarks.machine import output


class Haproxy(Contender):
    name = "haproxy"
    label = "HAProxy"
    flavours = frozenset({"plain", "log"})
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
        config = f"""global
    nbthread 1
    maxconn 9000
    log stdout format raw local0
defaults
    mode http
    {log}
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend web
    bind 127.0.0.1:{setup.port} backlog 4096
    default_backend origin
backend origin
    server origin 127.0.0.1:{setup.origin} pool-max-conn 1024
"""
        path = setup.write("haproxy.cfg", config)
        return ["/usr/sbin/haproxy", "-db", "-f", str(path)]
