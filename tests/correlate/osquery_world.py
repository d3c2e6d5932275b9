"""The same small file system as osquery tells of it: file_events by inotify, process_file_events by audit, both with their gaps.

file_events: a folder is watched under the name that it had when the watch was made; what is stat'ed and hashed is what is under
that name when the event is processed; a folder that is moved in is never watched. process_file_events: a write's first row,
truncations, unlink, rename (of files that were met before), link; no exchange, no attributes, no folder made, no name behind a
dirfd.
"""

import hashlib
from dataclasses import replace
from typing import Any

from fimkit.model.changes import Change
from fimkit.model.states import FileState, FileType
from fimkit.osquery.collapse import collapse_rows
from fimkit.osquery.relocate import relocate_rows
from fimkit.osquery.rows import parse_file_event, parse_process_event
from tests.correlate.world import ROOT, Node, World

__all__ = ["OsqueryWorld"]

_SECOND_NS = 1_000_000_000


class OsqueryWorld(World):
    """A world that osquery watches; ``lag_ns`` is how late it processes what happens."""

    def __init__(self) -> None:
        self._alive: list[Node] = []  # an id() stays one node's
        super().__init__()
        self.lag_ns = 0
        self.processed_ns = 0
        self.cookie = 100
        self.rows = 0
        self.file_rows: list[Change] = []
        self.process_rows: list[Change] = []
        self.watched: dict[int, bytes] = {id(self.names[ROOT]): ROOT}
        self.met: set[int] = set()
        self.makers: dict[bytes, int] = {}
        self.movers: dict[int, int] = {}
        self.touched: dict[bytes, set[int]] = {}

    def _node(self, kind: FileType, mode: int) -> Node:
        self._alive.append(super()._node(kind, mode))
        return self._alive[-1]

    # what osquery logs

    def _stamp(self) -> int:
        self.rows += 1
        self.processed_ns = max(self.processed_ns, self.now + self.lag_ns)
        return self.processed_ns // _SECOND_NS

    def _saw(self, action: str, path: bytes, cookie: int = 0) -> None:
        """Log a file event at a name, if its folder is watched."""
        folder, _, name = path.rpartition(b"/")
        parent = self.names.get(folder)
        seen = self.watched.get(id(parent)) if parent is not None else None
        if seen is None:
            return
        named = seen + b"/" + name
        row: dict[str, Any] = {"action": action, "target_path": named.decode(), "time": self._stamp(), "transaction_id": cookie}
        node = self.names.get(named)
        if node is not None and action not in ("DELETED", "MOVED_FROM"):
            row |= {"inode": node.number, "mode": f"{node.mode:04o}", "uid": 0, "gid": 0, "mtime": node.mtime_ns // _SECOND_NS}
            if node.type is FileType.FILE:
                row |= {"size": len(node.content)}
            if node.type is FileType.FILE and action in ("CREATED", "UPDATED"):
                row |= {"hashed": 1, "sha256": hashlib.sha256(node.content).hexdigest()}
        change = parse_file_event(row, node="h", serial=self.rows)
        assert change is not None
        self.file_rows.append(change)

    def _did(self, pid: int, operation: str, path: bytes, dest: bytes = b"") -> None:
        """Log a process event, if one of its paths is watched for."""
        for name in (path, dest):
            self.touched.setdefault(name, set()).add(pid)
        if not path.startswith(ROOT) and not dest.startswith(ROOT):
            return
        row = {
            "operation": operation, "pid": pid, "ppid": 1, "auid": 4294967295, "uid": 0, "euid": 0, "executable": f"/bin/p{pid}",
            "partial": "false", "path": path.decode(), "dest_path": dest.decode(), "time": self._stamp(), "eid": str(self.rows),
        }  # fmt: skip
        self.process_rows += parse_process_event(row, node="h", serial=self.rows)

    # what processes do

    def write(self, pid: int, path: bytes, *, recorded: bool = True) -> None:
        born = path not in self.names
        super().write(pid, path, recorded=recorded)
        node = self.names[path]
        if born:
            self.makers[path] = pid
            self._saw("CREATED", path)
        if recorded:
            self.met.add(id(node))
            if born or pid % 2:
                self._did(pid, "open+truncate", path)
            self._did(pid, "write", path)
        if recorded or pid % 2:  # else by mmap, or another name: inotify is silent
            self._saw("UPDATED", path)
            self._saw("UPDATED", path)

    def open_only(self, pid: int, path: bytes) -> None:
        super().open_only(pid, path)
        self.met.add(id(self.names[path]))
        self._saw("UPDATED", path)

    def mkdir(self, pid: int, path: bytes) -> None:
        super().mkdir(pid, path)
        self.makers[path] = pid
        self._saw("CREATED", path)
        if id(self.names.get(path.rpartition(b"/")[0])) in self.watched:
            self.watched[id(self.names[path])] = path

    def link(self, pid: int, old: bytes, new: bytes) -> None:
        super().link(pid, old, new)
        self.makers[new] = pid
        self._did(pid, "link", old, new)
        self._saw("CREATED", new)

    def unlink(self, pid: int, path: bytes, *, by_dirfd: bool = False) -> None:
        super().unlink(pid, path, by_dirfd=by_dirfd)
        if not by_dirfd:
            self._did(pid, "unlink", path)
        self._saw("DELETED", path)

    def rename(self, pid: int, old: bytes, new: bytes) -> None:
        node, target = self.names[old], self.names.get(new)
        super().rename(pid, old, new)
        if node is target:
            return
        self.makers[new] = self.movers[id(node)] = pid
        for name in [name for name in self.names if name.startswith(new + b"/")]:
            self.makers[name] = self.movers[id(self.names[name])] = pid
        if id(node) in self.met or (node.type is FileType.DIRECTORY and pid % 2):
            self._did(pid, "rename", old, new)
        self.cookie += 1
        self._saw("MOVED_FROM", old, self.cookie)
        self._saw("MOVED_TO", new, self.cookie)
        for name, inside in self.names.items():  # what leaves the tree is watched no more
            if not name.startswith(ROOT):
                self.watched.pop(id(inside), None)

    def exchange(self, pid: int, one: bytes, other: bytes) -> None:
        super().exchange(pid, one, other)
        for path in (one, other):
            self.makers[path] = self.movers[id(self.names[path])] = pid
        for old, new in ((one, other), (other, one)):
            self.cookie += 1
            self._saw("MOVED_FROM", old, self.cookie)
            self._saw("MOVED_TO", new, self.cookie)

    def chmod(self, pid: int, path: bytes, mode: int) -> None:
        super().chmod(pid, path, mode)
        self._saw("ATTRIBUTES_MODIFIED", path)

    def begin(self, *, keep_records: bool = False) -> dict[bytes, FileState]:
        taken = super().begin(keep_records=keep_records)
        for path, node in self.names.items():
            if node.type is FileType.DIRECTORY and path.startswith(ROOT):
                self.watched[id(node)] = path
        self.makers.clear()
        self.movers.clear()
        self.touched.clear()
        if not keep_records:
            self.file_rows.clear()
            self.process_rows.clear()
        return taken

    def told(self, before: dict[bytes, FileState], *, processes: bool = True, files: bool = True) -> list[Change]:
        """Give what a reading of osquery's log makes of it."""
        rows = [*(self.file_rows if files else ()), *(self.process_rows if processes else ())]
        return relocate_rows(collapse_rows(rows), before=before, after=self.snapshot()).changes

    def half_told(self, before: dict[bytes, FileState]) -> list[Change]:
        """Give it with every row of a process partial."""
        return [replace(change, path_sure=False) if change.actor else change for change in self.told(before)]
