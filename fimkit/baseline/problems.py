"""What a row says of itself when something about its path could not be known. Pure."""

from typing import NamedTuple

__all__ = ["CHANGED", "UNHASHED", "UNLISTED", "VANISHED", "ScanProblem", "say_error"]

VANISHED = "vanished while it was read"
"""The path was listed and gone at the next look: the row stands for an absent path."""

CHANGED = "changed while it was read, twice: its bytes are not known"

UNHASHED = "takes too long to be hashed now: its bytes are not known"

UNLISTED = "what lies in it is not known"
"""At the head of a folder's problem: nothing may be concluded from what is missing below it."""


class ScanProblem(NamedTuple):
    """Something about a path that has no row, or that no attribute of its row can say."""

    path: bytes
    text: str


def say_error(what: str, error: OSError) -> str:
    """Name what failed and why.

    >>> say_error("cannot be opened", PermissionError(13, "Permission denied"))
    'cannot be opened: Permission denied'
    """
    return f"{what}: {error.strerror or type(error).__name__}"
