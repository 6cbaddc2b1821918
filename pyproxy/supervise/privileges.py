"""Who a process runs as, and the limits it runs under."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import resource
from typing import NamedTuple

from pyproxy.errors import StartError


class PrivilegeError(StartError):
    """A user or group cannot be used; the text is meant for the operator."""


class Identity(NamedTuple):
    """A user and group to run as.

    `user` is the account name, empty for a bare number without an account.
    """

    uid: int
    gid: int
    user: str


def resolve(spec: str) -> Identity:
    """Look up `name`, `name:group`, or their numeric forms.

    Raises `PrivilegeError` for unknown ones.
    """
    user, colon, group = spec.partition(":")
    if not user or (colon and not group):
        raise PrivilegeError(f"user {spec!r}: write `name` or `name:group`")
    name, uid, gid = _find_user(user)
    if group:
        gid = _find_group(group)
    elif gid is None:
        raise PrivilegeError(
            f"user {spec!r}: uid {uid} has no account, so name the group too: `{user}:group`"
        )
    return Identity(uid, gid, name)


def _find_user(user: str) -> tuple[str, int, int | None]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        if not (user.isascii() and user.isdigit()):
            raise PrivilegeError(f"user {user!r} does not exist on this machine") from None
    else:
        return entry.pw_name, entry.pw_uid, entry.pw_gid
    try:
        entry = pwd.getpwuid(int(user))
    except (KeyError, OverflowError):
        return "", int(user), None
    return entry.pw_name, entry.pw_uid, entry.pw_gid


def _find_group(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isascii() and group.isdigit():
            return int(group)
        raise PrivilegeError(f"group {group!r} does not exist on this machine") from None


def check(identity: Identity) -> None:
    """Raise `PrivilegeError` when this process could not become `identity`. Changes nothing."""
    if os.geteuid() != 0 and identity.uid != os.geteuid():
        wanted = identity.user or identity.uid
        raise PrivilegeError(
            f"only root can change the user: running as uid {os.geteuid()}, `user` says {wanted}"
        )


def drop(identity: Identity) -> None:
    """Become `identity` for good: supplementary groups, then group, then user; then prove it.

    A process that is not root keeps its groups and only has to be that user already. Raises
    `PrivilegeError` when anything of the old identity could be taken back.
    """
    check(identity)
    if os.geteuid() != 0:
        return
    if identity.uid == 0:
        return
    try:
        if identity.user:
            os.initgroups(identity.user, identity.gid)
        else:
            os.setgroups([identity.gid])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise PrivilegeError(
            f"cannot become uid {identity.uid}, gid {identity.gid}: {error.strerror}"
        ) from error
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        raise PrivilegeError("the change of user did not take effect")
    with contextlib.suppress(PermissionError):
        os.setuid(0)
        raise PrivilegeError("root could be taken back after the change of user")


def raise_file_limit() -> int:
    """Lift the soft limit of open files to the hard one; returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
    return soft
