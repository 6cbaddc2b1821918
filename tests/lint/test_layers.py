"""Includes point down: the layers of csrc, and the order inside proxy/."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lint.scan import CSRC, PURE, CFile, c_files, report

# Folder -> the folders that its files may include. Siblings never include each other.
LAYERS = {
    "base": {"base"},
    "wire": {"base", "wire"},
    "route": {"base", "route"},
    "io": {"base", "io"},
    "proxy": {"base", "wire", "route", "io", "proxy"},
    "worker": {"base", "wire", "route", "io", "proxy", "worker"},
}

# The order inside proxy/, one group a line: a file may include its own group and those above it.
# "filter_*" stands for every filter_<name>.
PROXY_ORDER = (
    (
        *("fault", "leases", "metrics", "moved", "shared", "template", "snapshot"),
        *("client_tls", "announced", "udp_table"),
    ),
    ("core",),
    ("h1", "h2_chan"),
    ("exchange",),
    ("extended", "forward", "grpc", "pace", "reply", "upgrade", "variable"),
    ("phase", "shadow", "filter", "filters", "filter_*", "hook", "condition", "split"),
    (
        *(
            "adaptive",
            "admission",
            "cluster",
            "cluster_outlier",
            "cluster_pick",
            "affinity",
            "circuit",
        ),
        *("pool", "retry"),
    ),
    ("accesslog",),
    ("body",),
    (
        *("up", "up_carry", "up_file", "up_h1", "up_h2", "up_stream", "up_stream_tunnel"),
        *("up_tls", "up_warm"),
    ),
    ("tunnel",),
    ("step", "step_request", "step_response", "step_retry", "step_shed"),
    ("drive",),
    (
        *("down", "down_h1", "down_h2", "down_h2_stream", "down_h2_tunnel", "down_tls"),
        *("greet", "move", "overload", "tunnel_door", "tunnel_http", "tunnel_move", "tunnel_tls"),
        *("udp", "udp_door", "udp_relay"),
    ),
)

# What the C library may give to a pure file: none of these can read a clock or make a system call.
PURE_SYSTEM_HEADERS = {
    *("inttypes.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"),
    *("emmintrin.h", "immintrin.h", "nmmintrin.h", "smmintrin.h", "tmmintrin.h", "arm_neon.h"),
    "sys/uio.h",  # struct iovec
    "stdio.h",  # snprintf; test_objects.py sees to it that it is nothing else
}
PURE_EXTRA = {
    "csrc/base/mem.c": {"stdlib.h"},
    "csrc/base/check.c": {"stdlib.h"},
    "csrc/wire/http2_codec_impl.h": {"nghttp2/nghttp2.h"},
    "csrc/wire/compress_brotli.c": {"brotli/decode.h", "brotli/encode.h"},
    "csrc/wire/compress_gzip.c": {"zlib.h"},
    "csrc/wire/compress_zstd.c": {"zstd.h"},
}

# Headers that only the named files may include.
PRIVATE_HEADERS = {
    "nghttp2/nghttp2.h": {"csrc/wire/http2_codec_impl.h"},
    "wire/compress_impl.h": {
        "csrc/wire/compress.c",
        "csrc/wire/compress_brotli.c",
        "csrc/wire/compress_gzip.c",
        "csrc/wire/compress_zstd.c",
    },
    "wire/http2_codec_impl.h": {
        "csrc/wire/http2_codec.c",
        "csrc/wire/http2_codec_feed.c",
        "csrc/wire/http2_codec_send.c",
    },
    "io/tls_api.h": {"csrc/io/tls_lib.h"},
    "sys/epoll.h": {"csrc/io/loop.c", "csrc/io/loop.h"},
}


def proxy_rank(stem: str) -> int | None:
    """The group of a file of proxy/, or None when the table does not know it."""
    for rank, group in enumerate(PROXY_ORDER):
        if stem in group or ("filter_*" in group and stem.startswith("filter_")):
            return rank
    return None


def layer_problems(file: CFile) -> list[str]:
    """The includes of <file> that leave its layer or, inside proxy/, point to the right."""
    problems = []
    for include in file.includes:
        folder, slash, rest = include.name.partition("/")
        if include.system or not slash:
            if not include.system:
                problems.append(f"{file.name}:{include.line}: write the folder: {include.name}")
            continue
        if folder not in LAYERS[file.folder]:
            problems.append(f"{file.name}:{include.line}: {file.folder} must not include {folder}")
        if file.folder == "proxy" == folder:
            mine, other = proxy_rank(file.stem), proxy_rank(rest.removesuffix(".h"))
            if mine is not None and other is not None and other > mine:
                problems.append(f"{file.name}:{include.line}: {rest} stands to the right")
    return problems


def test_includes_point_down() -> None:
    report([problem for file in c_files() for problem in layer_problems(file)])


def test_every_file_of_proxy_has_a_place_in_the_order() -> None:
    files = [file for file in c_files() if file.folder == "proxy"]
    report([f"{f.name}: not in PROXY_ORDER" for f in files if proxy_rank(f.stem) is None])


def test_pure_files_include_only_harmless_system_headers() -> None:
    problems = []
    for file in c_files():
        if file.folder not in PURE:
            continue
        allowed = PURE_SYSTEM_HEADERS | PURE_EXTRA.get(file.name, set())
        problems += [
            f"{file.name}:{include.line}: <{include.name}> in a pure file"
            for include in file.includes
            if include.system and include.name not in allowed
        ]
    report(problems)


def test_private_headers_stay_private() -> None:
    report(
        [
            f"{file.name}:{include.line}: only {sorted(owners)} may include {include.name}"
            for file in c_files()
            for include in file.includes
            if (owners := PRIVATE_HEADERS.get(include.name)) and file.name not in owners
        ]
    )


def test_headers_stand_alone(tmp_path: Path) -> None:
    source = tmp_path / "all.c"
    problems = []
    for file in c_files(".h"):
        name = f"{file.folder}/{file.path.name}"
        source.write_text(f'#include "{name}"\n#include "{name}"\n', encoding="utf-8")
        command = ["cc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", f"-I{CSRC}", str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            problems.append(f"{file.name}: does not compile alone:\n{done.stderr}")
    report(problems)
