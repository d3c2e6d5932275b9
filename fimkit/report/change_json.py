"""The JSON form of one source's claim, without what it does not say. Pure."""

from typing import Any

from fimkit.model.changes import Change
from fimkit.model.json_form import render_actor
from fimkit.model.paths import render_path
from fimkit.report.export_rows import safe_time

__all__ = ["render_change"]

_PLAIN = (
    "serial", "item", "path_sure", "dev", "inode", "parent_dev", "parent_inode", "cookie", "error", "sha256", "hash_late", "uid",
    "gid", "size", "mtime_ns", "node",
)  # fmt: skip


def render_change(change: Change) -> dict[str, Any]:
    """Give a claim as an object; modes are octal text, as in states.

    >>> from fimkit.model.changes import Action, Source
    >>> render_change(Change(source=Source.OSQUERY, action=Action.UPDATED, time_ns=0, path=b"/etc/x", new_mode=0o644))["new_mode"]
    '0644'
    """
    row: dict[str, Any] = {
        "time": safe_time(change.time_ns), "source": change.source.value, "action": change.action.value,
        "path": None if change.path is None else render_path(change.path),
        "mode": None if change.mode is None else f"{change.mode:04o}",
        "new_mode": None if change.new_mode is None else f"{change.new_mode:04o}",
        **{name: getattr(change, name) for name in _PLAIN},
        "last_time": safe_time(change.last_ns),
        "actor": None if change.actor is None else render_actor(change.actor),
    }  # fmt: skip
    return {name: value for name, value in row.items() if value is not None}
