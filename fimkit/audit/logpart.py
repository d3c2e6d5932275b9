"""One file of a log, plain or compressed: opened once, known by its first bytes, read forward."""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
import zlib
from pathlib import Path
from typing import IO, Self, cast

from fimkit.model.paths import render_path

__all__ = ["HEAD_BYTES", "READ_ERRORS", "LogPart", "fingerprint"]

HEAD_BYTES = 1024
"""Enough to name a log: its first record's stamp and serial are in it, or an osquery line's times and columns."""

READ_ERRORS: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What a damaged, unfinished or unreadable file raises; a damaged ``.zst`` is turned into OSError here."""


def fingerprint(head: bytes) -> str:
    """Name a log by its first bytes."""
    return hashlib.sha256(head).hexdigest()


class _Zstd:
    """A ``.zst`` stream whose errors are OSErrors. The library is imported only when such a file is there."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except self._error as error:
            raise OSError(str(error)) from error


class LogPart:
    """An open file of a log. A later rename does not touch it."""

    __slots__ = ("_damage", "_file", "_stream", "_waiting", "compressed", "dev", "head", "inode", "label", "path")

    def __init__(self, path: Path, file: io.FileIO | None = None) -> None:
        """Open it, where it is not open, and read its first bytes.

        Raises:
            OSError: If it cannot be opened.
        """
        self.path = path
        self.label = render_path(os.fsencode(path))
        self._file = path.open("rb", buffering=0) if file is None else file
        status = os.fstat(self._file.fileno())
        self.dev, self.inode = status.st_dev, status.st_ino
        self._stream, self.compressed = self._open_stream()
        self._waiting = b""
        self._damage: Exception | None = None
        try:
            self.head = self._read_full(HEAD_BYTES)
        except READ_ERRORS:
            self.head, self._damage = b"", None  # said when it is read
            self._file.seek(0)
            self._stream, self.compressed = self._open_stream()
        self._waiting = self.head

    @classmethod
    def of_host(cls, path: Path) -> Self:
        """Open one of this host's own logs: a regular file, for a pipe or a device in its place would never end.

        Raises:
            OSError: If it cannot be opened, or is another thing.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file")
        return cls(path, io.FileIO(descriptor))

    def _open_stream(self) -> tuple[IO[bytes], bool]:
        file = cast(IO[bytes], self._file)
        match self.path.suffix:
            case ".gz":
                return cast(IO[bytes], gzip.GzipFile(fileobj=file)), True
            case ".zst":
                return cast(IO[bytes], _Zstd(file)), True
            case ".bz2":
                return cast(IO[bytes], bz2.BZ2File(file)), True
            case ".xz":
                return cast(IO[bytes], lzma.LZMAFile(file)), True
        return file, False

    def _read_full(self, size: int) -> bytes:
        pieces = []
        try:
            while size > 0 and (piece := self._read_stream(size)):
                pieces.append(piece)
                size -= len(piece)
        except READ_ERRORS:  # what a file that is being packed has so far names it too; the next reading raises again
            if not pieces:
                raise
        return b"".join(pieces)

    def _read_stream(self, size: int) -> bytes:
        """Read on; what a damaged file gives before the damage comes first, and the next call raises."""
        if not self.compressed:
            return self._stream.read(size)
        if self._damage is not None:
            raise self._damage
        pieces = []
        read_some = getattr(self._stream, "read1", self._stream.read)  # read() would lose what it had when it fails
        try:
            while size > 0 and (piece := read_some(size)):
                pieces.append(piece)
                size -= len(piece)
        except READ_ERRORS as error:
            if not pieces:
                raise
            self._damage = error
        return b"".join(pieces)

    @property
    def size_bytes(self) -> int | None:
        """The length now; of a compressed file it is not known before its end."""
        return None if self.compressed else os.fstat(self._file.fileno()).st_size

    def read(self, size: int) -> bytes:
        """Read on; empty at the end.

        Raises:
            READ_ERRORS: If the file is damaged or unfinished.
        """
        if self._waiting:
            waiting, self._waiting = self._waiting, b""
            return waiting
        piece = self._read_stream(size)
        if not self.head:  # it was empty when it was opened
            self.head = piece[:HEAD_BYTES]
        return piece

    def skip(self, offset: int) -> bool:
        """Go to a place counted from the start, before anything was read; false if the file ends before it."""
        if not self.compressed:
            self._waiting = b""
            self._file.seek(offset)
            return (self.size_bytes or 0) >= offset
        while offset > 0 and (piece := self.read(min(offset, 1 << 20))):
            self._waiting = piece[offset:]
            offset -= min(offset, len(piece))
        return offset == 0

    def peek(self, offset: int, size: int) -> bytes:
        """Read at a place of a file that is not compressed; what is read on is the same as without."""
        return os.pread(self._file.fileno(), size, offset)

    def has_its_head(self) -> bool:
        """Tell whether the open file still begins as it did: copytruncate empties it, and what is written then is another log."""
        return self.compressed or os.pread(self._file.fileno(), len(self.head), 0) == self.head

    def is_at(self, path: Path) -> bool:
        """Tell whether the name still means this very file."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.dev, self.inode)

    def close(self) -> None:
        """Close it."""
        self._file.close()
