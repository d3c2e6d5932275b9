"""Words for a store that holds what fimkit never wrote: a byte that turned in a row shows only when the row is read."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from fimkit.evidence.connection import translated_errors
from fimkit.model.errors import FimkitError, RecordError, SnapshotError, StoreError, clip
from fimkit.model.paths import render_path

__all__ = ["UNREADABLE", "read_errors"]

UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What decoding a row can raise: text that is none, a name that no list has, an object where a number was."""


@contextmanager
def read_errors(path: bytes) -> Iterator[None]:
    """Turn what reading a store can raise into our errors. No caller's own work belongs inside.

    Raises:
        StoreError: If the file, or a row of it, is damaged.
        HostError: If the host refuses.
    """
    try:
        with translated_errors(path):
            yield
    except (RecordError, SnapshotError) as error:
        raise _damaged(path, error) from error
    except FimkitError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError) and "decode" in str(error.__cause__):  # text that is none
            raise _damaged(path, error.__cause__) from error
        raise
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path: bytes, error: Exception) -> StoreError:
    seen = clip(str(error) or type(error).__name__)
    return StoreError(
        f"the evidence store {render_path(path)} is damaged (a row cannot be read: {seen}); keep it aside, then restore a backup,"
        " or make a new baseline (fimkit evidence set-aside)"
    )
