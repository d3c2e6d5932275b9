"""Snapshots as files: JSON lines, plain or compressed by their suffix (``.gz``, ``.zst``), sorted by path."""

import contextlib
import gzip
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from fimkit.baseline.order import sort_lines
from fimkit.model.beside import make_beside
from fimkit.model.errors import SnapshotError, clip
from fimkit.model.json_form import parse_state, render_state
from fimkit.model.states import FileState

__all__ = ["Snapshot", "parse_line", "read_snapshot", "render_line", "write_snapshot"]

_LONGEST = 1 << 24
_PLAIN = re.compile(rb'[ !#$&-\[\]-~]*')
"""A path that is its own text in JSON: printable ASCII without quote, percent sign and backslash."""

_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The states of a file by path, and what in it was no state, each with its line."""

    states: dict[bytes, FileState]
    problems: tuple[str, ...] = ()


def render_line(state: FileState) -> bytes:
    r"""Give one line of a snapshot, with its newline.

    >>> from fimkit.model.states import FileType
    >>> render_line(FileState(b"/a\n", FileType.FIFO))[:29]
    b'{"path":"/a%0A","type":"fifo"'
    """
    known: tuple[Any, ...] = state[2:11]
    usual = state.target is None and state.problem is None and state.xattrs == {} and None not in known
    if state.sha256 is None or not usual or not _PLAIN.fullmatch(state.path) or not state.sha256.isalnum():
        return _encode(render_state(state)).encode("utf-8", "backslashreplace") + b"\n"
    # Nearly every row is a file without anything special. This says the same, three times as fast; a test holds the two together.
    fields = (state.path, state.type.encode(), *known, state.sha256.encode())
    return (
        b'{"path":"%s","type":"%s","mode":"%04o","uid":%d,"gid":%d,"size":%d,"inode":%d,"dev":%d,"nlink":%d,"mtime_ns":%d,'
        b'"ctime_ns":%d,"sha256":"%s","target":null,"xattrs":{}}\n'
        % fields
    )


def parse_line(line: bytes) -> FileState:
    """Read one line of a snapshot.

    Raises:
        SnapshotError: If it is none.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"no JSON ({error}): {clip(line)}") from error
    state = parse_state(row)
    if not state.path.startswith(b"/"):
        raise SnapshotError(f"path is {clip(state.path)}, expected an absolute path")
    return state


def read_snapshot(path: str | bytes | os.PathLike[str]) -> Snapshot:
    """Load a snapshot.

    A line that is no state is kept as a problem, and so is a path that comes twice (the first counts) or a compressed file that
    breaks off.

    Raises:
        SnapshotError: If the file cannot be read, or has not one valid line.
    """
    place = Path(os.fsdecode(path))
    states: dict[bytes, FileState] = {}
    problems: list[str] = []
    try:
        with _open_reader(place) as file:
            for number, line in _lines(file, place, problems):
                try:
                    state = parse_line(line)
                except SnapshotError as error:
                    problems.append(f"{error} ({place}:{number})")
                    continue
                if states.setdefault(state.path, state) is not state:
                    problems.append(f"{clip(state.path)} is there a second time; the first counts ({place}:{number})")
    except OSError as error:
        raise SnapshotError(f"no snapshot can be read from {place}: {error.strerror or error}") from error
    if not states:
        first = f"; {problems[0]}" if problems else ""
        raise SnapshotError(f"no line of {place} is a state of a snapshot{first}")
    return Snapshot(states=states, problems=tuple(problems))


def write_snapshot(path: str | bytes | os.PathLike[str], states: Iterable[FileState]) -> int:
    """Write a snapshot, sorted by path, readable by its owner alone; it takes its name when it is whole and on the disk.

    Returns:
        How many states were written. Memory is bounded, however many there are.

    Raises:
        OSError: If it cannot be written; what had the name before still has it.
    """
    place = Path(os.fsdecode(path))
    handle, temporary = make_beside(os.fspath(place))  # made with mode 0600
    count = 0
    try:
        with os.fdopen(handle, "wb", buffering=1 << 20) as file:
            with _wrap_writer(file, place) as sink:
                for line in sort_lines(((state.path, render_line(state)) for state in states), place.parent):
                    sink.write(line)
                    count += 1
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(place.parent)
    return count


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _open_reader(place: Path) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(place.open("rb"))
        if place.suffix == ".gz":
            file = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))
        elif place.suffix == ".zst":
            source = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            file = cast(BinaryIO, stack.enter_context(io.BufferedReader(cast(io.RawIOBase, source), 1 << 17)))
        yield file


@contextlib.contextmanager
def _wrap_writer(file: BinaryIO, place: Path) -> Iterator[BinaryIO]:
    if place.suffix == ".gz":
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", compresslevel=6) as packed:
            yield cast(BinaryIO, packed)
    elif place.suffix == ".zst":
        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield file


def _lines(file: BinaryIO, place: Path, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Give the numbered lines that are not empty; a line longer than any state could be is a problem and not held."""
    number = 0
    try:
        while line := file.readline(_LONGEST):
            number += 1
            if len(line) == _LONGEST and not line.endswith(b"\n"):
                problems.append(f"a line of more than {_LONGEST} bytes ({place}:{number})")
                while (rest := file.readline(_LONGEST)) and not rest.endswith(b"\n"):
                    pass
            elif line.strip():
                yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        problems.append(f"the file is damaged, what follows is lost: {error} ({place}:{number + 1})")
