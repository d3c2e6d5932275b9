"""What the pack must know of a path on the host. Pure: it is looked up elsewhere."""

from typing import NamedTuple

__all__ = ["Place"]


class Place(NamedTuple):
    """A path on the host.

    ``real`` is the path with every link followed; ``name_at`` is where its own name is: all links followed but the last.
    ``nearest`` is the nearest folder above ``real`` that exists. ``is_folder`` and ``exists`` are of ``real``.
    """

    real: bytes
    name_at: bytes
    nearest: bytes
    is_folder: bool
    exists: bool
    is_link: bool
