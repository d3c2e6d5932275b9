"""Some files of one folder: what a walk hands over to be read."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fimkit.baseline.entry import EntryReader, Place
from fimkit.model.states import FileState

__all__ = ["Batch", "Runs", "read_here"]

Runs = Iterator[Sequence[FileState]]
"""How states go up through the walk: some at once, since each is passed on by a dozen functions."""


class Batch(NamedTuple):
    """Some files of one folder: its descriptor, what stands before their names in their paths, and the names."""

    folder: int
    start: bytes
    names: Sequence[bytes]


def read_here(reader: EntryReader, batch: Batch) -> Runs:
    """Read the files of a batch in this thread, one after the other."""
    folder, start, names = batch
    for name in names:
        yield (reader.read_file(Place(folder, name, start + name)),)
