"""A canary on the disk: made, changed, renamed and removed, and nothing else touched, whoever interferes.

All is done by names in the open folder, which is made the working directory for it: so no link on the way is followed, and the
kernel's record has the folder's true name (behind a real dirfd it would name the wrong one).
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from fimkit.model.paths import render_path
from fimkit.verbs.canaries import FIRST_MODE, SECOND_MODE, canary_texts
from fimkit.verbs.canary_spots import Spot

__all__ = ["CanaryFile", "Done", "Left", "Operation", "remove_left"]

_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_READ = 4096


class Operation(StrEnum):
    """What is done to a canary, in this order."""

    CREATE = "create"
    MODIFY = "modify"
    CHMOD = "chmod"
    RENAME = "rename"
    REMOVE = "remove"


class Done(NamedTuple):
    """When an operation was done, by both clocks."""

    time_ns: int
    monotonic_s: float


@contextlib.contextmanager
def _inside(folder: bytes) -> Iterator[int]:
    """Stand in a folder, itself no link, with modes as they are asked for; then again where this process stood."""
    with contextlib.ExitStack() as undo:
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        undo.callback(os.close, here)
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
        undo.callback(os.close, there)
        undo.callback(os.umask, os.umask(0))
        undo.callback(os.fchdir, here)
        os.fchdir(there)
        yield there


class CanaryFile:
    """One canary. ``done`` has the operations that were done, ``gone_ns`` the times at which its names went, ``problem`` words."""

    def __init__(self, spot: Spot) -> None:
        """Take the spot; nothing is made yet."""
        self.spot = spot
        self.done: dict[Operation, Done] = {}
        self.gone_ns: dict[bytes, int] = {}
        self.problem: str | None = None
        self.error: int | None = None
        self._file: tuple[int, int] | None = None
        self._held = -1

    @property
    def is_read_only(self) -> bool:
        """True where its file system takes no change from anybody."""
        return self.error == errno.EROFS

    def do(self, operation: Operation) -> None:
        """Do one operation; what goes wrong is words in ``problem``, and ends it."""
        if self.problem is not None:
            return
        try:
            with _inside(self.spot.folder):
                self._do(operation)
        except OSError as error:
            self.error = error.errno
            self.problem = f"the canary could not be {_PAST[operation]}: {error.strerror}"

    def _do(self, operation: Operation) -> None:
        first, second = self.spot.names
        match operation:
            case Operation.CREATE:
                self._create(first)
            case Operation.MODIFY:
                self._modify(first)
            case Operation.CHMOD:
                self._chmod(first)
            case Operation.RENAME:
                self._check(first)
                os.rename(first, second)
                self.gone_ns[self.spot.paths[0]] = time.time_ns()
            case Operation.REMOVE:
                self._check(second)
                os.unlink(second)
                self.gone_ns[self.spot.paths[1]] = time.time_ns()
        self.done[operation] = Done(time.time_ns(), time.monotonic())

    def _create(self, name: bytes) -> None:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, FIRST_MODE)
        try:
            seen = os.fstat(file)
            self._file = seen.st_dev, seen.st_ino
            # Held to the end: else whoever removes it may get its inode number for a file of his own.
            self._held = os.open(name, os.O_PATH | _OPEN)
            os.write(file, canary_texts(self.spot.token)[1])
        finally:
            os.close(file)
        self._check_seen(os.fstat(self._held))

    def _modify(self, name: bytes) -> None:
        _, first, second = canary_texts(self.spot.token)
        file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | _OPEN)
        try:
            self._check_seen(os.fstat(file))
            os.write(file, second[len(first) :])
        finally:
            os.close(file)

    def _chmod(self, name: bytes) -> None:
        # By descriptor: chmod by name would follow a link that somebody puts there.
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
        try:
            self._check_seen(os.fstat(file))
            os.fchmod(file, SECOND_MODE)
        finally:
            os.close(file)

    def _check(self, name: bytes) -> None:
        self._check_seen(os.stat(name, follow_symlinks=False))

    def _check_seen(self, seen: os.stat_result) -> None:
        if (seen.st_dev, seen.st_ino) != self._file:
            raise OSError(0, "another file has taken its name")

    def remove(self) -> list[str]:
        """Take away what is left of it, by any of its names; give words on what stays."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
        words = []
        for path in self.spot.paths:
            if path not in self.gone_ns:
                left = remove_left(path, self.spot.token)
                words += [left.words] if left.words else []
                if left.is_settled:
                    self.gone_ns[path] = time.time_ns()
        return words


_PAST = {
    Operation.CREATE: "made", Operation.MODIFY: "changed", Operation.CHMOD: "given another mode",
    Operation.RENAME: "renamed", Operation.REMOVE: "removed",
}  # fmt: skip


class Left(NamedTuple):
    """What became of a canary that was left behind. Not settled: it is there still, and is fimkit's to remove."""

    is_settled: bool
    words: str = ""


def remove_left(path: bytes, token: str) -> Left:
    """Remove a canary that was left behind, if it is just as it was made; a missing one is fine.

    Args:
        path: Where it was planted.
        token: Its token: its bytes are known by it.
    """
    folder, name = os.path.split(path)
    try:
        with _inside(folder):
            if not _is_as_made(name, token):
                return Left(True, f"{render_path(path)}: this is no canary as selftest makes it, and stays: look at it")
            os.unlink(name)
    except (FileNotFoundError, NotADirectoryError):
        return Left(True)
    except OSError as error:
        return Left(False, f"{render_path(path)}: the canary cannot be removed: {error.strerror}")
    return Left(True)


def _is_as_made(name: bytes, token: str) -> bool:
    seen = os.stat(name, follow_symlinks=False)
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o7777 not in (FIRST_MODE, SECOND_MODE):
        return False
    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _OPEN)
    try:
        return os.path.samestat(seen, os.fstat(file)) and os.read(file, _MOST_READ) in canary_texts(token)
    finally:
        os.close(file)
