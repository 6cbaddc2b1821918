"""Secret references.

`secret://env/NAME` and `secret://file/PATH` stand for a value that is kept elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PREFIX = "secret://"
MAX_BYTES = 64 * 1024


def is_reference(text: str) -> bool:
    """Does the whole string name a secret? A reference inside a longer string is not one."""
    return text.startswith(PREFIX)


def resolve(reference: str, folder: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The value that a reference names.

    `secret://env/NAME` is an environment variable. `secret://file/run/secrets/db` is the file
    /run/secrets/db without its last line end; `secret://file/./db` and `secret://file/../db` are
    relative to `folder`, that of the configuration file. ValueError with `what; cure` otherwise,
    and the sentence never holds the value.
    """
    kind, slash, name = reference.removeprefix(PREFIX).partition("/")
    if not slash or not name or kind not in ("env", "file"):
        raise ValueError(
            f'"{reference}" is not a secret; write secret://env/NAME or secret://file/PATH'
        )
    if kind == "env":
        if name not in environ:
            raise ValueError(
                f"the environment variable {name} is not set; set it before starting pyproxy"
            )
        return environ[name]
    path = folder / name if name.startswith(("./", "../")) else Path("/", name)
    try:
        with path.open("rb") as file:
            value = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the secret file {path} cannot be read: {error.strerror}") from None
    if len(value) > MAX_BYTES:
        raise ValueError(f"the secret file {path} is too large; a secret has at most 64 KiB")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the secret file {path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
