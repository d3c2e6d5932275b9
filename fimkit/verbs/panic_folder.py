"""The folder of a panic's evidence: where it can be had, what is written into it, and what lies in it in the end."""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fimkit.evidence.folder import check_state_dir
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.panic.incident import Entry, Incident, Status, make_incident
from fimkit.panic.read import hash_descriptor
from fimkit.panic.record import PANIC_FOLDER
from fimkit.panic.steps import Step, run_step

__all__ = ["INCIDENTS", "incidents_folder", "list_others", "make_evidence", "write_json", "write_lines"]

INCIDENTS = b"incidents"
_ELSEWHERE = ("/dev/shm", "/run", "/tmp", "/var/tmp")  # memory first: it is not the disk that has just failed
_ROOM_BYTES = 64 << 20
_WRITE_S = 3.0
_JSON_BYTES = 64 << 20
_HASH_BYTES = 256 << 20
_MOST_OTHERS = 500


def incidents_folder(state_dir: bytes) -> bytes:
    """Name the folder of all incidents.

    >>> incidents_folder(b"/var/lib/fimkit")
    b'/var/lib/fimkit/panic/incidents'
    """
    return os.path.join(state_dir, PANIC_FOLDER, INCIDENTS)


def make_evidence(state_dir: bytes, name: str, steps: Sequence[Step]) -> tuple[Incident, str]:
    """Make the folder of an incident and write the cause into it; where the state folder takes nothing, in memory or elsewhere.

    Args:
        state_dir: The state folder.
        name: Of the incident.
        steps: What is written first, and must get there.

    Returns:
        The folder, and words on what stood in the way of a better one.

    Raises:
        HostError: If there is no place for it at all.
    """
    problems: list[str] = []
    # A disk that is all but full is left to the panic's record; where every place is, the first one that takes anything will do.
    for place, least_bytes in [(place, least) for least in (_ROOM_BYTES, 0) for place in (None, *_ELSEWHERE)]:
        try:
            _check_room(os.fsencode(place) if place else state_dir, least_bytes)
            incident = make_incident(_parent(state_dir, place), name)
        except (HostError, OSError) as error:
            problems.append(str(error))
            continue
        entries = [run_step(incident, step, patience_s=_WRITE_S) for step in steps]
        failed = [entry.note for entry in entries if entry.status is Status.FAILED]
        if not failed:
            return incident, "; ".join(problems)
        problems.append(f"{render_path(incident.folder)}: {failed[0]}")
        incident.close()
    raise HostError(f"there is no place for the evidence: {'; '.join(problems)}")


def _check_room(place: bytes, least_bytes: int) -> None:
    seen = os.statvfs(place)
    free_bytes = seen.f_bavail * seen.f_frsize
    if free_bytes < least_bytes:
        raise HostError(f"{render_path(place)} has no room for evidence: No space left on device, {free_bytes >> 20} MB are free")


def _parent(state_dir: bytes, place: str | None) -> bytes:
    if place is not None:
        return os.fsencode(tempfile.mkdtemp(prefix="fimkit-incident-", dir=place))  # a folder of nobody else's making
    folder = os.path.join(state_dir, PANIC_FOLDER)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    check_state_dir(folder)  # a link, or another user's: the evidence goes elsewhere
    return incidents_folder(state_dir)


def write_json(name: str, row: dict[str, Any]) -> Step:
    """Make a step that writes an object as a file."""
    text = json.dumps(row, indent=1).encode("ascii") + b"\n"
    return Step(name=name, file=f"{name}.json", write=lambda sink: sink.write(text), most_bytes=_JSON_BYTES, most_s=_WRITE_S)


def write_lines(name: str, lines: Sequence[str], *, file: str = "") -> Step:
    """Make a step that writes lines of text as a file."""
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    return Step(
        name=name, file=file or f"{name}.txt", write=lambda sink: sink.write(text), most_bytes=_JSON_BYTES, most_s=_WRITE_S
    )


def list_others(incident: Incident, entries: Sequence[Entry], *, patience_s: float) -> list[dict[str, Any]]:
    """Describe what lies in the folder and is not in its index: what commands have written there.

    Args:
        incident: The folder.
        entries: Its index.
        patience_s: What is not hashed by then has no hash.
    """
    known = {entry.file for entry in entries} | {"index.json", "index.json.new"}
    end, rows = time.monotonic() + patience_s, []
    for name in [name for name in incident.names() if name not in known][:_MOST_OTHERS]:
        path = os.path.join(incident.folder, os.fsencode(name))
        row: dict[str, Any] = {"file": render_path(os.fsencode(name)), "bytes": 0, "sha256": None, "note": "written by a command"}
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                row["bytes"] = os.fstat(descriptor).st_size
                row["sha256"] = hash_descriptor(descriptor, most_bytes=_HASH_BYTES) if time.monotonic() < end else None
            finally:
                os.close(descriptor)
        except OSError as error:
            row["note"] = f"cannot be read: {error.strerror}"
        rows.append(row)
    return rows
