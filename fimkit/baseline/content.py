"""The bytes of open files: SHA-256, and whether the file held still meanwhile."""

import hashlib
import os
from collections.abc import Callable

__all__ = ["BLOCK", "hash_file", "is_hollow", "is_same_version"]

BLOCK = 1 << 18
"""What one call reads. Into a buffer that stays: a new object for each file costs the kernel fresh pages each time."""


_HOLLOW_BYTES = 1 << 30
_HOLLOW = 16


def is_hollow(seen: os.stat_result) -> bool:
    """Tell whether a file is large and hardly any of it is on the disk: whoever may write makes one of 16 TB by one call.

    Hashing its zeros would take hours, and hold up all that comes after it.
    """
    return seen.st_size >= _HOLLOW_BYTES and seen.st_blocks * 512 * _HOLLOW < seen.st_size


def hash_file(file: int, size: int, buffer: bytearray, goes_on: Callable[[int], bool]) -> str | None:
    """Hash an open regular file from its present offset to its end.

    Args:
        file: The open file.
        size: How long it is believed to be; a wrong size costs time, never bytes.
        buffer: Reused from file to file.
        goes_on: Told of every block's length; false stops the reading.

    Returns:
        SHA-256 in hexadecimal, or ``None`` where ``goes_on`` stopped it.

    Raises:
        OSError: If the file cannot be read.
    """
    view = memoryview(buffer)
    length = os.readv(file, [buffer])
    whole = hashlib.sha256(view[:length])
    if not goes_on(length):
        return None
    if length == size < len(buffer):
        return whole.hexdigest()  # more was asked for and not there: this is the end, and 97 of 100 files of a /usr
    while length := os.readv(file, [buffer]):
        whole.update(view[:length])
        if not goes_on(length):
            return None
    return whole.hexdigest()


def is_same_version(before: os.stat_result, after: os.stat_result) -> bool:
    """Tell whether two looks at one open file saw the same version of it, as far as the kernel's times tell."""
    return (
        before.st_ctime_ns == after.st_ctime_ns
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_size == after.st_size
    )
