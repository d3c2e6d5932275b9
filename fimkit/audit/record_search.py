"""Finds the records of some events in an audit log and its rotations, as auditd wrote them."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from fimkit.audit.logpart import READ_ERRORS, LogPart
from fimkit.audit.rotations import find_rotations
from fimkit.model.paths import render_path

__all__ = ["Found", "find_records"]

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 20
_EVENT = re.compile(r"(\d{1,12})\.(\d{3}):(\d+)")
_STAMP = re.compile(rb"audit\((\d{1,12})\.(\d{3}):\d+\)")


class Found:
    """Raw lines, by file, and what could not be read, in words."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lines: list[tuple[str, bytes]] = []
        self.problems: list[str] = []


def find_records(log: bytes | Path, events: Collection[str]) -> Found:
    """Look for the records of events, named ``SEC.MS:SERIAL``; other names are not looked for.

    A file whose last change was before the first of them, or that begins after the last, is not read.

    Source: auditd writes records in the order of their events' times, up to a few milliseconds.
    """
    found = Found()
    stamps = {event: match for event in events if (match := _EVENT.fullmatch(event))}
    if not stamps:
        return found
    times_ms = [int(match[1]) * 1000 + int(match[2]) for match in stamps.values()]
    wanted = re.compile(b"audit\\((?:" + b"|".join(re.escape(event.encode()) for event in sorted(stamps)) + b")\\):")
    for file in find_rotations(log):
        try:
            if os.stat(file).st_mtime * 1000 + 1000 < min(times_ms):
                continue
            part = LogPart(file)
        except FileNotFoundError:
            continue
        except OSError as error:
            found.problems.append(f"{render_path(os.fsencode(file))} cannot be read: {error.strerror}")
            continue
        try:
            head = _STAMP.search(part.head)
            if head is None or int(head[1]) * 1000 + int(head[2]) <= max(times_ms) + 1000:
                found.lines += [(part.label, line) for line in _lines(part) if wanted.search(line)]
        except READ_ERRORS as error:
            found.problems.append(f"{part.label} cannot be read to its end: {error}")
        finally:
            part.close()
    return found


def _lines(part: LogPart) -> Iterator[bytes]:
    rest = b""
    while chunk := part.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:  # no record: its end is looked for, and it is not kept
            rest = rest[-128:]
    if rest:
        yield rest
