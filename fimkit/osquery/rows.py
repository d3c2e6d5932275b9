"""Turns rows of osquery into changes: ``file_events`` says what, ``process_file_events`` says who. Pure.

``time`` is whole seconds, stamped when osquery processed the event: it may be late and is never early.

``process_file_events`` is made of audit records by osquery itself. Its operations: ``write`` (the first write through a
descriptor, or a truncation), ``open+truncate``, ``unlink`` (also of a folder), ``rename``, ``link``, ``symlink``; with
``--audit_fim_show_accesses`` also ``open``, ``read``, ``close``. Attributes, new folders and denied tries are never in it, nor
are renames of files that it had not met yet, exchanges, and bytes that come by mmap, copy_file_range or io_uring. ``partial`` is
a row with a piece missing (only with ``--audit_show_partial_fim_events``).

Source: osquery, specs/linux/process_file_events.table, osquery/tables/events/linux/process_file_events.cpp.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.errors import RecordError, clip
from fimkit.model.paths import join_path
from fimkit.osquery.names import unescape_name

__all__ = ["ReadName", "parse_file_event", "parse_process_event"]

ReadName = Callable[[str], bytes]

_ACTIONS = {
    "CREATED": Action.BORN,
    "UPDATED": Action.UPDATED,
    "DELETED": Action.UNLINKED,
    "ATTRIBUTES_MODIFIED": Action.ATTRIBUTES,
    "MOVED_FROM": Action.MOVED_FROM,
    "MOVED_TO": Action.MOVED_TO,
}
_READS = frozenset({"OPENED", "ACCESSED"})
_ON_PATH = {"write": Action.UPDATED, "open+truncate": Action.OPENED, "unlink": Action.UNLINKED}
_OPERATIONS = (*_ON_PATH, "rename", "link", "symlink")
_ACCESSES = frozenset({"open", "read", "close"})
_NO_LOGIN = frozenset({-1, 4294967295})
_FARTHEST_S = 1 << 40
_SECOND_NS = 1_000_000_000


def _number(columns: Mapping[str, Any], name: str, base: int = 10) -> int | None:
    value = columns.get(name)
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        return int(value, base) if isinstance(value, str) else int(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(f"{name} is {clip(value)}, expected a number") from error


def _mode(columns: Mapping[str, Any]) -> int | None:
    """Read octal digits; ``--logger_numerics`` may make them a number: 644 still means 0644."""
    value = columns.get("mode")
    if isinstance(value, str):
        return _number(columns, "mode", 8)
    digits = _number(columns, "mode")
    try:
        return None if digits is None else int(str(digits), 8)
    except ValueError as error:
        raise RecordError(f"mode is {clip(value)}, expected octal digits") from error


def _time(columns: Mapping[str, Any]) -> int:
    seconds = _number(columns, "time")
    if seconds is None or not 0 <= seconds < _FARTHEST_S:
        raise RecordError(f"time is {clip(columns.get('time'))}, expected seconds since the epoch")
    return seconds


def _path(columns: Mapping[str, Any], name: str, read_name: ReadName) -> bytes:
    value = columns.get(name)
    if not isinstance(value, str) or not value.startswith("/"):
        raise RecordError(f"{name} is {clip(value)}, expected an absolute path")
    return join_path(b"/", read_name(value))


def parse_file_event(
    columns: Mapping[str, Any], *, node: str | None, serial: int = 0, item: int = 0, read_name: ReadName = unescape_name
) -> Change | None:
    """Turn one row of ``file_events`` into a change.

    Args:
        columns: As logged; texts or numbers.
        node: Which host it is of.
        serial: The line's place in its log: osquery's seconds do not order rows.
        item: The row's place in its line.
        read_name: Gives the bytes of a logged name.

    Returns:
        The change, or ``None`` for a row that only tells of reading (OPENED, ACCESSED).

    Raises:
        RecordError: If the path, the action or the time is none, or a number is none.
    """
    action = columns.get("action")
    if not isinstance(action, str) or not (action in _ACTIONS or action in _READS):
        raise RecordError(f"action is {clip(action)}, expected one of {', '.join(_ACTIONS)}")
    path, seconds = _path(columns, "target_path", read_name), _time(columns)
    if action in _READS:
        return None
    cookie, mtime, sha256 = _number(columns, "transaction_id"), _number(columns, "mtime"), columns.get("sha256")
    hashed = isinstance(sha256, str) and len(sha256) == 64 and _number(columns, "hashed") in (1, None)
    return Change(
        source=Source.OSQUERY,
        action=_ACTIONS[action],
        time_ns=seconds * _SECOND_NS,
        serial=serial,
        item=item,
        path=path,
        inode=_number(columns, "inode") or None,  # a file already gone leaves the stat columns empty, or 0 as numbers
        new_mode=_mode(columns),
        uid=_number(columns, "uid"),
        gid=_number(columns, "gid"),
        size=_number(columns, "size"),
        mtime_ns=None if mtime is None else mtime * _SECOND_NS,
        cookie=str(cookie) if cookie else None,
        sha256=sha256 if hashed and isinstance(sha256, str) else None,
        node=node,
    )


def parse_process_event(
    columns: Mapping[str, Any],
    *,
    node: str | None,
    serial: int = 0,
    item: int = 0,
    read_name: ReadName = unescape_name,
    user_of: Callable[[int], str | None] | None = None,
) -> list[Change]:
    """Turn one row of ``process_file_events`` into changes, each with its actor: two for two names, none for an access.

    Args:
        columns: As logged; texts or numbers.
        node: Which host it is of.
        serial: The line's place in its log.
        item: The row's place in its line.
        read_name: Gives the bytes of a logged name.
        user_of: Names a user id, where the log is this host's own.

    Returns:
        Changes whose path is sure where the row says that nothing was missing (``partial`` is false).

    Raises:
        RecordError: If a path, the operation, the time or the process is none.
    """
    operation = str(columns.get("operation"))
    if operation in _ACCESSES:
        return []
    actor = _actor(columns, operation, read_name, user_of)
    places: list[tuple[Action, str]]
    if operation == "rename":
        places = [(Action.MOVED_FROM, "path"), (Action.MOVED_TO, "dest_path")]
    elif operation == "link":
        places = [(Action.LINKED, "dest_path"), (Action.ATTRIBUTES, "path")]  # the old name's file has a link more
    elif operation == "symlink":
        places = [(Action.BORN, "dest_path")]
    elif operation in _ON_PATH:
        places = [(_ON_PATH[operation], "path")]
    else:
        raise RecordError(f"operation is {clip(operation)}, expected one of {', '.join(_OPERATIONS)}")
    named = [(action, _path(columns, column, read_name)) for action, column in places]
    # the pair's name comes from what the row says, so that the row read again is the same
    both = hashlib.blake2b(b"\0".join(path for _, path in named), digest_size=8).hexdigest()
    return [
        Change(
            source=Source.OSQUERY,
            action=action,
            time_ns=actor.time_ns,
            serial=serial,
            item=item,
            path=path,
            path_sure=str(columns.get("partial")).lower() in ("false", "0"),
            actor=actor,
            cookie=f"{actor.event}/{both}" if operation == "rename" else None,
            node=node,
        )
        for action, path in named
    ]


def _actor(
    columns: Mapping[str, Any], operation: str, read_name: ReadName, user_of: Callable[[int], str | None] | None
) -> Actor:
    seconds, pid = _time(columns), _number(columns, "pid")
    if pid is None or pid < 0:
        raise RecordError(f"pid is {clip(columns.get('pid'))}, expected a process")
    auid, uid, executable, eid = _number(columns, "auid"), _number(columns, "uid"), columns.get("executable"), columns.get("eid")
    login = None if auid in _NO_LOGIN else auid
    named = login if login is not None else uid
    exe = read_name(executable.strip('"')) if isinstance(executable, str) and executable else None
    return Actor(
        auid=login,
        uid=uid,
        euid=_number(columns, "euid"),
        user=user_of(named) if user_of is not None and named is not None else None,
        pid=pid,
        ppid=_number(columns, "ppid"),
        exe=exe,
        comm=None,
        cmdline=None,
        cmdline_verified=False,
        tty=None,
        ses=None,
        syscall=operation,
        time_ns=seconds * _SECOND_NS,
        event=f"osquery:{seconds}:{eid if isinstance(eid, str | int) and eid != '' else pid}",
    )
