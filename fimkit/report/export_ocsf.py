"""Findings as OCSF's File System Activity, class 1001; what it has no attribute for is under ``unmapped.fimkit``. Pure.

Source: Open Cybersecurity Schema Framework 1.1.0: class file_activity (category 1, System Activity), profiles host and
security_control, objects actor, attack, device, enrichment, file, fingerprint, metadata, observable, process, product, user. Times
are milliseconds since 1970.
"""

import posixpath
import re
from dataclasses import asdict
from typing import Any

from fimkit import __version__
from fimkit.model.changes import Actor
from fimkit.model.findings import Attribution, Finding, Kind, Severity
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from fimkit.report.export_rows import ExportRow, made_ns, own_fields, safe_text, safe_time, tidy
from fimkit.report.export_techniques import find_techniques
from fimkit.report.export_words import render_sentence

__all__ = ["OCSF_VERSION", "render_ocsf"]

OCSF_VERSION = "1.1.0"

_CLASS = 1001
_MS_NS = 1_000_000
_CREATE, _UPDATE, _DELETE, _RENAME, _SET_ATTRIBUTES, _SET_SECURITY, _OTHER = 1, 3, 4, 5, 6, 7, 99
_NAMES = {
    _CREATE: "Create", _UPDATE: "Update", _DELETE: "Delete", _RENAME: "Rename", _SET_ATTRIBUTES: "Set Attributes",
    _SET_SECURITY: "Set Security",
}  # fmt: skip
_ACTIVITIES = {Kind.CREATED: _CREATE, Kind.MODIFIED: _UPDATE, Kind.DELETED: _DELETE, Kind.MOVED: _RENAME}
_SECURITY = frozenset({"mode", "uid", "gid", "xattrs"})
# What a denied try was for, by the beginning of the system call's name; an open that was denied was one for writing.
_TRIES = (
    ("open", _UPDATE), ("truncate", _UPDATE), ("ftruncate", _UPDATE), ("creat", _CREATE), ("mkdir", _CREATE), ("mknod", _CREATE),
    ("link", _CREATE), ("symlink", _CREATE), ("unlink", _DELETE), ("rmdir", _DELETE), ("rename", _RENAME), ("chmod", _SET_SECURITY),
    ("fchmod", _SET_SECURITY), ("chown", _SET_SECURITY), ("fchown", _SET_SECURITY), ("lchown", _SET_SECURITY),
    ("setxattr", _SET_SECURITY), ("fsetxattr", _SET_SECURITY), ("lsetxattr", _SET_SECURITY), ("removexattr", _SET_SECURITY),
    ("fremovexattr", _SET_SECURITY), ("lremovexattr", _SET_SECURITY), ("utime", _SET_ATTRIBUTES), ("futime", _SET_ATTRIBUTES),
)  # fmt: skip
_SEVERITIES = {
    Severity.INFO: (1, "Informational"), Severity.LOW: (2, "Low"), Severity.MEDIUM: (3, "Medium"), Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}  # fmt: skip
_FILE_TYPES = {
    FileType.FILE: (1, "Regular File"), FileType.DIRECTORY: (2, "Folder"), FileType.CHAR: (3, "Character Device"),
    FileType.BLOCK: (4, "Block Device"), FileType.SOCKET: (5, "Local Socket"), FileType.FIFO: (6, "Named Pipe"),
    FileType.SYMLINK: (7, "Symbolic Link"),
}  # fmt: skip
_SHA256 = 3
_HOSTNAME, _USER_NAME, _FILE_NAME, _HASH, _PROCESS_NAME = 1, 4, 7, 8, 9  # kinds of observables
_NOBODY = "unknown"
_HEX = re.compile("[0-9a-fA-F]+")


def render_ocsf(row: ExportRow) -> dict[str, Any]:
    """Give a finding as an OCSF event.

    ``file`` is the file as it was before, ``file_result`` as it was found; of what was created ``file`` is what was found. What
    content rules found is in ``enrichments``, what an analyst searches for in ``observables``. The profile security_control, with
    its outcome, is there where something acted: the kernel that denied a try, or a content rule that names a technique.
    """
    finding, files = row.finding, _files(row.finding)
    activity = _activity(finding)
    severity_id, severity = _SEVERITIES[finding.severity]
    failed = finding.kind is Kind.ATTEMPTED
    name = _NAMES.get(activity, finding.kind.value)
    event = {
        "activity_id": activity, "activity_name": name,
        "category_uid": 1, "category_name": "System Activity",
        "class_uid": _CLASS, "class_name": "File System Activity",
        "type_uid": _CLASS * 100 + activity, "type_name": f"File System Activity: {name}",
        "severity_id": severity_id, "severity": severity,
        "status_id": 2 if failed else 1, "status": "Failure" if failed else "Success",
        "time": made_ns(finding) // _MS_NS, "start_time": finding.first_seen_ns // _MS_NS,
        "end_time": finding.last_seen_ns // _MS_NS,
        "duration": _int_32((finding.last_seen_ns - finding.first_seen_ns) // _MS_NS),
        "message": render_sentence(finding), "status_detail": "; ".join(finding.reasons) or None,
        "metadata": _metadata(row),
        **_control(finding),
        "device": {"hostname": finding.host, "name": finding.host, "type_id": 0, "type": "Unknown"},
        "actor": _actor(finding.actors[0] if finding.actors else None),
        **files,
        "observables": _observables(finding, files),
        "enrichments": _enrichments(finding, files),
        "unmapped": {"fimkit": own_fields(row) | {"no_diff": row.no_diff}},
    }  # fmt: skip
    diff = {} if row.diff is None else {"file_diff": "\n".join(map(safe_text, row.diff.split("\n")))}
    return dict(tidy(event)) | diff  # of all texts this alone has lines


def _activity(finding: Finding) -> int:
    if finding.kind is Kind.ATTRIBUTES:
        return _SET_SECURITY if _SECURITY.intersection(finding.changed) else _SET_ATTRIBUTES
    if finding.kind is Kind.ATTEMPTED:
        call = (finding.actors[0].syscall or "") if finding.actors else ""
        return next((activity for start, activity in _TRIES if call.startswith(start)), _OTHER)
    return _ACTIVITIES.get(finding.kind, _OTHER)


def _metadata(row: ExportRow) -> dict[str, Any]:
    finding = row.finding
    return {
        "version": OCSF_VERSION,
        "uid": finding.id,
        "event_code": finding.kind.value,
        "log_provider": " ".join(source.value for source in finding.sources) or None,
        "labels": [f"tier:{finding.tier.value}", f"verdict:{finding.verdict.value}", f"attribution:{finding.attribution.value}",
                   f"status:{row.status}"],
        "original_time": safe_time(made_ns(finding)),
        "modified_time": None if row.closed_ns is None else row.closed_ns // _MS_NS,
        "profiles": ["host", "security_control"] if _control(finding) else ["host"],
        "product": {"name": "fimkit", "vendor_name": "fimkit", "version": __version__},
    }  # fmt: skip


def _control(finding: Finding) -> dict[str, Any]:
    """Give the profile's attributes where something acted: who was denied, or what was recognised."""
    if finding.kind is Kind.ATTEMPTED:
        return {"action_id": 2, "action": "Denied", "disposition_id": 2, "disposition": "Blocked"}
    techniques = find_techniques(finding)
    if not techniques:
        return {}
    attacks = [
        {"technique": {"uid": one.technique}, "sub_technique": None if one.sub is None else {"uid": one.sub}} for one in techniques
    ]
    return {"action_id": 1, "action": "Allowed", "disposition_id": 15, "disposition": "Detected", "attacks": attacks}


def _observables(finding: Finding, files: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Point to what an analyst looks for in all events: the host, the user, the file, its hashes, the program."""
    head = finding.actors[0] if finding.actors else None
    process = None if head is None else _process(head)
    values: list[tuple[str, int, str | None]] = [
        ("device.hostname", _HOSTNAME, finding.host),
        ("actor.user.name", _USER_NAME, None if head is None else head.user),
        ("actor.process.name", _PROCESS_NAME, None if process is None else process["name"]),
    ]
    for name, file in files.items():
        values.append((f"{name}.name", _FILE_NAME, file["name"]))
        values += [(f"{name}.hashes.value", _HASH, one["value"]) for one in file.get("hashes") or ()]
    return [{"name": name, "type_id": number, "value": value} for name, number, value in values if value]


def _enrichments(finding: Finding, files: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Give what content rules found in the file, each with its line and text."""
    name = "file_result" if "file_result" in files else "file"
    return [
        {
            "name": f"{name}.path", "value": files[name]["path"], "type": "content rule", "provider": "fimkit",
            "data": asdict(mark) | {"attack": mark.attack or None},
        }
        for mark in finding.content or ()
    ]  # fmt: skip


def _files(finding: Finding) -> dict[str, dict[str, Any]]:
    before, after = finding.before, finding.after
    files = {"file": _file(finding.path, before if before is not None else after)}
    if before is not None and after is not None:
        files["file_result"] = _file(finding.path if finding.moved_to is None else finding.moved_to, after)
    if finding.actors and finding.attribution is Attribution.EXACT:  # who it may have been is no fact about a file
        login = _login(finding.actors[0])
        if finding.kind is Kind.CREATED:
            files["file"]["creator"] = login
        elif finding.kind is Kind.MODIFIED and "file_result" in files:
            files["file_result"]["modifier"] = login
    return files


def _file(path: bytes, state: FileState | None) -> dict[str, Any]:
    text = render_path(path)
    folder = posixpath.dirname(text) or None
    file: dict[str, Any] = {"name": posixpath.basename(text) or text, "path": text, "parent_folder": folder}
    if state is None:
        return file | {"type_id": 0, "type": "Unknown"}
    type_id, word = _FILE_TYPES[state.type]
    return file | {
        "type_id": type_id,
        "type": word,
        "size": state.size,
        "modified_time": None if state.mtime_ns is None else state.mtime_ns // _MS_NS,
        "attributes": _int_32(state.mode),
        "owner": _user(state.uid),
        "uid": None if state.inode is None else str(state.inode),
        "hashes": _hashes(state.sha256),
        "xattributes": None if state.xattrs is None else {name: render_path(value) for name, value in state.xattrs.items()},
    }


def _hashes(sha256: str | None) -> list[dict[str, Any]] | None:
    if sha256 is None or not _HEX.fullmatch(sha256):  # a snapshot of another's may say anything
        return None
    return [{"algorithm_id": _SHA256, "algorithm": "SHA-256", "value": sha256}]


def _actor(actor: Actor | None) -> dict[str, Any]:
    """Name the maker: the login user, and the process with its own user. An actor is required: where none is known, it says so."""
    if actor is None:
        return {"invoked_by": _NOBODY}
    known = {
        "process": _process(actor),
        "session": None if actor.ses is None else {"uid": str(actor.ses)},
        "user": _login(actor),
    }
    return known if any(known.values()) else {"invoked_by": _NOBODY}


def _login(actor: Actor) -> dict[str, Any] | None:
    """Give the login user, and of who never logged in the name that is known."""
    user = (_user(actor.auid) or {}) | ({"name": actor.user} if actor.user else {})
    return user or None


def _user(uid: int | None) -> dict[str, Any] | None:
    """Give a user by the number; root is an administrator."""
    if uid is None:
        return None
    return {"uid": str(uid), "type_id": 2, "type": "Admin"} if uid == 0 else {"uid": str(uid)}


def _process(actor: Actor) -> dict[str, Any] | None:
    pid = _int_32(actor.pid)
    if pid is None:
        return None
    exe = None if actor.exe is None else render_path(actor.exe)
    parent = _int_32(actor.ppid)
    return {
        "pid": pid,
        "name": render_path(actor.comm) if actor.comm is not None else None if exe is None else posixpath.basename(exe),
        "cmd_line": actor.cmdline,
        "file": None if not exe else {"name": posixpath.basename(exe) or exe, "path": exe, "type_id": 1},
        "parent_process": None if parent is None else {"pid": parent},
        "user": _user(actor.uid),
    }


def _int_32(number: int | None) -> int | None:
    """OCSF's ``integer_t``; what does not fit was never a process of Linux."""
    return number if number is not None and -(2**31) <= number < 2**31 else None
