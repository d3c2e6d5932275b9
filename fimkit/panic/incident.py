"""The folder of one incident: private, every file of it bounded, hashed and on disk, and an index that says what each one is."""

import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fimkit.model.chain import NO_LINK, next_link
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.model.time import parse_time, render_time

__all__ = [
    "Entry", "Incident", "OutputFull", "OutputOver", "Sink", "Status", "link_entries", "make_incident", "open_incident",
    "parse_entry", "render_entry",
]

_CHUNK_BYTES = 1 << 16
_INDEX = "index.json"
_INDEX_BYTES = 8 << 20
_FORMAT = 1


class Status(StrEnum):
    """How a step ended."""

    OK = "ok"
    TRUNCATED = "truncated"  # its output was cut at its bound
    TIMEOUT = "timeout"      # its time was over; what it had written is kept
    FAILED = "failed"
    ABSENT = "absent"        # there is no such program or file on this host
    SKIPPED = "skipped"      # the time for all was over before it began


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the index. ``subject`` is what it was about: a command, or a path as text; ``file`` is in the folder."""

    step: str
    subject: str
    started_ns: int
    took_s: float
    status: Status
    note: str
    file: str | None
    size_bytes: int
    sha256: str | None


class OutputFull(Exception):
    """The bound of the output is reached: what was written is kept."""


class OutputOver(Exception):
    """The time of the step is over: nothing more is taken."""


class Sink:
    """One file of an incident that is being written. It ends by itself at its bound; what it has is always known."""

    def __init__(self, descriptor: int, *, most_bytes: int) -> None:
        """Take over ``descriptor``."""
        self._descriptor, self._left = descriptor, most_bytes
        self._lock = threading.Lock()
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._over = False
        self.size_bytes = 0

    @property
    def left_bytes(self) -> int:
        """Bytes that still fit."""
        return self._left - len(self._waiting)

    @property
    def over(self) -> bool:
        """Whether the step's time is over; long work asks now and then."""
        return self._over

    def write(self, chunk: bytes) -> None:
        """Take bytes.

        Raises:
            OutputFull: If they do not all fit; those that fit are taken.
            OutputOver: If the step's time is over.
            OSError: If the disk does not take them.
        """
        with self._lock:
            self._check()
            fits = chunk[: self._left - len(self._waiting)]
            self._waiting += fits
            if len(self._waiting) >= _CHUNK_BYTES or len(fits) < len(chunk):
                self._push()
        if len(fits) < len(chunk):
            raise OutputFull

    def flush(self) -> None:
        """Give the file what is waiting."""
        with self._lock:
            self._check()
            self._push()

    def _check(self) -> None:
        if self._over:
            raise OutputOver

    def _push(self) -> None:
        while self._waiting:
            written = os.write(self._descriptor, self._waiting)
            self._digest.update(self._waiting[:written])
            self.size_bytes += written
            self._left -= written
            del self._waiting[:written]

    def stop(self) -> None:
        """Take nothing more; does not wait for whoever writes."""
        self._over = True

    def finish(self) -> None:
        """Bring everything to the disk, and close.

        Raises:
            OSError: If the disk does not take it; the file is closed then too.
        """
        with self._lock:
            self._over = True
            try:
                self._push()
                os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)

    def digest(self) -> str:
        """Give the SHA-256 of what the file has."""
        return self._digest.copy().hexdigest()


class Incident:
    """An open incident folder."""

    def __init__(self, folder: bytes, descriptor: int, *, entries: Sequence[Entry] = ()) -> None:
        """Take over ``descriptor``, the folder's; ``entries`` are what its index has already."""
        self.folder, self._descriptor = folder, descriptor
        self._lock = threading.Lock()
        self._entries: list[Entry] = list(entries)
        self._written = NO_LINK

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the index has so far."""
        with self._lock:
            return tuple(self._entries)

    def create(self, name: str, *, most_bytes: int) -> Sink:
        """Begin a file, mode 0600; a name that is taken is refused.

        Raises:
            OSError: If it cannot be made.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return Sink(os.open(name, flags, 0o600, dir_fd=self._descriptor), most_bytes=most_bytes)

    def names(self) -> list[str]:
        """List the files of the folder, in order.

        Raises:
            OSError: If it cannot be read.
        """
        return sorted(os.listdir(self._descriptor))

    def note(self, entry: Entry) -> None:
        """Add a line to the index, and write it anew: a run that is killed leaves what it has. A full disk stops nothing."""
        with self._lock:
            self._entries.append(entry)
            with suppress(OSError):
                self._write_index()

    @property
    def head(self) -> str | None:
        """The last link of the index that is on the disk: it stands for every line, and by their hashes for every file."""
        return None if self._written == NO_LINK else f"{len(self.entries)}:{self._written.hex()}"

    def _write_index(self) -> None:
        rows = link_entries([render_entry(entry) for entry in self._entries])
        text = json.dumps({"format": _FORMAT, "entries": rows}, indent=1).encode("utf-8", "replace")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            os.unlink(_INDEX + ".new", dir_fd=self._descriptor)  # of a run that was killed; or a link that somebody put there
        with os.fdopen(os.open(_INDEX + ".new", flags, 0o600, dir_fd=self._descriptor), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(_INDEX + ".new", _INDEX, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        os.fsync(self._descriptor)
        self._written = bytes.fromhex(rows[-1]["link"])

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._descriptor)


def make_incident(parent: bytes, name: str) -> Incident:
    """Make an incident's folder, mode 0700.

    Args:
        parent: The folder of all incidents, made where it is missing; its own parent must be there.
        name: Of this one; where it is taken, ``-2``, ``-3``, … is added.

    Raises:
        HostError: If it cannot be made, or something else stands in its place.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(parent, 0o700)
        folders = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            seen = os.fstat(folders)
            if seen.st_uid != os.geteuid() or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError(errno.EPERM, "others can write there")
            chosen = _make_free(folders, name)
            descriptor = os.open(chosen, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folders)
            os.fsync(folders)
        finally:
            os.close(folders)
    except OSError as error:
        raise HostError(f"cannot make an incident folder in {render_path(parent)}: {error.strerror}") from error
    return Incident(parent.rstrip(b"/") + b"/" + chosen.encode(), descriptor)


def open_incident(folder: bytes) -> Incident:
    """Open an incident's folder again, to add to it; an index that cannot be read is begun anew.

    Args:
        folder: As :attr:`Incident.folder` gave it.

    Raises:
        HostError: If it is not there, another user's, or cannot be opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot open the incident folder {render_path(folder)}: {error.strerror}") from error
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise HostError(f"the incident folder {render_path(folder)} is another user's")
    return Incident(folder, descriptor, entries=_read_index(descriptor))


def _read_index(folder: int) -> list[Entry]:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(_INDEX, flags, dir_fd=folder), "rb") as file:
            return [parse_entry(row) for row in json.loads(file.read(_INDEX_BYTES))["entries"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _make_free(folders: int, name: str) -> str:
    for number in range(1, 1000):
        chosen = name if number == 1 else f"{name}-{number}"
        with suppress(FileExistsError):
            os.mkdir(chosen, 0o700, dir_fd=folders)
            return chosen
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def link_entries(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give each line of an index the hash of itself and the one before, as ``link``; one that it has is made anew."""
    before, linked = NO_LINK, []
    for row in rows:
        plain = {name: value for name, value in row.items() if name != "link"}
        before = next_link(before, [json.dumps(plain, sort_keys=True, separators=(",", ":"))])
        linked.append(plain | {"link": before.hex()})
    return linked


def render_entry(entry: Entry) -> dict[str, Any]:
    """Give a line of the index as an object for JSON."""
    return {
        "step": entry.step,
        "subject": entry.subject,
        "started": render_time(entry.started_ns),
        "took_s": round(entry.took_s, 3),
        "status": entry.status.value,
        "note": entry.note,
        "file": entry.file,
        "bytes": entry.size_bytes,
        "sha256": entry.sha256,
    }


def parse_entry(row: Mapping[str, Any]) -> Entry:
    """Read what :func:`render_entry` gave.

    Raises:
        ValueError: If it is none; KeyError and TypeError likewise.
    """
    return Entry(
        step=row["step"], subject=row["subject"], started_ns=parse_time(row["started"]), took_s=row["took_s"],
        status=Status(row["status"]), note=row["note"], file=row["file"], size_bytes=row["bytes"], sha256=row["sha256"],
    )
