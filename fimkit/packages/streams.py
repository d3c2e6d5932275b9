"""Byte streams that only go forward: hashed as they are read, unpacked in bounded memory. What cannot be read is a PackageError."""

import gzip
import hashlib
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from fimkit.model.errors import PackageError, clip
from fimkit.model.paths import render_path

__all__ = ["BLOCK", "HashedFile", "Readable", "blocks_of", "open_regular", "read_whole", "unpacked"]

BLOCK = 1 << 17
_MOST_XZ_BYTES = 1 << 29
"""What an .xz may make its reader keep; the largest preset, -9e, needs 65 MiB."""
_MOST_ZSTD_WINDOW = 1 << 28
"""dpkg-deb writes up to 128 MiB, at --ultra -22."""

_ZSTD_PIECE = 1 << 10
"""Its blocks of four bytes can stand for 128 KiB each: this is at most 32 MiB at once."""


class Readable(Protocol):
    """Anything with a ``read`` that gives at most ``size`` bytes, and nothing at the end."""

    def read(self, size: int, /) -> bytes:
        """Give some bytes, at most ``size``."""


@contextmanager
def open_regular(path: bytes) -> Iterator[int]:
    """Open a regular file for reading, and nothing that could hold its reader up: no pipe, no device.

    Raises:
        PackageError: If it cannot be opened, or is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise PackageError(f"{render_path(path)} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PackageError(f"{render_path(path)} is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def read_whole(path: bytes, most_bytes: int) -> bytes:
    """Read a whole small file.

    Raises:
        PackageError: If it cannot be read, or is longer than ``most_bytes``.
    """
    with open_regular(path) as descriptor:
        parts = []
        left = most_bytes + 1
        try:
            while left and (part := os.read(descriptor, min(left, BLOCK))):
                parts.append(part)
                left -= len(part)
        except OSError as error:
            raise PackageError(f"{render_path(path)} cannot be read: {error.strerror}") from error
    if not left:
        raise PackageError(f"{render_path(path)} is longer than {most_bytes} bytes")
    return b"".join(parts)


class HashedFile:
    """An open file from its start on, whose bytes are hashed as they go by."""

    def __init__(self, descriptor: int) -> None:
        """Take an open file; it is set to its start, and stays open."""
        self._descriptor = descriptor
        self._hash = hashlib.sha256()
        os.lseek(descriptor, 0, os.SEEK_SET)

    def read(self, size: int, /) -> bytes:
        """Read on."""
        try:
            part = os.read(self._descriptor, size)
        except OSError as error:
            raise PackageError(f"it cannot be read: {error.strerror}") from error
        self._hash.update(part)
        return part

    def finish(self) -> str:
        """Read to the end, and give the SHA-256 of all bytes of the file."""
        while self.read(BLOCK):
            pass
        return self._hash.hexdigest()


class _Inflater:
    """Unpacks with any of the standard library's kind of decompressor, also where several streams stand one after another."""

    def __init__(self, raw: Readable, make: Callable[[], Any]) -> None:
        self._raw = raw
        self._make = make
        self._now = make()
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while True:
            if self._now.eof:
                self._rest = self._now.unused_data or self._rest or self._raw.read(BLOCK)
                if not self._rest.strip(b"\0"):  # .xz may be padded
                    return b""
                self._now = self._make()
            packed, self._rest = self._rest, b""
            if not packed and self._now.needs_input:
                packed = self._raw.read(BLOCK)
                if not packed:
                    raise PackageError("it ends in the middle of a compressed stream")
            part: bytes = self._now.decompress(packed, max_length=size)
            if part:
                return part


def _xz(raw: Readable) -> Readable:
    return _Inflater(raw, lambda: lzma.LZMADecompressor(format=lzma.FORMAT_AUTO, memlimit=_MOST_XZ_BYTES))


def _bz2(raw: Readable) -> Readable:
    import bz2

    return _Inflater(raw, bz2.BZ2Decompressor)


def _lz4(raw: Readable) -> Readable:
    import lz4.frame

    return _Inflater(raw, lz4.frame.LZ4FrameDecompressor)


def _gz(raw: Readable) -> Readable:
    return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[call-overload,no-any-return]  # it only ever reads


class _Zstd:
    """The library's own reader takes a cut stream for a whole one; so this feeds it piece by piece, small ones against bombs."""

    def __init__(self, raw: Readable) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._raw = raw
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_ZSTD_WINDOW)
        self._now = self._decompressor.decompressobj()
        self._packed = self._part = b""

    def read(self, size: int, /) -> bytes:
        while not self._part:
            if not self._packed:
                self._packed = self._raw.read(BLOCK)
                if not self._packed:
                    if not self._now.eof:
                        raise PackageError("it ends in the middle of a compressed stream")
                    return b""
            if self._now.eof:
                self._now = self._decompressor.decompressobj()
            piece, self._packed = self._packed[:_ZSTD_PIECE], self._packed[_ZSTD_PIECE:]
            try:
                self._part = self._now.decompress(piece)
            except self._error as error:
                raise PackageError(f"damaged: {error}") from error
            if self._now.eof:
                self._packed = self._now.unused_data + self._packed
        part, self._part = self._part[:size], self._part[size:]
        return part


_CODECS: dict[str, Callable[[Readable], Readable]] = {
    "": lambda raw: raw,
    ".bz2": _bz2,
    ".gz": _gz,
    ".lz4": _lz4,
    ".lzma": _xz,
    ".xz": _xz,
    ".zst": _Zstd,
}


def unpacked(raw: Readable, suffix: str) -> Readable:
    """Give the stream that a compressed one holds; ``suffix`` is as in a file's name, empty for none.

    Raises:
        PackageError: If the suffix is of no known kind.
    """
    if suffix not in _CODECS:
        raise PackageError(f"compressed in an unknown way: {clip(suffix)}")
    return _CODECS[suffix](raw)


def blocks_of(stream: Readable, most_bytes: int) -> Iterator[bytes]:
    """Give a stream in blocks.

    Raises:
        PackageError: If it is longer than ``most_bytes``, or damaged.
    """
    left = most_bytes
    while True:
        try:
            part = stream.read(BLOCK)
        # lz4 raises RuntimeError, the standard library all of the others
        except (OSError, EOFError, lzma.LZMAError, zlib.error, RuntimeError, ValueError) as error:
            raise error if isinstance(error, PackageError) else PackageError(f"damaged: {error}") from error
        if not part:
            return
        left -= len(part)
        if left < 0:
            raise PackageError(f"more than {most_bytes} bytes")
        yield part
