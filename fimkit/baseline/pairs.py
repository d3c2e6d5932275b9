"""Two files of a thread hashed at once: whether libipsec-mb is here for it, and whether it says what OpenSSL says.

A processor with instructions for SHA-256 is twice as quick with two messages as with one, and OpenSSL has one at a time. Intel's
libipsec-mb has two. It is optional, and a second library whose word is taken for a hash: so each process compares it with OpenSSL
before it is used, on the processor that it is to be used on. With any difference the reader hashes by OpenSSL, one file at a time.
"""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module

__all__ = ["HashPair", "find_difference", "why_single"]

HashPair = Callable[[bytes, bytes], tuple[bytes, bytes]]

_LENGTHS = (0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 65_535, 65_536, 65_600)
"""Around where the padding takes a block more, where a block ends, and where 16 bits do."""
_RANDOM, _SHORT = 32, 4096


def why_single() -> str | None:
    """Say why a thread of the compiled reader hashes one file at a time and not two; ``None``: it hashes two.

    Raises:
        ImportError: If the reader was not built here, or cannot be used.
    """
    built = import_module("fimkit.baseline._plain")
    if built.LANES == 1:
        return str(built.WHY_ONE)
    if (lengths := find_difference(built.hash_pair)) is not None:
        return f"libipsec-mb's SHA-256 of two messages at once is not OpenSSL's (lengths {lengths[0]} and {lengths[1]})"
    return None


@cache
def find_difference(hash_pair: HashPair) -> tuple[int, int] | None:
    """Compare with OpenSSL, for lengths where padding goes wrong and for random ones.

    Returns:
        The lengths of the first two messages of which one has another hash, or that were not hashed; ``None``: all are the same.
    """
    longest = max(_LENGTHS)
    text = os.urandom(2 * longest)
    for first, second in (*_pairs_of(_LENGTHS), *_pairs_of([size % _SHORT for size in array("H", text[:_RANDOM])])):
        messages = text[:first], text[longest : longest + second]
        try:
            both = tuple(hash_pair(*messages))
        except RuntimeError:
            return first, second
        if both != tuple(hashlib.sha256(message).digest() for message in messages):
            return first, second
    return None


def _pairs_of(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield from zip(lengths, lengths, strict=True)
    yield from zip(lengths, reversed(lengths), strict=True)
