"""Holds the folders of incidents against their journals, and these against the evidence chain; only reads."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.reader import open_reader
from fimkit.model.errors import clip
from fimkit.model.paths import is_below, render_path
from fimkit.panic.incident import link_entries
from fimkit.panic.read import hash_descriptor, open_regular
from fimkit.verbs.panic_order import JOURNAL_STEP

__all__ = ["FolderVerdict", "verify_incidents"]

_INDEX = b"index.json"
_INDEX_BYTES = 8 << 20
_FILE_BYTES = 64 << 30


@dataclass(slots=True)
class FolderVerdict:
    """What is not as a journal has it, in words; what could not be looked at; and how many files were hashed."""

    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0


def verify_incidents(state_dir: bytes) -> FolderVerdict:
    """Verify the folders of all incidents that the store names.

    Raises:
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read.
    """
    with open_reader(state_dir) as reader:
        rows = reader.incidents()
    verdict = FolderVerdict()
    for row in rows:
        if not row.folder:
            continue
        if _head_of(row) and _was_taken_away(state_dir, row.folder):
            verdict.broken.append(f"incident {row.id}: its folder {render_path(row.folder)} is gone: fimkit removes none")
        else:
            _verify(row, verdict)
    return verdict


def _head_of(row: IncidentRow) -> str | None:
    return next((str(step.get("words")) for step in row.steps if step.get("step") == JOURNAL_STEP), None)


def _was_taken_away(state_dir: bytes, folder: bytes) -> bool:
    """Tell whether a folder that was kept with this state is gone; one in memory, or of a copy's host, is not here anyway."""
    place = os.path.dirname(folder)
    return is_below(place, state_dir.rstrip(b"/") or b"/") and os.path.isdir(place) and not os.path.lexists(folder)


def _verify(row: IncidentRow, verdict: FolderVerdict) -> None:
    head = _head_of(row)
    name = f"incident {row.id}"
    try:
        with open_regular(os.path.join(row.folder, _INDEX)) as (descriptor, _):
            entries = json.loads(os.read(descriptor, _INDEX_BYTES))["entries"]
        linked = link_entries(entries)
    except OSError as error:
        words = f"{name}: its journal in {render_path(row.folder)} cannot be read: {error.strerror or error}"
        (verdict.broken if head and os.path.isdir(row.folder) else verdict.notes).append(words)
        return
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        verdict.broken.append(f"{name}: its journal in {render_path(row.folder)} is none any more")
        return
    if head is None:
        words = "the chain has no head of its journal, for it is of before there was one or who ran the panic died"
        verdict.notes.append(f"{name}: {words}: its files are held against its journal alone")
    else:
        verdict.broken += [f"{name}: {words}" for words in _check_lines(entries, linked, head)]
    for entry in entries:
        said = _check_file(row.folder, entry)
        verdict.files += 1 if isinstance(entry.get("sha256"), str) else 0
        if said:
            verdict.broken.append(f"{name}: {said}")


def _check_lines(entries: list[dict[str, Any]], linked: list[dict[str, Any]], head: str) -> Iterator[str]:
    for number, (entry, made) in enumerate(zip(entries, linked, strict=True), 1):
        if entry.get("link") != made["link"]:
            yield f"line {number} of its journal ({clip(entry.get('step'))}) does not follow from the one before: altered"
            return
    count, _, link = head.partition(":")
    place = int(count) if count.isdecimal() and len(count) < 10 else 0
    if len(linked) < place:
        yield f"its journal has {len(linked)} lines, and had {place}: its end was cut off"
    elif not place or linked[place - 1]["link"] != link:
        yield f"its journal is not the one whose head is in the evidence chain ({clip(head)}): it was written anew"


def _check_file(folder: bytes, entry: dict[str, Any]) -> str | None:
    file, sha256 = entry.get("file"), entry.get("sha256")
    if not isinstance(file, str) or not isinstance(sha256, str):
        return None
    if "/" in file or file in ("", ".", ".."):
        return f"{clip(file)} is no name of a file in its folder"
    try:
        with open_regular(os.path.join(folder, os.fsencode(file))) as (descriptor, _):
            now = hash_descriptor(descriptor, most_bytes=_FILE_BYTES)
    except (OSError, ValueError) as error:
        return f"{clip(file)} cannot be read: {getattr(error, 'strerror', None) or error}"
    return None if now == sha256 else f"{clip(file)} is another than was written: altered"
