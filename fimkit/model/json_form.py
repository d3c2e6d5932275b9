"""The JSON form of states, actors and findings, as the contract has it, both ways. Pure.

Every name that came from the host (paths, commands, link targets) is text of :func:`fimkit.model.paths.render_path`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fimkit.model.changes import Actor, Source
from fimkit.model.errors import SnapshotError, clip
from fimkit.model.findings import Attribution, ContentMark, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.paths import parse_path, render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.time import parse_time, render_time

__all__ = [
    "parse_actor",
    "parse_finding",
    "parse_state",
    "render_actor",
    "render_finding",
    "render_state",
]

_NUMBERS = ("uid", "gid", "size", "inode", "dev", "nlink", "mtime_ns", "ctime_ns")


def _text(value: bytes | None) -> str | None:
    return None if value is None else render_path(value)


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else parse_path(value)


def render_state(state: FileState) -> dict[str, Any]:
    """Give a snapshot line's object; ``problem`` only where there is one."""
    row: dict[str, Any] = {
        "path": render_path(state.path),
        "type": state.type.value,
        "mode": None if state.mode is None else f"{state.mode:04o}",
        "uid": state.uid,
        "gid": state.gid,
        "size": state.size,
        "inode": state.inode,
        "dev": state.dev,
        "nlink": state.nlink,
        "mtime_ns": state.mtime_ns,
        "ctime_ns": state.ctime_ns,
        "sha256": state.sha256,
        "target": _text(state.target),
        "xattrs": None if state.xattrs is None else {name: render_path(value) for name, value in state.xattrs.items()},
    }
    if state.problem is not None:
        row["problem"] = state.problem
    return row


def parse_state(row: object) -> FileState:
    """Read a snapshot line's object.

    Raises:
        SnapshotError: If a key is missing or of the wrong type. Unknown keys are not looked at.

    >>> parse_state({"path": "/etc/a%0Ab", "type": "file", "mode": "0644"}).mode == 0o644
    True
    """
    if not isinstance(row, Mapping):
        raise SnapshotError(f"a snapshot line is a JSON object; seen: {clip(row)}")
    problems = []
    for name in ("path", "type"):
        if not isinstance(row.get(name), str):
            problems.append(f"{name} is {clip(row.get(name))}, expected text")
    for name in ("mode", "sha256", "target", "problem"):
        if not isinstance(row.get(name), str | None):
            problems.append(f"{name} is {clip(row.get(name))}, expected text or null")
    for name in _NUMBERS:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, int | None):
            problems.append(f"{name} is {clip(value)}, expected an integer or null")
    xattrs = row.get("xattrs")
    if xattrs is not None and not (isinstance(xattrs, Mapping) and all(isinstance(value, str) for value in xattrs.values())):
        problems.append(f"xattrs is {clip(xattrs)}, expected an object of texts")
    if problems:
        raise SnapshotError("; ".join(problems))
    try:
        return FileState(
            path=parse_path(row["path"]),
            type=FileType(row["type"]),
            mode=None if row.get("mode") is None else int(row["mode"], 8),
            **{name: row.get(name) for name in _NUMBERS},
            sha256=row.get("sha256"),
            target=_bytes(row.get("target")),
            xattrs=None if xattrs is None else {str(name): parse_path(value) for name, value in xattrs.items()},
            problem=row.get("problem"),
        )
    except ValueError as error:
        raise SnapshotError(_say_odd(row, error)) from error


def _say_odd(row: Mapping[str, Any], error: ValueError) -> str:
    types = [one.value for one in FileType]
    if row["type"] not in types:
        return f"type is {clip(row['type'])}, expected {', '.join(types)}"
    mode = row.get("mode")
    if mode is not None and (not mode or mode.strip("01234567")):
        return f"mode is {clip(mode)}, expected octal text as '0644'"
    return str(error)


def render_actor(actor: Actor) -> dict[str, Any]:
    """Give one of a finding's ``actors``."""
    return {
        "auid": actor.auid,
        "uid": actor.uid,
        "euid": actor.euid,
        "user": actor.user,
        "pid": actor.pid,
        "ppid": actor.ppid,
        "exe": _text(actor.exe),
        "comm": _text(actor.comm),
        "cmdline": actor.cmdline,
        "cmdline_verified": actor.cmdline_verified,
        "tty": actor.tty,
        "ses": actor.ses,
        "syscall": actor.syscall,
        "time": render_time(actor.time_ns),
        "event": actor.event,
    }


def parse_actor(row: Mapping[str, Any]) -> Actor:
    """Read what :func:`render_actor` gave."""
    values = dict(row)
    values["time_ns"] = parse_time(values.pop("time"))
    values["exe"] = _bytes(values["exe"])
    values["comm"] = _bytes(values["comm"])
    return Actor(**values)


def render_finding(finding: Finding) -> dict[str, Any]:
    """Give a finding as the contract's JSON object; ``content`` only where the file was searched."""
    row: dict[str, Any] = {
        "id": finding.id,
        "host": finding.host,
        "path": render_path(finding.path),
        "kind": finding.kind.value,
        "tier": finding.tier.value,
        "severity": finding.severity.value,
        "verdict": finding.verdict.value,
        "changed": list(finding.changed),
        "before": None if finding.before is None else render_state(finding.before),
        "after": None if finding.after is None else render_state(finding.after),
        "moved_to": _text(finding.moved_to),
        "actors": [render_actor(actor) for actor in finding.actors],
        "attribution": finding.attribution.value,
        "reasons": list(finding.reasons),
        "sources": [source.value for source in finding.sources],
        "first_seen": render_time(finding.first_seen_ns),
        "last_seen": render_time(finding.last_seen_ns),
        "evidence": list(finding.evidence),
    }
    if finding.content is not None:
        row["content"] = [asdict(mark) for mark in finding.content]
    return row


def parse_finding(row: Mapping[str, Any]) -> Finding:
    """Read what :func:`render_finding` gave."""
    return Finding(
        id=row["id"],
        host=row["host"],
        path=parse_path(row["path"]),
        kind=Kind(row["kind"]),
        tier=Tier(row["tier"]),
        severity=Severity(row["severity"]),
        verdict=Verdict(row["verdict"]),
        changed=tuple(row["changed"]),
        before=None if row["before"] is None else parse_state(row["before"]),
        after=None if row["after"] is None else parse_state(row["after"]),
        moved_to=_bytes(row["moved_to"]),
        actors=tuple(map(parse_actor, row["actors"])),
        attribution=Attribution(row["attribution"]),
        reasons=tuple(row["reasons"]),
        sources=tuple(map(Source, row["sources"])),
        first_seen_ns=parse_time(row["first_seen"]),
        last_seen_ns=parse_time(row["last_seen"]),
        evidence=tuple(row.get("evidence", ())),
        content=None if row.get("content") is None else tuple(ContentMark(**mark) for mark in row["content"]),
    )
