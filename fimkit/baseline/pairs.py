"""Two files of a thread hashed at once: whether this processor can, and whether it says what OpenSSL says.

A processor with instructions for SHA-256 is twice as quick with two messages as with one; OpenSSL has one at a time. The arithmetic
is the compiled reader's own (``_sha256_pair.h``). So each process compares it with OpenSSL's before it is used, on the processor
that it is to be used on: with any difference the reader hashes by OpenSSL, one file at a time.
"""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module

__all__ = ["HashPair", "find_difference", "why_single"]

HashPair = Callable[[bytes, bytes], tuple[bytes, bytes]]

_LENGTHS = (0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 129, 1000)
"""Around where the padding takes a block more, and where a block ends."""
_RANDOM, _LONGEST = 32, 4096


def why_single() -> str | None:
    """Say why a thread of the compiled reader has one file under way and not two; ``None``: it has two.

    Raises:
        ImportError: If the reader was not built here, or cannot be used.
    """
    built = import_module("fimkit.baseline._plain")
    if built.LANES == 1:
        return "this processor has no instructions for SHA-256 that fimkit knows of"
    if (lengths := find_difference(built.hash_pair)) is not None:
        return f"this processor's SHA-256 of two messages at once is not OpenSSL's (lengths {lengths[0]} and {lengths[1]})"
    return None


@cache
def find_difference(hash_pair: HashPair) -> tuple[int, int] | None:
    """Compare with OpenSSL, for lengths where padding goes wrong and for random ones.

    Returns:
        The lengths of the first two messages of which one has another hash; ``None``: all are the same.
    """
    text = os.urandom(2 * _LONGEST)
    for first, second in (*_pairs_of(_LENGTHS), *_pairs_of([size % _LONGEST for size in array("H", text[:_RANDOM])])):
        messages = text[:first], text[_LONGEST : _LONGEST + second]
        if tuple(hash_pair(*messages)) != tuple(hashlib.sha256(message).digest() for message in messages):
            return first, second
    return None


def _pairs_of(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield from zip(lengths, lengths, strict=True)
    yield from zip(lengths, reversed(lengths), strict=True)
