"""Users and groups."""

from __future__ import annotations

import grp
import os
import pwd
import resource

import pytest

from pyproxy.supervise import privileges
from pyproxy.supervise.privileges import Identity, PrivilegeError

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_a_user_brings_its_own_group() -> None:
    assert privileges.resolve("nobody") == Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")


def test_a_group_can_be_named() -> None:
    group = grp.getgrall()[1]
    assert privileges.resolve(f"nobody:{group.gr_name}").gid == group.gr_gid
    assert privileges.resolve(f"nobody:{group.gr_gid}").gid == group.gr_gid


def test_a_number_is_the_account_that_has_it() -> None:
    assert privileges.resolve(str(NOBODY.pw_uid)).user == "nobody"


def test_a_number_without_account_needs_a_group() -> None:
    with pytest.raises(PrivilegeError, match="name the group too"):
        privileges.resolve("2999999")
    assert privileges.resolve("2999999:2999998") == Identity(2999999, 2999998, "")


@pytest.mark.parametrize("spec", ["no-such-user", "nobody:no-such-group", "", "nobody:", ":nobody"])
def test_unknown_names_are_errors(spec) -> None:
    with pytest.raises(PrivilegeError):
        privileges.resolve(spec)


def in_child(check) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if check() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@needs_root
def test_a_drop_changes_all_ids_and_groups() -> None:
    def check() -> bool:
        privileges.drop(privileges.resolve("nobody"))
        return (
            os.getresuid() == (NOBODY.pw_uid,) * 3
            and os.getresgid() == (NOBODY.pw_gid,) * 3
            and set(os.getgroups()) == set(os.getgrouplist("nobody", NOBODY.pw_gid))
        )

    in_child(check)


@needs_root
def test_a_drop_to_a_bare_number_leaves_no_old_group() -> None:
    def check() -> bool:
        privileges.drop(Identity(2999999, 2999998, ""))
        return os.getuid() == 2999999 and set(os.getgroups()) == {2999998}

    in_child(check)


@needs_root
def test_after_a_drop_nobody_else_can_be_become() -> None:
    def check() -> bool:
        privileges.drop(privileges.resolve("nobody"))
        try:
            privileges.check(Identity(1, 1, "daemon"))
        except PrivilegeError as error:
            return "only root" in str(error)
        return False

    in_child(check)


def test_being_the_user_already_is_enough() -> None:
    def check() -> bool:
        if os.geteuid() == 0:
            os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_uid)
        privileges.drop(Identity(os.geteuid(), os.getegid(), ""))
        return True

    in_child(check)


def test_the_file_limit_goes_up_to_the_hard_one() -> None:
    def check() -> bool:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        limit = privileges.raise_file_limit()
        return limit == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    in_child(check)
