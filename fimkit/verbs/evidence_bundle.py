"""One signed archive with all that is known of a finding or an incident, which another host verifies part by part."""

import contextlib
import hashlib
import html
import json
import os
import re
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fimkit import __version__
from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.reader import Reader, open_reader
from fimkit.model.chain import render_head
from fimkit.model.config import Config
from fimkit.model.errors import UsageError, clip
from fimkit.model.json_form import render_state
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.panic.read import open_regular
from fimkit.report.change_json import render_change
from fimkit.report.color import Palette
from fimkit.report.export_formats import render_json
from fimkit.report.finding_text import render_whole
from fimkit.verbs.evidence_key import load_own_signer, load_signer
from fimkit.verbs.show import Shown, show_finding
from fimkit.verbs.whole_files import open_beside

__all__ = ["BUNDLE_MARK", "MANIFEST", "SIGNATURE", "Made", "make_bundle"]

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
BUNDLE_MARK = b"fimkit evidence bundle 1\n"
"""What is signed begins with it: a signature of anything else is none of a bundle."""

_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 18
_MOST_FILE_BYTES = 4 << 30
_CAUSE_BYTES = 8 << 20
_MOST_FINDINGS = 200
_ID = re.compile(rb"\b[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A bundle that was written: how many parts, by which key, and what could not be had, in words."""

    file: Path
    parts: int
    fingerprint: str
    words: tuple[str, ...]


@dataclass(slots=True)
class _Archive:
    """A ZIP archive that is being written: the same parts are the same bytes."""

    file: zipfile.ZipFile
    parts: list[dict[str, Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def add(self, name: str, content: Iterable[bytes]) -> None:
        digest, size = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name, _DATE)
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | 0o600) << 16
        with self.file.open(info, "w", force_zip64=True) as part:
            for chunk in content:
                part.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.parts.append({"name": name, "bytes": size, "sha256": digest.hexdigest()})

    def add_json(self, name: str, value: object) -> None:
        self.add(name, [json.dumps(value, indent=1).encode("ascii") + b"\n"])

    def add_lines(self, name: str, rows: Iterable[object]) -> None:
        self.add(name, (json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n" for row in rows))


def _no_passphrase() -> bytes:
    raise UsageError("the key has a passphrase, and there is nobody to ask")


def make_bundle(
    config: Config, number: str, *, output: Path | None = None, key: Path | None = None, ask: Callable[[], bytes] = _no_passphrase
) -> Made:
    """Write the bundle of a finding or an incident.

    Args:
        config: The host.
        number: A finding's id or as much of it as no other has, or an incident's name.
        output: A file that is not there; by default ``fimkit-ID.zip`` in the working folder. It is for its owner alone.
        key: A private key in place of the host's own.
        ask: Gives the passphrase of that key, where it has one.

    Raises:
        UsageError: If there is no such finding or incident, or the file is there already.
        StoreError: If there is no store, or it cannot be used.
        HostError: If something may not be read or written.
    """
    with open_reader(config.host.state_dir) as reader:
        incidents = {row.id: row for row in reader.incidents()}
    incident = incidents.get(number)
    shown = [] if incident else [show_finding(config, number)]
    name = incident.id if incident else shown[0].row.finding.id
    file = output or Path(f"fimkit-{re.sub('[^A-Za-z0-9_.-]', '_', name)}.zip")
    if os.path.lexists(file):
        raise UsageError(f"{render_path(os.fsencode(file))} is there already, and is not overwritten")
    signer, named = load_own_signer(config.host.state_dir) if key is None else load_signer(key, ask)
    some = [incident] if incident else [row for row in incidents.values() if name.encode() in _causes(row)]
    words: list[str] = []
    if incident:
        shown = list(_findings_of(config, incident, words))
    with open_beside(file, over=False) as stream, zipfile.ZipFile(stream, "w", strict_timestamps=True) as opened:
        archive = _Archive(opened, words=words)
        with open_reader(config.host.state_dir) as reader:
            head = _fill(archive, reader, shown, some)
        manifest = {
            "fimkit_bundle": 1, "fimkit": __version__, "host": config.host.name, "what": "incident" if incident else "finding",
            "id": name, "time": render_time(time.time_ns()), "head": head, "key": named.fingerprint, "public_key": named.pem,
            "words": archive.words, "parts": list(archive.parts),
        }  # fmt: skip
        text = json.dumps(manifest, indent=1).encode("ascii") + b"\n"
        archive.add(MANIFEST, [text])
        archive.add(SIGNATURE, [signer.sign(BUNDLE_MARK + text).hex().encode() + b"\n"])
    return Made(file=file, parts=len(archive.parts) - 2, fingerprint=named.fingerprint, words=tuple(archive.words))


def _fill(archive: _Archive, reader: Reader, shown: Sequence[Shown], incidents: Sequence[IncidentRow]) -> str | None:
    """Put all parts in, and give the head that they were read at."""
    acceptances: set[int] = set()
    for one in shown:
        acceptances |= _add_finding(archive, reader, one)
    for row in incidents:
        _add_incident(archive, row)
    changes = [change for one in shown for change in one.changes]
    segment, proofs = reader.chain_proof(
        [one.row.finding.id for one in shown], sorted(acceptances), changes, [row.id for row in incidents]
    )
    archive.add_lines("chain.jsonl", segment)
    archive.add_lines("chained-rows.jsonl", proofs)
    archive.add("report.html", [_page(shown, incidents).encode("utf-8", "replace")])
    head = reader.head()
    return None if head is None else render_head(head)


def _add_finding(archive: _Archive, reader: Reader, shown: Shown) -> set[int]:
    finding = shown.row.finding
    folder = f"findings/{finding.id}"
    archive.add_json(f"{folder}/finding.json", render_json(shown.row))
    archive.add_lines(f"{folder}/claims.jsonl", map(render_change, shown.changes))
    archive.add_lines(f"{folder}/records.jsonl", ({"file": file, "record": render_path(line)} for file, line in shown.records))
    if shown.diff is not None:
        archive.add(f"{folder}/content.diff", [shown.diff.encode("utf-8", "surrogateescape")])
    archive.words += [f"{finding.id}: {word}" for word in shown.words]
    used: set[int] = set()
    rows = []
    for path in dict.fromkeys(path for path in (finding.path, finding.moved_to) if path is not None):
        history = reader.history(path)
        used |= {row.acceptance.id for row in history}
        now = next((state for state in reader.baseline(path) if state.path == path), None)
        rows.append({
            "path": render_path(path), "baseline": now and render_state(now),
            "history": [
                {
                    "acceptance": row.acceptance.id, "kind": row.acceptance.kind, "time": render_time(row.acceptance.time_ns),
                    "who": row.acceptance.who, "why": row.acceptance.why, "before": row.before and render_state(row.before),
                    "after": row.after and render_state(row.after),
                }
                for row in history
            ],
        })  # fmt: skip
    archive.add_json(f"{folder}/baseline.json", rows)
    return used


def _add_incident(archive: _Archive, row: IncidentRow) -> None:
    folder = f"incidents/{re.sub('[^A-Za-z0-9_.-]', '_', row.id)}"
    archive.add_json(f"{folder}.json", {
        "id": row.id, "host": row.host, "cause": row.cause, "triggered": render_time(row.triggered_ns), "phase": row.phase,
        "folder": render_path(row.folder), "steps": [dict(step) for step in row.steps],
    })  # fmt: skip
    try:
        names = sorted(os.listdir(row.folder)) if row.folder else []
    except OSError as error:
        archive.words.append(f"the folder of incident {row.id} cannot be read: {error.strerror}")
        return
    for number, name in enumerate(names):
        shown = render_path(name)
        path = os.path.join(row.folder, name)
        try:
            with open_regular(path) as (descriptor, seen):
                if seen.st_size > _MOST_FILE_BYTES:
                    archive.words.append(f"left out, for it is larger than {_MOST_FILE_BYTES >> 30} GiB: {shown}")
                    continue
                plain = re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,150}", shown)
                archive.add(f"{folder}/{shown if plain else f'{number:04d}-odd-name'}", _chunks(descriptor, seen.st_size))
        except OSError as error:
            archive.words.append(f"left out of incident {row.id}: {shown}: {error.strerror or error}")


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Read a file as long as it was when it was opened: one that grows has no end."""
    while size > 0 and (chunk := os.read(descriptor, min(size, _CHUNK))):
        size -= len(chunk)
        yield chunk


def _causes(row: IncidentRow) -> bytes:
    """Read what an incident's folder says of its causes; nothing of one that is gone."""
    text = b""
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(row.folder)) if row.folder else []:
            if name.startswith(b"cause") and name.endswith(b".json"):
                with open_regular(os.path.join(row.folder, name)) as (descriptor, _):
                    text += b"".join(_chunks(descriptor, _CAUSE_BYTES))
    return text


def _findings_of(config: Config, row: IncidentRow, words: list[str]) -> Iterator[Shown]:
    ids = list(dict.fromkeys(found.decode() for found in _ID.findall(_causes(row))))
    for number in ids[:_MOST_FINDINGS]:
        try:
            yield show_finding(config, number)
        except UsageError:
            words.append(f"{clip(number)} is named by incident {row.id}, and the store has no finding of it")
    if len(ids) > _MOST_FINDINGS:
        words.append(f"{len(ids) - _MOST_FINDINGS} more findings are named by incident {row.id}, and left out")


def _page(shown: Sequence[Shown], incidents: Sequence[IncidentRow]) -> str:
    """Write a page that needs no script and no network: the findings as `fimkit show` has them."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content=\"default-src 'none';"
        " style-src 'unsafe-inline'\"><title>fimkit evidence</title><style>body{font:15px/1.5 sans-serif;margin:2em}"
        "pre{white-space:pre-wrap;background:#f4f4f4;padding:1em}</style><h1>fimkit evidence</h1>"
    ]
    for row in incidents:
        facts = f"incident {row.id}, {render_time(row.triggered_ns)}, {row.phase}: {row.cause}"
        parts.append(f"<h2>{_safe(f'Incident {row.id}')}</h2><pre>{_safe(facts)}</pre>")
    for one in shown:
        lines = render_whole(one.row, one.changes, one.records, diff=one.diff, palette=Palette(colored=False))
        parts.append(f"<h2>{_safe(render_path(one.row.finding.path))}</h2><pre>{_safe(chr(10).join(lines))}</pre>")
    return "\n".join(parts) + "\n"


def _safe(text: str) -> str:
    return html.escape(text.encode("utf-8", "backslashreplace").decode())
