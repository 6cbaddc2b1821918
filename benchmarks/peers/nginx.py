"""nginx from Debian, with its Lua module for the filter scenario. One worker process."""

from __future__ import annotations

import os
from collections.abc import Sequence

from benchmarks import install
from benchmarks.certificate import GROUP, SUITE
from benchmarks.contender import GZIP_LEVEL, Contender, Setup, route_paths
from benchmarks.errors import Unavailable
from benchmarks.machine import output

MODULES = (
    "/usr/lib/nginx/modules/ndk_http_module.so",
    "/usr/lib/nginx/modules/ngx_http_lua_module.so",
)
STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"

# The same work as filters/bench_filters.py: read a request header, set a request header, set a
# response header. ngx.var is the fastest way that the module has to read one header.
LUA = """
        access_by_lua_block {
            local user = ngx.var.http_x_user
            if user then
                ngx.req.set_header("x-bench-user", user)
            end
        }
        header_filter_by_lua_block {
            ngx.header["x-bench"] = "1"
        }"""


class Nginx(Contender):
    name = "nginx"
    label = "nginx"
    flavours = frozenset(
        {
            *("plain", "log", "filter", "routes", "gzip", "tls", "websocket", "tcp", "udp"),
            *("static", "static-copied"),
        }
    )

    def install(self) -> None:
        modules = ("libnginx-mod-http-lua", "libnginx-mod-stream")
        install.packages("nginx-light", *modules, commands=("/usr/sbin/nginx",))

    def version(self) -> str:
        return output("/usr/sbin/nginx", "-v").rpartition("nginx/")[2]

    def command(self, setup: Setup) -> Sequence[str]:
        config = stream(setup) if setup.flavour in ("tcp", "udp") else self.http(setup)
        path = setup.write("nginx.conf", config)
        return ["/usr/sbin/nginx", "-p", str(setup.folder), "-c", str(path)]

    def http(self, setup: Setup) -> str:
        """The configuration of everything that is HTTP."""
        log = "off"
        if setup.flavour == "log":
            log = f"{setup.folder}/access.log combined buffer=64k flush=1s"
        lua = setup.flavour == "filter"
        if lua and not all(os.path.exists(m) for m in MODULES):
            raise Unavailable("nginx's Lua module is not installed")
        modules = "".join(f"load_module {m};\n" for m in MODULES) if lua else ""
        paths = route_paths(setup.routes) if setup.flavour == "routes" else ["/"]
        extra = LUA if lua else EXTRA.get(setup.flavour, "")
        locations = "".join(location(path, extra) for path in paths)
        if setup.flavour in ("static", "static-copied"):
            locations = files(setup)
        return f"""{modules}{head(setup)}http {{
    access_log {log};
    client_body_temp_path {setup.folder}/body;
    proxy_temp_path {setup.folder}/proxy;
    fastcgi_temp_path {setup.folder}/fastcgi;
    scgi_temp_path {setup.folder}/scgi;
    uwsgi_temp_path {setup.folder}/uwsgi;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    tcp_nodelay on;
    upstream origin {{
        server 127.0.0.1:{setup.origin};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 128k;
    client_body_buffer_size 128k;
    server {{
        {listening(setup)}{locations}
    }}
}}
"""


# What a flavour adds to every location. The level is that of pyproxy.
EXTRA = {
    "websocket": """
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 600s;""",
    "gzip": f"""
        gzip on;
        gzip_comp_level {GZIP_LEVEL};
        gzip_min_length 1024;
        gzip_types application/json;
        gzip_vary on;""",
}


def head(setup: Setup) -> str:
    """What stands before everything."""
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""{user}daemon off;
worker_processes {setup.workers};
pid {setup.folder}/nginx.pid;
error_log {setup.folder}/error.log warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
"""


def listening(setup: Setup) -> str:
    """Where, and with which certificate. Tickets are on: that is nginx's default."""
    if setup.pair is None:
        return f"listen 127.0.0.1:{setup.port} backlog=4096;"
    return f"""listen 127.0.0.1:{setup.port} ssl http2 backlog=4096;
        http2_max_concurrent_streams 128;
        ssl_certificate {setup.pair.cert};
        ssl_certificate_key {setup.pair.key};
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites {SUITE};
        ssl_ecdh_curve {GROUP};"""


def stream(setup: Setup) -> str:
    """The configuration of what is not HTTP."""
    if not os.path.exists(STREAM):
        raise Unavailable("nginx's stream module is not installed")
    udp = setup.flavour == "udp"
    listen = "udp reuseport" if udp else "backlog=4096"
    rest = "proxy_responses 1; proxy_timeout 5s;" if udp else "proxy_buffer_size 64k;"
    return f"""load_module {STREAM};
{head(setup)}stream {{
    server {{
        listen 127.0.0.1:{setup.port} {listen};
        proxy_pass 127.0.0.1:{setup.origin};
        {rest}
    }}
}}
"""


def files(setup: Setup) -> str:
    """The location that serves files."""
    how = "sendfile on; tcp_nopush on;" if setup.flavour == "static" else "sendfile off;"
    return f"\n        location / {{ root {setup.static_files()}; {how} }}"


def location(path: str, extra: str) -> str:
    """One location block; every one forwards to the same upstream group."""
    return f"\n        location {path} {{ proxy_pass http://origin;{extra} }}"
