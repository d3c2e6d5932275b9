"""Where exported lines go: a stream, or a file that others read while it grows, and rotate."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.verbs.outside_file import open_appended

__all__ = ["FileOutlet", "Outlet", "StreamOutlet"]

_CHUNK = 1 << 20


class Outlet(Protocol):
    """Takes lines."""

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever written to it: a heading is due."""

    def write(self, lines: Sequence[str]) -> None:
        """Write lines, and have them on their way when this returns."""

    def place(self) -> tuple[int | None, int | None]:
        """Give the file's inode and size, where it is one."""

    def written_since(self, inode: int | None, offset: int | None) -> Iterator[str]:
        """Give the lines behind a place, and cut off half of one."""


class StreamOutlet:
    """Standard output, say."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Take the stream."""
        self._stream = stream
        self.is_new = True

    def write(self, lines: Sequence[str]) -> None:
        """Write and flush."""
        self._stream.write("".join(f"{line}\n" for line in lines).encode())
        self._stream.flush()
        self.is_new = False

    def place(self) -> tuple[None, None]:
        """A stream has none."""
        return None, None

    def written_since(self, inode: int | None, offset: int | None) -> Iterator[str]:
        """What went out on a stream cannot be read back."""
        return iter(())


class FileOutlet:
    """A file, private when it is made; one process at a time writes to it.

    Raises:
        HostError: From any method, if the host refuses.
    """

    def __init__(self, path: Path) -> None:
        """Open it, at its end."""
        self.path = path
        self._name = render_path(os.fsencode(path))
        self._number = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._number)

    def _open(self) -> int:
        try:
            number = open_appended(os.fsencode(self.path), os.O_RDWR)
        except OSError as error:
            raise HostError(f"cannot write {self._name}: {error.strerror}") from error
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(number)
            raise HostError(f"another export writes to {self._name}") from error
        return number

    @property
    def is_new(self) -> bool:
        """Whether it is empty."""
        return not os.fstat(self._number).st_size

    def reopen(self) -> None:
        """Open it anew, where it was renamed or removed since: by logrotate, say."""
        mine = os.fstat(self._number)
        try:
            now = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            now = None
        if now is None or (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino):
            number = self._open()
            os.close(self._number)
            self._number = number

    def write(self, lines: Sequence[str]) -> None:
        """Append, and have it on the disk."""
        rest = memoryview("".join(f"{line}\n" for line in lines).encode())
        try:
            while rest:
                rest = rest[os.write(self._number, rest) :]
            os.fsync(self._number)
        except OSError as error:
            raise HostError(f"cannot write {self._name}: {error.strerror}") from error

    def place(self) -> tuple[int, int]:
        """Give its inode and size."""
        status = os.fstat(self._number)
        return status.st_ino, status.st_size

    def written_since(self, inode: int | None, offset: int | None) -> Iterator[str]:
        """Give the whole lines behind a place; half of a line at the end is cut off, for it is written again.

        A file that is another one by now, or shorter, is read from its beginning.
        """
        own, size = self.place()
        start = offset if offset is not None and own == inode and offset <= size else 0
        rest, end = b"", start
        while chunk := os.pread(self._number, _CHUNK, end):
            end += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)
        if rest:
            os.ftruncate(self._number, end - len(rest))
