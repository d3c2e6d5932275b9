"""What the conformance tests share: a watched tree, and ways to ask what osqueryd saw of it.

Every test runs against the stand-in, and against a real osqueryd where there is one: see tests/osqueryd.py.
"""

import itertools
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.osqueryd import OSQUERYDS, Running, is_stand_in, wait_for

__all__ = ["Seen", "WatchedTree", "each_osqueryd", "needs_stand_in", "write"]

each_osqueryd = pytest.mark.parametrize(
    "binary", OSQUERYDS, ids=["stand-in", *(Path(binary[0]).name for binary in OSQUERYDS[1:])], scope="module"
)
_numbers = itertools.count()


def needs_stand_in(binary: tuple[str, ...], why: str) -> None:
    """Skip on a real osqueryd what no test can bring about there."""
    if not is_stand_in(binary):
        pytest.skip(f"on the stand-in only: {why}")


def write(path: Path, content: bytes = b"content") -> Path:
    """Write a file as a shell's redirection does: open, write, close."""
    path.write_bytes(content)
    return path


class Seen(NamedTuple):
    """An event, as far as most tests look."""

    action: str
    name: str


class WatchedTree:
    """A tree that a running osqueryd watches; ``beat`` is a folder of its own in it, to see that all before was processed."""

    def __init__(self, running: Running, root: Path) -> None:
        self.running, self.root = running, root

    def rows(self, folder: str) -> list[dict[str, str]]:
        """Give the events at and below a folder, in their order, once all that happened so far is processed."""
        self.beat()
        return [
            {**row, "target_path": os.fsdecode(bytes.fromhex(row["path_hex"]))}
            for row in self.running.query(
                "SELECT eid, action, hex(target_path) AS path_hex, category, transaction_id, inode, uid, gid, mode, size, atime, "
                "mtime, ctime, md5, sha1, sha256, hashed, time FROM file_events ORDER BY eid"
            )
            if bytes.fromhex(row["path_hex"]).startswith(os.fsencode(self.root / folder) + b"/")
            or bytes.fromhex(row["path_hex"]) == os.fsencode(self.root / folder)
        ]

    def seen(self, folder: str) -> list[Seen]:
        """Give what happened at and below a folder: actions and names below it."""
        prefix = f"{self.root / folder}/"
        return [Seen(row["action"], row["target_path"].removeprefix(prefix)) for row in self.rows(folder)]

    def beat(self) -> None:
        """Make a file where that is watched, and wait until it is told: inotify tells things in their order."""
        mark = write(self.root / "beat" / f"{next(_numbers)}")
        sql = f"SELECT 1 FROM file_events WHERE target_path = '{mark}' AND action = 'UPDATED'"
        assert wait_for(lambda: self.running.query(sql)), f"osqueryd told nothing of {mark}"
