"""Rows and lines as osquery 5.23 writes them, for tests."""

import json
from collections.abc import Sequence
from typing import Any

__all__ = ["FILE_ROW", "PROCESS_ROW", "batch", "event", "snapshot"]

FILE_ROW: dict[str, Any] = {
    "action": "CREATED",
    "atime": "99",
    "category": "watch",
    "ctime": "99",
    "gid": "0",
    "hashed": "1",
    "inode": "7",
    "md5": "",
    "mode": "0644",
    "mtime": "99",
    "sha1": "",
    "sha256": "ab" * 32,
    "size": "3",
    "target_path": "/etc/a",
    "time": "100",
    "transaction_id": "0",
    "uid": "0",
}
PROCESS_ROW: dict[str, Any] = {
    "operation": "write",
    "pid": "4711",
    "ppid": "4000",
    "time": "100",
    "executable": "/usr/bin/vim",
    "partial": "false",
    "cwd": "/root",
    "path": "/etc/a",
    "dest_path": "",
    "uid": "0",
    "gid": "0",
    "auid": "1000",
    "euid": "0",
    "egid": "0",
    "fsuid": "0",
    "fsgid": "0",
    "suid": "0",
    "sgid": "0",
    "uptime": "77",
}


def _line(body: dict[str, Any], more: dict[str, Any]) -> bytes:
    whole = {**body, "name": "pack_fimkit_file_events", "hostIdentifier": "web01", "unixTime": 105, "numerics": False, **more}
    return json.dumps({name: value for name, value in whole.items() if value is not None}, separators=(",", ":")).encode()


def event(row: dict[str, Any], *, action: str = "added", **more: Any) -> bytes:
    """One row a line."""
    return _line({"columns": row, "action": action}, more)


def batch(added: Sequence[dict[str, Any]], *, removed: Sequence[dict[str, Any]] = (), **more: Any) -> bytes:
    """A query run a line (``--logger_event_type=false``); the query's name is behind the rows."""
    return _line({"diffResults": {"removed": list(removed), "added": list(added)}}, more)


def snapshot(rows: Sequence[dict[str, Any]], **more: Any) -> bytes:
    """All that a query gives, a line; ``snapshot`` comes first."""
    return _line({"snapshot": list(rows), "action": "snapshot"}, more)
