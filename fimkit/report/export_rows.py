"""A finding on its way to another system: what it and its life are called there, flat, and what no column can hold. Pure.

The flat names are those of osquery's table ``fimkit_findings``, so that a fleet's log, a CSV file and a SIEM speak of the same.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fimkit.model.findings import Finding
from fimkit.model.json_form import render_actor, render_finding, render_state
from fimkit.model.paths import render_path
from fimkit.model.states import FileState
from fimkit.model.time import render_time

__all__ = ["ACTOR_COLUMNS", "COLUMNS", "ExportRow", "flat_row", "made_ns", "own_fields", "safe_text", "safe_time", "tidy"]

_SECOND_NS = 1_000_000_000
_MOST = (1 << 63) - 1
_STATE_COLUMNS = ("type", "sha256", "mode", "uid", "gid", "size")

ACTOR_COLUMNS = (
    "auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses", "syscall", "event",
)  # fmt: skip
"""What is said of the maker of the content."""

COLUMNS = (
    "id", "host", "path", "moved_to", "kind", "tier", "severity", "verdict", "status", "changed", "attribution", "sources",
    *ACTOR_COLUMNS, "actors", "reasons", "content", "evidence",
    *(f"{side}_{name}" for side in ("before", "after") for name in _STATE_COLUMNS), "before", "after",
    "first_seen", "first_seen_time", "last_seen", "last_seen_time", "closed", "closed_time",
    "accepted_by", "accept_reason", "superseded_by",
)  # fmt: skip
"""The columns of :func:`flat_row`, in order."""

_OWN = (
    "id", "path", "moved_to", "kind", "tier", "severity", "verdict", "changed", "attribution", "reasons", "sources", "evidence",
    "actors", "before", "after", "first_seen", "last_seen", "content",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRow:
    """A finding and its life. ``replaces`` are the ids of earlier findings of the same path that it took the place of.

    ``diff`` is the unified diff of what was kept of the file, for formats that have a place for it; ``no_diff`` says why one that
    there is stays here. ``head`` is that of the evidence chain when this was read.
    """

    finding: Finding
    status: str = "open"
    closed_ns: int | None = None
    accepted_by: str | None = None
    accept_reason: str | None = None
    superseded_by: str | None = None
    replaces: tuple[str, ...] = ()
    diff: str | None = None
    no_diff: str | None = None
    head: str | None = None


def made_ns(finding: Finding) -> int:
    """Give when it happened: when the maker did it, where that is known."""
    return finding.actors[0].time_ns if finding.actors else finding.first_seen_ns


def safe_text(text: str) -> str:
    r"""Make text that any UTF-8 file can hold, on one line: no half of a surrogate pair, no control character.

    >>> safe_text("a\nb"), safe_text("c\udcff"), safe_text("ü")
    ('a%0Ab', 'c\\udcff', 'ü')
    """
    if text.isascii() and text.isprintable():
        return text
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(f"%{ord(char):02X}" if char < " " or "\x7f" <= char <= "\x9f" else char for char in plain)


def safe_time(time_ns: int | None) -> str | None:
    """Write a time, or nothing where no calendar of four digits has it: anybody can give a file any time.

    >>> safe_time(0), safe_time(10**21)
    ('1970-01-01T00:00:00Z', None)
    """
    if time_ns is None:
        return None
    try:
        text = render_time(time_ns)
    except (ValueError, OverflowError, OSError):
        return None
    return text if len(text.partition("-")[0]) == 4 and time_ns > -30_000_000_000 * _SECOND_NS else None


def tidy(value: Any) -> Any:
    r"""Leave out of a JSON object what is not known or empty, and make the rest fit for any store that reads JSON.

    A number that a signed integer of 64 bits cannot hold counts as not known: an index would refuse the whole object for it, and
    anybody can give a file such a time.

    >>> tidy({"inode": 2**64 - 1, "size": 3, "hash": {"md5": None}, "note": "a\nb"})
    {'size': 3, 'note': 'a%0Ab'}
    """
    kind = value.__class__  # before isinstance: a hundred thousand findings have thirty million values
    if kind is str:
        return value if value.isascii() and value.isprintable() else safe_text(value)
    if kind is dict:
        return _tidy_items(value.items())
    if kind is list or kind is tuple:
        return [inner for one in value if (inner := tidy(one)) is not None]
    if kind is int:
        return value if -_MOST - 1 <= value <= _MOST else None
    if isinstance(value, Mapping):
        return _tidy_items(value.items())
    return safe_text(value) if isinstance(value, str) else value


def _tidy_items(items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    kept = {}
    for name, value in items:
        inner = None if value is None else tidy(value)
        if inner is not None and inner != {} and inner != []:
            kept[name if name.__class__ is str and name.isidentifier() and name.isascii() else safe_text(str(name))] = inner
    return kept


def _json(value: object) -> str:
    return safe_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _state(side: str, state: FileState | None) -> dict[str, Any]:
    if state is None:
        return {f"{side}_{name}": None for name in _STATE_COLUMNS} | {side: None}
    row = render_state(state)
    return {f"{side}_{name}": row[name] for name in _STATE_COLUMNS} | {side: _json(row)}


def _times(name: str, time_ns: int | None) -> dict[str, Any]:
    return {name: safe_time(time_ns), f"{name}_time": None if time_ns is None else time_ns // _SECOND_NS}


def flat_row(row: ExportRow) -> dict[str, Any]:
    """Give a finding as one row: texts, integers, truth and ``None``, by the names of :data:`COLUMNS`, in their order."""
    finding = row.finding
    head: dict[str, Any] = render_actor(finding.actors[0]) if finding.actors else {}
    values = {
        "id": finding.id, "host": finding.host, "path": render_path(finding.path),
        "moved_to": None if finding.moved_to is None else render_path(finding.moved_to),
        "kind": finding.kind.value, "tier": finding.tier.value, "severity": finding.severity.value,
        "verdict": finding.verdict.value, "status": row.status, "changed": " ".join(finding.changed),
        "attribution": finding.attribution.value, "sources": " ".join(source.value for source in finding.sources),
        **{name: head.get(name) for name in ACTOR_COLUMNS},
        "actors": _json([render_actor(actor) for actor in finding.actors]), "reasons": _json(list(finding.reasons)),
        "content": None if finding.content is None else _json(render_finding(finding)["content"]),
        "evidence": " ".join(finding.evidence), **_state("before", finding.before), **_state("after", finding.after),
        **_times("first_seen", finding.first_seen_ns), **_times("last_seen", finding.last_seen_ns),
        **_times("closed", row.closed_ns),
        "accepted_by": row.accepted_by, "accept_reason": row.accept_reason, "superseded_by": row.superseded_by,
    }  # fmt: skip
    return {name: safe_text(value) if isinstance(value := values[name], str) else value for name in COLUMNS}


def own_fields(row: ExportRow) -> dict[str, Any]:
    """Give what no other schema has a word for: under ``fimkit`` in ECS and OCSF. It is still to be made :func:`tidy`.

    Extended attributes are one text each (``name=value``): their names are anybody's, and would each make a field of an index.
    """
    finding = render_finding(row.finding)
    for side in ("before", "after"):
        state = finding[side]
        if state is not None and state["xattrs"] is not None:
            state["xattrs"] = [f"{name}={value}" for name, value in sorted(state["xattrs"].items())]
    values = {name: finding[name] for name in _OWN if name in finding}
    life = {
        "status": row.status, "closed": safe_time(row.closed_ns), "accepted_by": row.accepted_by,
        "accept_reason": row.accept_reason, "superseded_by": row.superseded_by, "replaces": list(row.replaces) or None,
        "evidence_head": row.head,
    }  # fmt: skip
    return values | life
