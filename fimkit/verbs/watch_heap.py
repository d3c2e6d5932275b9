"""Keeps the memory of a process that runs for months from growing by holes alone.

glibc takes large blocks from the system one by one, and gives them back when they are freed; but when one was freed it takes all up
to that size from its heap from then on, where each leaves a hole as soon as something small lands behind it. Whoever sets the
threshold keeps it. Source: mallopt(3), "M_MMAP_THRESHOLD".
"""

import ctypes

__all__ = ["keep_large_blocks_apart"]

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 << 10


def keep_large_blocks_apart() -> bool:
    """Have blocks of 128 KiB and more stay apart from the heap; false where the C library is another one, or refuses."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES))
