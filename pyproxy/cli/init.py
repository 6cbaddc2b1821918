"""`pyproxy init`: write a configuration to start from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyproxy.errors import StartError

EPILOG = """\
examples:
  pyproxy init                 write pyproxy.yaml
  pyproxy init site.yaml       write another file
  pyproxy init -               print it
"""

STARTER = """\
# pyproxy configuration.  Check it: pyproxy check     Serve it: pyproxy run
# Every field, its default and its meaning: docs/configuration.md, or pyproxy schema

# One process for each CPU. A number pins it.
workers: auto

# The entrances. "[::]:8080" listens on IPv6, "unix:/run/pyproxy/web.sock" on a unix socket.
listeners:
  web:
    bind: "127.0.0.1:8080"
    # trusted_proxies: [10.0.0.0/8]       # believe X-Forwarded-* from these

# Where requests can go. Put your own server here: endpoints: ["127.0.0.1:9000"]
upstreams:
  app:
    endpoints: ["demo:"]                  # the built-in demonstration origin
    # timeouts: {connect: 5s, first_byte: 60s}

# Which request goes where. The host decides first, then priority, then the most specific path.
# Ask what a request would do: pyproxy explain http://127.0.0.1:8080/hello/ann
routes:
  - name: health
    match: {path: /healthz, methods: [GET, HEAD]}
    respond: {status: 200, body: "ok\\n"}

  - name: docs
    match: {path: "/docs/*rest"}
    redirect: {location: "/{rest}", status: 302}

  # - name: api
  #   match: {host: api.example.com, path: "/v1/{user}/*rest"}
  #   filters:
  #     - python: {use: "myfilters:Audit", config: {level: info}}
  #   rewrite: {path: "/{user}/{rest}"}
  #   upstream: app

  - name: app
    match: {path: "/*"}
    upstream: app

# One JSON object a line. Or a file, or a form of your own:
# access_log: {path: /var/log/pyproxy.log, format: "{request.method} {request.target} {fault}"}
access_log: stdout

# Metrics at /metrics, readiness at /ready.
admin: "127.0.0.1:9901"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "file", nargs="?", default="pyproxy.yaml", metavar="FILE", help="default: pyproxy.yaml"
    )


def main(args: argparse.Namespace) -> int:
    """Write the file; StartError when it exists or cannot be written."""
    if args.file == "-":
        sys.stdout.write(STARTER)
        return 0
    try:
        with Path(args.file).open("x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        raise StartError(f"{args.file} exists already: it is left as it is") from None
    except OSError as error:
        raise StartError(f"{args.file} cannot be written: {error.strerror}") from None
    option = "" if args.file == "pyproxy.yaml" else f" -c {args.file}"
    sys.stdout.write(f"wrote {args.file}; serve it with: pyproxy run{option}\n")
    return 0
