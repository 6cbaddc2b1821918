"""Files in memory that all processes of the service map, and that outlive each of them."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os

# Of Linux 6.3: the file can never be run as a program. Older kernels refuse the unknown flag.
_MFD_NOEXEC_SEAL = 0x0008
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def reserve(name: str, size: int) -> tuple[int, mmap.mmap]:
    """A memory file of <size> bytes that nobody can resize, and its mapping. Raises `OSError`."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError:
        fd = os.memfd_create(name, flags)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        return fd, map_file(fd, size)
    except BaseException:
        os.close(fd)
        raise


def map_file(fd: int, size: int) -> mmap.mmap:
    """Map the file so that its reserve costs nothing. Raises `OSError`."""
    memory = mmap.mmap(fd, size)
    # Huge pages would bring far more of the reserve into being than is used, and a core dump would
    # write all of it out. A kernel that knows neither does no harm.
    for advice in (mmap.MADV_NOHUGEPAGE, mmap.MADV_DONTDUMP):
        with contextlib.suppress(OSError):
            memory.madvise(advice)
    return memory


def is_fixed(fd: int) -> bool:
    """Nobody can shrink it: memory that could shrink would kill whoever reads it."""
    return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK)
