"""The search for cycles, held back where millions of objects are made that are in none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_collector"]


@contextmanager
def without_collector() -> Iterator[None]:
    """Stop the search while what is made goes in no circles: its walks take half of the time.

    What was made meanwhile counts as old when the search goes on: else it would be walked through at once.

    >>> with without_collector():
    ...     gc.isenabled()
    False
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            _call_all_old()
            gc.enable()


def _call_all_old() -> None:
    """Put all objects into the oldest generation: taking them out of the search and back does that."""
    if not gc.get_freeze_count():  # else they are out for somebody's own reason
        gc.freeze()
        gc.unfreeze()
