"""h2o from Debian. One thread."""

from __future__ import annotations

import os
from collections.abc import Sequence

from benchmarks import install
from benchmarks.contender import Contender, Setup
from benchmarks.machine import output

PROGRAM = "/usr/bin/h2o"


class H2o(Contender):
    name = "h2o"
    label = "h2o"
    flavours = frozenset({"tls"})

    def install(self) -> None:
        install.packages("h2o", commands=(PROGRAM,))

    def version(self) -> str:
        words = output(PROGRAM, "--version").split()
        return words[2] if len(words) > 2 else ""

    def command(self, setup: Setup) -> Sequence[str]:
        assert setup.pair is not None
        user = "user: root\n" if os.geteuid() == 0 else ""
        config = f"""{user}num-threads: {setup.workers}
pid-file: {setup.folder}/h2o.pid
http1-request-timeout: 600
http2-idle-timeout: 600
ssl-session-resumption:
  mode: ticket
proxy.timeout.keepalive: 600000
listen:
  port: {setup.port}
  host: 127.0.0.1
  ssl:
    certificate-file: {setup.pair.cert}
    key-file: {setup.pair.key}
    minimum-version: TLSv1.3
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:{setup.origin}/
"""
        path = setup.write("h2o.conf", config)
        return [PROGRAM, "-m", "worker", "-c", str(path)]
