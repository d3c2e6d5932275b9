"""Does things to files and writes the records that the kernel and auditd would: for tests where neither is to be had.

``AuditLog`` is both the one who acts and the daemon that logs it: every method does the deed for real and appends its event, with
the inodes, devices and times of the moment, in the form of ``log_format = ENRICHED`` (or RAW).
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["ALICE", "BOB", "ROOT", "AuditLog", "Who"]

_AT_FDCWD = 0xFFFFFF9C
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Who(NamedTuple):
    """A process: its login, its user, its number and its program."""

    auid: int
    uid: int
    pid: int
    exe: str = "/usr/bin/python3.11"
    name: str = "nobody-here"


ALICE = Who(auid=2001, uid=2001, pid=4101, name="alice")
BOB = Who(auid=2002, uid=2002, pid=4202, name="bob")
ROOT = Who(auid=2003, uid=0, pid=4303, exe="/usr/bin/install", name="carol")


class AuditLog:
    """One audit log that is being written."""

    def __init__(self, path: Path, *, enriched: bool = True) -> None:
        self.path = path
        self.enriched = enriched
        self.serial = 1000
        path.write_bytes(b"")

    def append(self, lines: Sequence[bytes] | bytes) -> None:
        """Write lines at the end of the file that has the log's name now."""
        with self.path.open("ab") as file:
            file.write(lines if isinstance(lines, bytes) else b"".join(lines))

    def write(self, path: Path, text: str, who: Who = ALICE) -> None:
        """Write a file anew, in place; create it where it is missing."""
        self.append(self.written(path, text, who))

    def written(self, path: Path, text: str, who: Who = ALICE) -> list[bytes]:
        """Do the same, and give the records in place of logging them."""
        new, stamp = not path.exists(), self._stamp()
        path.write_text(text)
        parent = [self._item(stamp, 0, path.parent, "PARENT")] if new else []
        own = self._item(stamp, len(parent), path, "CREATE" if new else "NORMAL")
        return self._event(stamp, who, 257, "openat", [_AT_FDCWD, 0x7F00, _CREATE, 0o666], [*parent, own])

    def remove(self, path: Path, who: Who = ALICE) -> None:
        """Unlink a file."""
        stamp = self._stamp()
        items = [self._item(stamp, 0, path.parent, "PARENT"), self._item(stamp, 1, path, "DELETE")]
        path.unlink()
        self.append(self._event(stamp, who, 87, "unlink", [0x7F00, 0, 0, 0], items))

    def rename(self, old: Path, new: Path, who: Who = ALICE) -> None:
        """Rename a file, over another one too."""
        stamp = self._stamp()
        items = [self._item(stamp, 0, old.parent, "PARENT"), self._item(stamp, 1, new.parent, "PARENT")]
        items.append(self._item(stamp, 2, old, "DELETE"))
        if new.exists():
            items.append(self._item(stamp, 3, new, "DELETE"))
        old.rename(new)
        items.append(self._item(stamp, len(items), new, "CREATE"))
        self.append(self._event(stamp, who, 82, "rename", [0x7F00, 0x7F10, 0, 0], items))

    def chmod(self, path: Path, mode: int, who: Who = ALICE) -> None:
        """Set a file's mode."""
        stamp = self._stamp()
        item = self._item(stamp, 0, path, "NORMAL")
        path.chmod(mode)
        self.append(self._event(stamp, who, 90, "chmod", [0x7F00, mode, 0, 0], [item]))

    def deny(self, path: Path, who: Who = ALICE) -> None:
        """Log an opening for writing that the kernel refused: EACCES."""
        stamp = self._stamp()
        args = [_AT_FDCWD, 0x7F00, os.O_WRONLY | os.O_APPEND, 0]
        self.append(self._event(stamp, who, 257, "openat", args, [self._item(stamp, 0, path, "NORMAL")], code=-13))

    def rotate(self, *, keep: int = 5) -> None:
        """Rotate as auditd does: every number goes up by one, and a new file begins."""
        for number in range(keep, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))
        self.path.write_bytes(b"")

    def _stamp(self) -> str:
        self.serial += 1
        millis = time.time_ns() // 1_000_000
        return f"audit({millis // 1000}.{millis % 1000:03d}:{self.serial})"

    def _enrich(self, text: str) -> str:
        return f"\x1d{text}" if self.enriched else ""

    def _item(self, stamp: str, number: int, path: Path, nametype: str) -> bytes:
        seen = path.lstat()
        name = f"{path}/" if nametype == "PARENT" else str(path)
        # A plain name stands in quotes, another one in hexadecimal digits.
        plain = all("!" < char <= "~" and char != '"' for char in name)
        shown = f'"{name}"' if plain else os.fsencode(name).hex().upper()
        device = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}"
        return (
            f"type=PATH msg={stamp}: item={number} name={shown} inode={seen.st_ino} dev={device} mode=0{seen.st_mode:o} "
            f"ouid={seen.st_uid} ogid={seen.st_gid} rdev=00:00 nametype={nametype} cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 "
            f"cap_frootid=0" + self._enrich('OUID="root" OGID="root"') + "\n"
        ).encode()

    def _event(
        self, stamp: str, who: Who, number: int, call: str, args: Sequence[int], items: Sequence[bytes], *, code: int = 3
    ) -> list[bytes]:
        ids = " ".join(f"{name}={who.uid}" for name in ("uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid"))
        shown = " ".join(f"a{place}={value:x}" for place, value in enumerate(args))
        success = "yes" if code >= 0 else "no"
        first = (
            f"type=SYSCALL msg={stamp}: arch=c000003e syscall={number} success={success} exit={code} {shown} items={len(items)} "
            f'ppid=900 pid={who.pid} auid={who.auid} {ids} tty=pts0 ses=7 comm="{Path(who.exe).name}" exe="{who.exe}" key="fimkit"'
            + self._enrich(f'ARCH=x86_64 SYSCALL={call} AUID="{who.name}" UID="{who.name}"') + "\n"
        )
        cwd = f'type=CWD msg={stamp}: cwd="/"\n'
        title = f"type=PROCTITLE msg={stamp}: proctitle={who.exe.encode().hex().upper()}002D63\n"
        return [first.encode(), cwd.encode(), *items, title.encode()]
