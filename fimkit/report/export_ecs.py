"""Findings in the words of the Elastic Common Schema; what it has no word for is under ``fimkit``. Pure.

Source: Elastic Common Schema 8.11, field reference (base, agent, ecs, event, file, hash, host, process, related, rule, threat,
user) and categorisation fields (event.kind, event.category, event.type, event.outcome).
"""

import os
import posixpath
from typing import Any

from fimkit import __version__
from fimkit.model.changes import Actor
from fimkit.model.findings import Finding, Kind, Severity
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from fimkit.report.export_rows import ExportRow, made_ns, own_fields, safe_time, tidy
from fimkit.report.export_techniques import find_techniques, render_reference
from fimkit.report.export_words import render_sentence

__all__ = ["ECS_VERSION", "render_ecs"]

ECS_VERSION = "8.11.0"

_TYPES = {
    Kind.CREATED: ["creation"],
    Kind.DELETED: ["deletion"],
    Kind.MOVED: ["change"],
    Kind.MODIFIED: ["change"],
    Kind.ATTRIBUTES: ["change"],
    Kind.ATTEMPTED: ["access"],
    Kind.TRANSIENT: ["creation", "deletion"],
    Kind.TAMPERED: ["change"],
    Kind.OVERDUE: ["info"],
}
# What detection rules of the field use for their own severities.
_SEVERITIES = {Severity.INFO: 0, Severity.LOW: 21, Severity.MEDIUM: 47, Severity.HIGH: 73, Severity.CRITICAL: 99}
_MOST_DIGITS = 18  # of a serial: what a column of 64 bits surely holds
_FILE_TYPES = {FileType.DIRECTORY: "dir"}  # the other words are the same


def render_ecs(row: ExportRow) -> dict[str, Any]:
    """Give a finding as an ECS document: nested, without empty fields.

    ``file`` is the file as it was found, or as it was before it was deleted; ``file.path`` is the path that is watched, of a move
    the old one. ``user.id`` is the login user, where there was a login; ``process.user`` is the process's effective user, as
    ``user.effective`` is, and ``process.real_user`` its real one. ``related.user`` has the names and numbers of all who took part.
    """
    finding = row.finding
    own = own_fields(row)
    document = {
        "@timestamp": safe_time(made_ns(finding)),
        "message": render_sentence(finding),
        "tags": ["fimkit"],
        "ecs": {"version": ECS_VERSION},
        "agent": {"type": "fimkit", "version": __version__},
        "host": {"name": finding.host, "hostname": finding.host},
        "event": _event(finding),
        "file": _file(finding),
        "related": _related(finding),
        **_who(finding),
        **_rules(finding),
        "fimkit": own,
    }
    return dict(tidy(document))


def _event(finding: Finding) -> dict[str, Any]:
    return {
        "kind": "event",
        "category": ["file"],
        "type": _TYPES[finding.kind],
        "action": finding.kind.value,
        "outcome": "failure" if finding.kind is Kind.ATTEMPTED else "success",
        "id": finding.id,
        "module": "fimkit",
        "dataset": "fimkit.finding",
        "severity": _SEVERITIES[finding.severity],
        "reason": "; ".join(finding.reasons) or None,
        "start": safe_time(finding.first_seen_ns),
        "end": safe_time(finding.last_seen_ns),
        "duration": max(0, finding.last_seen_ns - finding.first_seen_ns),
        "sequence": _serial(finding),
    }


def _serial(finding: Finding) -> int | None:
    """Give the kernel's number of the maker's event, by which a SIEM finds the audit record that it has of its own."""
    serial = finding.actors[0].event.rpartition(":")[2] if finding.actors else ""
    return int(serial) if serial.isascii() and serial.isdigit() and len(serial) <= _MOST_DIGITS else None


def _file(finding: Finding) -> dict[str, Any]:
    path = render_path(finding.path)
    name = posixpath.basename(path)
    extension = posixpath.splitext(name)[1].removeprefix(".")
    file: dict[str, Any] = {
        "path": path, "directory": posixpath.dirname(path) or None, "name": name or None, "extension": extension or None,
    }  # fmt: skip
    state = finding.after if finding.after is not None else finding.before
    return file if state is None else file | _attributes(state)


def _attributes(state: FileState) -> dict[str, Any]:
    return {
        "type": _FILE_TYPES.get(state.type, state.type.value),
        "inode": _word(state.inode),
        "device": _device(state.dev),
        "uid": _word(state.uid),
        "gid": _word(state.gid),
        "mode": None if state.mode is None else f"{state.mode:04o}",
        "size": state.size,
        "mtime": safe_time(state.mtime_ns),
        "ctime": safe_time(state.ctime_ns),
        "target_path": None if state.target is None else render_path(state.target),
        "hash": {"sha256": state.sha256},
    }


def _device(dev: int | None) -> str | None:
    """Write a device as ``major:minor``, as /proc/self/mountinfo does."""
    return f"{os.major(dev)}:{os.minor(dev)}" if dev is not None and 0 <= dev < 1 << 64 else None


def _word(number: int | None) -> str | None:
    return None if number is None else str(number)


def _who(finding: Finding) -> dict[str, Any]:
    if not finding.actors:
        return {}
    actor = finding.actors[0]
    exe = None if actor.exe is None else render_path(actor.exe)
    return {
        "process": {
            "pid": actor.pid,
            "executable": exe,
            "name": _name(actor, exe),
            "command_line": actor.cmdline,
            "parent": {"pid": actor.ppid},
            "user": {"id": _word(actor.euid)},
            "real_user": {"id": _word(actor.uid)},
        },
        "user": {
            "id": _word(actor.uid if actor.auid is None else actor.auid),
            "name": actor.user,
            "effective": {"id": _word(actor.euid)},
        },
    }


def _name(actor: Actor, exe: str | None) -> str | None:
    if actor.comm is not None:
        return render_path(actor.comm)
    return None if exe is None else posixpath.basename(exe)


def _rules(finding: Finding) -> dict[str, Any]:
    """Name the content rules that hit, and the techniques that they stand for."""
    names = list(dict.fromkeys(mark.rule for mark in finding.content or ()))
    rule = {"name": names, "ruleset": "fimkit content rules"} if names else None
    found = find_techniques(finding)
    if not found:
        return {"rule": rule}
    techniques, below = sorted({one.technique for one in found}), [one for one in found if one.sub is not None]
    technique: dict[str, Any] = {"id": techniques, "reference": [render_reference(one) for one in techniques]}
    if below:
        technique["subtechnique"] = {"id": [one.sub for one in below], "reference": [render_reference(one.sub) for one in below]}
    return {"rule": rule, "threat": {"framework": "MITRE ATT&CK", "technique": technique}}


def _related(finding: Finding) -> dict[str, Any]:
    names = {actor.user for actor in finding.actors if actor.user}
    numbers = {str(one) for actor in finding.actors for one in (actor.auid, actor.uid, actor.euid) if one is not None}
    hashes = {state.sha256 for state in (finding.before, finding.after) if state is not None and state.sha256}
    return {"hosts": [finding.host], "user": sorted(names | numbers), "hash": sorted(hashes)}
