"""Lines in the order of their paths, however many: sorted in runs, which wait in an unnamed file and are merged."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["sort_lines"]

_RUN = 100_000


def sort_lines(lines: Iterable[tuple[bytes, bytes]], folder: Path, run: int = _RUN) -> Iterator[bytes]:
    """Sort by path.

    Args:
        lines: Pairs of path and line.
        folder: Where the runs may wait; nothing is left there.
        run: How many lines are held in memory.

    Returns:
        The lines in the order of their paths.
    """
    held: list[tuple[bytes, bytes]] = []
    runs: list[BinaryIO] = []
    try:
        for pair in lines:
            held.append(pair)
            if len(held) >= run:
                runs.append(_store_run(held, folder))
                held = []
        held.sort()
        pairs = heapq.merge(*map(_read_run, runs), held) if runs else iter(held)
        yield from (line for _, line in pairs)
    finally:
        for file in runs:
            file.close()


def _store_run(held: list[tuple[bytes, bytes]], folder: Path) -> BinaryIO:
    held.sort()
    file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115 - it outlives this call; sort_lines closes it
    for path, line in held:
        file.write(b"%d %d\n%s%s" % (len(path), len(line), path, line))
    file.seek(0)
    return file  # type: ignore[return-value]


def _read_run(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while head := file.readline():
        path_length, line_length = map(int, head.split())
        yield file.read(path_length), file.read(line_length)
