"""Finds in access logs, their rotations too, what was asked for around a time. Bounded: a log may be any size."""

import bz2
import gzip
import lzma
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from fimkit.audit.rotations import find_rotations
from fimkit.content.access_log import MOST_LINE_BYTES, WebRequest, parse_request
from fimkit.model.paths import render_path

__all__ = ["find_requests", "try_log"]

_NS = 1_000_000_000
_SLACK_NS = 60 * _NS          # a line is written when the answer has gone out, and has the time of the request
_MOST_READ = 8 << 20          # of a plain log, from the time on
_MOST_UNPACKED = 128 << 20    # of a packed one, from its beginning
_MOST_FILES = 10
_PROBE_BYTES = 4 * MOST_LINE_BYTES
_PACKED: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True),
}
_ERRORS = (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError)


def find_requests(logs: Sequence[bytes], *, since_ns: int, until_ns: int) -> tuple[list[WebRequest], list[str]]:
    """Find what was asked for between two times.

    Args:
        logs: The configured ones; their rotations are looked into as far as their times reach.
        since_ns: From when.
        until_ns: Until when.

    Returns:
        The requests in the order of time, and what could not be read.
    """
    found: list[WebRequest] = []
    problems: list[str] = []
    for log in logs:
        parts = find_rotations(log)
        if not parts:
            problems.append(f"{render_path(log)}: no such file")
        for path in reversed(parts[-_MOST_FILES:]):
            try:
                with _open_regular(path) as file:
                    if os.fstat(file.fileno()).st_mtime_ns < since_ns - _SLACK_NS:
                        break  # the older ones end even earlier
                    found += _between(file, path.suffix, since_ns, until_ns)
            except _ERRORS as error:
                words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                problems.append(f"{render_path(os.fsencode(path))}: {words}")
    return sorted(found, key=lambda one: one.time_ns), problems


def try_log(log: bytes) -> str | None:
    """Say why an access log cannot be read now; nothing if it can."""
    parts = find_rotations(log)
    try:
        _open_regular(parts[-1] if parts else Path(os.fsdecode(log))).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _open_regular(path: Path) -> IO[bytes]:
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "is no regular file")
    return file


def _between(file: IO[bytes], suffix: str, since_ns: int, until_ns: int) -> Iterator[WebRequest]:
    if suffix in _PACKED:
        stream, most = cast(IO[bytes], _PACKED[suffix](file)), _MOST_UNPACKED
    else:
        file.seek(_seek_time(file, since_ns - _SLACK_NS))
        stream, most = file, _MOST_READ
    for line in _lines(stream, most):
        request = parse_request(line)
        if request is None:
            continue
        if request.time_ns > until_ns + _SLACK_NS:
            return
        if since_ns <= request.time_ns <= until_ns:
            yield request


def _lines(stream: IO[bytes], most: int) -> Iterator[bytes]:
    """Give lines, each up to its bound; the last one without its end is being written still, and is left out."""
    rest = b""
    while most > 0 and (part := stream.read(min(1 << 16, most))):
        most -= len(part)
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
        rest = rest[:MOST_LINE_BYTES]


def _seek_time(file: IO[bytes], time_ns: int) -> int:
    """Find a place before which all lines are older: by halves, since a log is as good as in the order of time."""
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _PROBE_BYTES:
        middle = (low + high) // 2
        file.seek(middle)
        requests = map(parse_request, file.read(_PROBE_BYTES).split(b"\n")[1:])
        first = next((one for one in requests if one is not None), None)
        if first is not None and first.time_ns < time_ns:
            low = middle
        else:
            high = middle
    if not low:
        return 0
    file.seek(low)
    return low + len(file.readline(MOST_LINE_BYTES))
