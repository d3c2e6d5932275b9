"""A quota that is used up is a full disk: what is there can be written anew, nothing can be added, and SQLite has no word for it.

The kernel refuses, by a filter on the run's own calls, each write behind the first kilobytes of a file, as it would past a quota.
"""

import ctypes
import errno
import os
import platform
import sqlite3
import struct
from pathlib import Path

import pytest

from fimkit.evidence.full_disk import is_full, load_full
from tests.auditlog import ROOT
from tests.checked_host import make_checked_host
from tests.faults.forked import preload, start
from tests.faults.kills import parse_findings

__all__: list[str] = []

# pwrite64 and fallocate, and the architecture. Source: syscall_64.tbl, unistd.h of asm-generic; linux/audit.h.
_CALLS = {"x86_64": (18, 285, 0xC000003E), "aarch64": (68, 47, 0xC00000B7)}
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_DENY, _ALLOW = 0x00050000, 0x7FFF0000
MADE = 60

pytestmark = pytest.mark.skipif(platform.machine() not in _CALLS, reason="numbers of the calls are known for x86_64 and aarch64")


def use_up_quota(after_bytes: int = 65_536) -> None:
    """Refuse all that would make a file longer than so much, in this process and all that it starts.

    Source: linux/filter.h, linux/seccomp.h: seccomp_data has the number at 0, the fourth argument at 40.
    """
    pwrite, fallocate, architecture = _CALLS[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    words = [
        (load, 0, 0, 4), (equal, 0, 5, architecture), (load, 0, 0, 0), (equal, 4, 0, fallocate), (equal, 0, 2, pwrite),
        (load, 0, 0, 40), (at_least, 1, 0, after_bytes), (give, 0, 0, _ALLOW), (give, 0, 0, _DENY | errno.EDQUOT),
    ]  # fmt: skip
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *word) for word in words), 8 * len(words))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(words), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_SECCOMP, _FILTER, program) == 0, os.strerror(ctypes.get_errno())


def in_a_fork(check: object) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            check()  # type: ignore[operator]
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_disk_error_of_sqlite_is_no_room_where_a_quota_is_used_up_and_else_it_is_not(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE

    def used_up() -> None:
        use_up_quota()
        assert is_full(error, bytes(tmp_path))

    assert not is_full(error, bytes(tmp_path))
    assert in_a_fork(used_up) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_check_past_a_quota_is_refused_noted_and_made_good_by_the_next(tmp_path: Path) -> None:
    preload()
    host = make_checked_host(tmp_path, "a")
    for number in range(MADE):
        host.log.write(host.tree / f"made{number}", "x\n", ROOT)
    words = ["--config", str(host.config), "check", "--json", "--nomail"]
    ran = start(words, tmp_path / "out", prepare=use_up_quota).end()
    assert ran.status == 3 and str(host.state) in ran.stderr, ran.stderr
    noted = load_full(os.fsencode(host.state))
    assert noted is not None and noted.writes >= 1
    ran = start([*words, "--all"], tmp_path / "out").end()
    assert {Path(row["path"]).name for row in parse_findings(ran.lines)} >= {f"made{number}" for number in range(MADE)}
    assert "the disk was full" in ran.stderr, ran.stderr
