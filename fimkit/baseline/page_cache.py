"""The page cache as it was found: what a reading brought into memory leaves it again, and what others keep there stays.

A page that came by our own reading is one that was not there before; only the kernel knows, and it is asked before the reading.
Source: mincore(2), posix_fadvise(2). Since Linux 5.2 mincore tells it of one's own files, of files that one may write, and to root;
to others everything seems to be there, and so everything stays.
"""

import contextlib
import ctypes
import mmap
import os
import re

__all__ = ["SparedPages", "load_residency"]

_PAGE = mmap.PAGESIZE
_MOST = 1 << 36
"""Of a larger file (64 GB: 16 MB of answers) the pages stay."""
_STEP = 8 << 20
_GAPS = re.compile(rb"\x00+")
_LOW_BITS = bytes(number & 1 for number in range(256))  # the others are reserved

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


def load_residency(file: int, size: int) -> bytes | None:
    """Ask which pages of an open file are in memory.

    Args:
        file: Open for reading.
        size: How long it is.

    Returns:
        A byte for each page, 1 where it is in memory; ``None`` where that cannot be known.
    """
    if not 0 < size <= _MOST:
        return None
    try:
        # Private and never touched: nothing is copied, and a file that is cut meanwhile does no harm.
        mapped = mmap.mmap(file, size, access=mmap.ACCESS_COPY)
    except (OSError, ValueError):  # ValueError: it is shorter by now
        return None
    with mapped:
        pages = -(-size // _PAGE)
        answer = ctypes.create_string_buffer(pages)
        start = (ctypes.c_char * 1).from_buffer(mapped)
        try:
            refused = _libc.mincore(ctypes.addressof(start), size, answer)
        finally:
            del start  # a mapping that is pointed to cannot be closed
        return None if refused else answer.raw.translate(_LOW_BITS)


class SparedPages:
    """The pages of one open file that are to be given back while it is read: those that were not in memory before."""

    __slots__ = ("_before", "_done", "_file")

    def __init__(self, file: int, size: int) -> None:
        """Ask what is in memory; to be made before the first byte is read."""
        self._file = file
        self._before = load_residency(file, size)
        self._done = 0

    def give_back(self, to: int | None = None) -> None:
        """Give back what was read up to an offset (``None``: to the end, with what was read ahead).

        In steps, so that a file that is larger than the memory does not fill it first. A page that somebody else asked for
        meanwhile goes too: it is read again, nothing more.
        """
        if self._before is None:
            return
        pages = len(self._before) if to is None else to // _PAGE
        if to is not None and (pages - self._done) * _PAGE < _STEP:
            return
        for gap in _GAPS.finditer(self._before, self._done, pages):
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._file, gap.start() * _PAGE, len(gap[0]) * _PAGE, os.POSIX_FADV_DONTNEED)
        self._done = pages
