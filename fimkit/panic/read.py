"""Reads small files of a host that may be hostile: never through a last link, never from a fifo or device, never without bound."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fimkit.model.paths import render_path

__all__ = ["describe_file", "hash_descriptor", "open_regular", "walk"]

_CHUNK_BYTES = 1 << 18
_TEXT_BYTES = 1 << 16


@contextmanager
def open_regular(path: bytes) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file for reading; gives its descriptor and state.

    Raises:
        OSError: If it cannot be opened, is a symbolic link, or no regular file.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):  # to open a device may do something: a watchdog begins, a tape winds back
        raise OSError("no regular file")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode):
            raise OSError("no regular file")
        yield descriptor, seen
    finally:
        os.close(descriptor)


def hash_descriptor(descriptor: int, *, most_bytes: int) -> str | None:
    """Give the SHA-256 of what can be read; ``None`` where that is more than ``most_bytes``."""
    digest, left = hashlib.sha256(), most_bytes
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            return None
        digest.update(chunk)
    return digest.hexdigest()


def describe_file(path: bytes, *, with_text: bool, most_bytes: int = 16 << 20) -> dict[str, Any]:
    """Give what there is to know of one file as an object for JSON.

    Args:
        path: Of any type; a link is described, not followed.
        with_text: Also its first 64 KiB.
        most_bytes: A larger file is not hashed.

    Returns:
        Its path, state and hash; ``error`` in words for what cannot be had.
    """
    row: dict[str, Any] = {"path": render_path(path)}
    try:
        seen = os.lstat(path)
        row |= {"mode": f"{seen.st_mode:o}", "uid": seen.st_uid, "gid": seen.st_gid, "size": seen.st_size, "inode": seen.st_ino}
        row |= {"mtime_ns": seen.st_mtime_ns, "ctime_ns": seen.st_ctime_ns}
        if stat.S_ISLNK(seen.st_mode):
            row["target"] = render_path(os.readlink(path))
        elif stat.S_ISREG(seen.st_mode):
            with open_regular(path) as (descriptor, _):
                row["sha256"] = hash_descriptor(descriptor, most_bytes=most_bytes)
                if with_text:
                    row["text"] = os.pread(descriptor, _TEXT_BYTES, 0).decode("utf-8", "backslashreplace")
    except OSError as error:
        row["error"] = error.strerror or str(error)
    return row


def walk(folder: bytes, *, depth: int) -> Iterator[bytes]:
    """Give the paths below a folder, by name, so deep; a folder that cannot be read, or is none, has nothing."""
    found: list[os.DirEntry[bytes]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        yield entry.path
        with suppress(OSError):
            if depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path, depth=depth - 1)
