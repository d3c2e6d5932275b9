"""``file_events`` by inotify, with what osquery 5.23 was seen to miss.

An event's state and hash are taken when it is processed, up to 200 ms after the last ones. A new folder is watched then, with the
folders in it, and what was made in them before is never told. A folder that is moved in is not watched; one that is moved keeps its
watch under its old path. A watched file that is replaced loses its watch. All that heals when the configuration's content changes.
"""

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fimkit.testing.osqueryd import inotify
from fimkit.testing.osqueryd.config import Config
from fimkit.testing.osqueryd.flags import Flags
from fimkit.testing.osqueryd.patterns import Excludes, watched_by
from fimkit.testing.osqueryd.row_table import RowTable
from fimkit.testing.osqueryd.sql import Asked
from fimkit.testing.osqueryd.status_log import StatusLog

__all__ = ["COLUMNS", "EventBuffer", "FileEvents"]

COLUMNS = (
    "target_path category action transaction_id:b inode:b uid:b gid:b mode size:b atime:b mtime:b ctime:b md5 sha1 sha256 hashed:i "
    "time:b eid-"
)
# In the order in which osquery looks for the one that an event is.
_ACTIONS = {
    inotify.ACCESS: "ACCESSED",
    inotify.MODIFY: "UPDATED",
    inotify.ATTRIB: "ATTRIBUTES_MODIFIED",
    inotify.CLOSE_WRITE: "UPDATED",
    inotify.OPEN: "OPENED",
    inotify.MOVED_FROM: "MOVED_FROM",
    inotify.MOVED_TO: "MOVED_TO",
    inotify.CREATE: "CREATED",
    inotify.DELETE: "DELETED",
}
_READS = inotify.OPEN | inotify.ACCESS
_CHANGES = sum(_ACTIONS) & ~_READS
_PAUSE_S = 0.2
_POLL_S = 0.2
_HASHES = ("md5", "sha1", "sha256")


class EventBuffer:
    """The events that queries can still ask for. A scheduled query gets each once, any other gets all."""

    def __init__(self, *, events_max: int, expiry_s: int) -> None:
        """Keep at most so many, for so long."""
        self._max, self._expiry_s = events_max, expiry_s
        self._lock = threading.Lock()
        self._rows: list[dict[str, Any]] = []
        self._seen: dict[str, int] = {}
        self.count = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep an event; it gets its number."""
        with self._lock:
            self.count += 1
            self._rows.append({**row, "eid": f"{self.count:010d}"})
            if len(self._rows) > self._max:
                del self._rows[: len(self._rows) - self._max]

    def rows(self, asked: Asked) -> list[dict[str, Any]]:
        """Give what a query is to see."""
        oldest = time.time() - self._expiry_s
        with self._lock:
            self._rows = [row for row in self._rows if row["time"] >= oldest]
            if asked.scheduled_as is None:
                return list(self._rows)
            after = self._seen.get(asked.scheduled_as, 0)
            self._seen[asked.scheduled_as] = self.count
            return [row for row in self._rows if int(row["eid"]) > after]


@dataclass(slots=True, eq=False)
class _Subscription:
    category: str
    pattern: str
    mask: int
    recursive: bool = False


class FileEvents:
    """The publisher and its subscriber: configured again and again, run by one thread."""

    def __init__(self, flags: Flags, log: StatusLog) -> None:
        """Open inotify, where the flags want it."""
        self._flags, self._log = flags, log
        self.buffer = EventBuffer(events_max=flags.number("events_max"), expiry_s=flags.number("events_expiry"))
        self._inotify: inotify.Inotify | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._watches: dict[int, tuple[bytes, _Subscription]] = {}
        self._subscriptions: list[_Subscription] = []
        self._excludes = Excludes(())
        self.refreshes = 0
        self._open()
        self._thread = threading.Thread(target=self._run, name="inotify", daemon=True)

    def _open(self) -> None:
        if self._flags.on("disable_events") or not self._flags.on("enable_file_events"):
            self._log.info("Event publisher not enabled: inotify: Publisher disabled via configuration")
            return
        try:
            if self._flags.on("standin_no_inotify"):
                raise OSError("standin_no_inotify")
            self._inotify = inotify.Inotify(max_watches=self._flags.number("standin_max_watches"))
        except OSError:
            self._log.info("Event publisher not enabled: inotify: Could not start inotify: inotify_init failed")

    @property
    def active(self) -> bool:
        """Say whether there is an inotify instance; nothing here tells of watches that could not be had."""
        return self._inotify is not None

    def table(self) -> RowTable:
        """Make the table."""
        return RowTable("file_events", COLUMNS, self.buffer.rows, evented=True)

    def event_rows(self) -> Iterable[Mapping[str, Any]]:
        """Tell of the publisher and the subscriber, as ``osquery_events`` does."""
        shared = {"publisher": "inotify", "subscriptions": len(self._subscriptions), "active": int(self.active)}
        yield {**shared, "name": "inotify", "type": "publisher", "events": self.buffer.count, "refreshes": self.refreshes}
        yield {**shared, "name": "file_events", "type": "subscriber", "events": self.buffer.count, "refreshes": 0}

    def configure(self, config: Config) -> None:
        """Watch what the configuration names, as the tree is now. Where patterns overlap, the last one gets the events."""
        with self._lock:
            self._subscriptions = [
                _Subscription(category, pattern, _CHANGES | (_READS if category in config.file_accesses else 0))
                for category, pattern in config.file_paths
            ]
            self._excludes = Excludes(config.exclude_paths)
            if self._inotify is None:
                return
            before, self._watches = self._watches, {}
            for subscription in self._subscriptions:
                self._monitor(subscription)
            for watch in before.keys() - self._watches.keys():
                self._inotify.remove(watch)

    def start(self) -> None:
        """Begin to read events."""
        if self._inotify is not None:
            self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        if self._inotify is not None:
            self._thread.join()
            self._inotify.close()

    def _monitor(self, subscription: _Subscription) -> None:
        self._log.detail(f"Added file event listener to: {subscription.pattern}")
        watched = watched_by(subscription.pattern)
        subscription.recursive = watched.recursive
        if watched.problem:
            self._log.warn(watched.problem)
        for path in watched.paths:
            self._watch(path, subscription)
            if watched.recursive and path.endswith(b"/"):
                for folder in _folders_in(path):
                    self._watch(folder, subscription)

    def _watch(self, path: bytes, subscription: _Subscription) -> None:
        assert self._inotify is not None
        try:
            watch = self._inotify.add(path, subscription.mask)
        except OSError:
            self._log.warn(f"Could not add inotify watch on: {os.fsdecode(path)}")
            return
        self._watches[watch] = (path, subscription)

    def _run(self) -> None:
        assert self._inotify is not None
        while not self._stopped.is_set():
            for event in self._inotify.read(_POLL_S):
                with self._lock:
                    self._take(event)
            self.refreshes += 1
            self._stopped.wait(_PAUSE_S)

    def _take(self, event: inotify.InotifyEvent) -> None:
        if event.mask & inotify.Q_OVERFLOW:
            self._log.detail("inotify was overflown")
            return
        if event.mask & inotify.IGNORED:
            self._watches.pop(event.watch, None)
            return
        if event.watch not in self._watches:
            return
        folder, subscription = self._watches[event.watch]
        path = folder + event.name
        action = next((name for bit, name in _ACTIONS.items() if event.mask & bit), None)
        if action is None or not event.mask & subscription.mask:
            return
        if subscription.recursive and action == "CREATED" and os.path.isdir(path):
            self._watch(path + b"/", subscription)
            for found in _folders_in(path + b"/"):
                self._watch(found, subscription)
        if path not in self._excludes:
            self.buffer.add(self._row(path, action, subscription, event.cookie))

    def _row(self, path: bytes, action: str, subscription: _Subscription, cookie: int) -> dict[str, Any]:
        hashed = action in {"CREATED", "UPDATED"} and not subscription.mask & _READS
        row: dict[str, Any] = {
            "target_path": os.fsdecode(path),
            "category": subscription.category,
            "action": action,
            "transaction_id": cookie,
            "time": int(time.time()),
            "hashed": -1 if hashed else 0,
            **dict.fromkeys(_HASHES, ""),
            "mode": "",
        }
        try:
            state = os.stat(path)
        except OSError:
            return row
        row |= {
            "inode": state.st_ino, "uid": state.st_uid, "gid": state.st_gid, "mode": f"{stat.S_IMODE(state.st_mode):04o}",
            "size": state.st_size, "atime": int(state.st_atime), "mtime": int(state.st_mtime), "ctime": int(state.st_ctime),
        }  # fmt: skip
        if hashed and stat.S_ISREG(state.st_mode):
            row |= _hashes_of(path, self._flags.number("read_max"))
        return row


def _folders_in(path: bytes) -> Iterator[bytes]:
    """Give every folder below one, each with its slash."""
    for parent, folders, _ in os.walk(path):
        for folder in folders:
            whole = os.path.join(parent, folder)
            if not os.path.islink(whole):
                yield whole + b"/"


def _hashes_of(path: bytes, read_max: int) -> dict[str, Any]:
    """Hash a file; one over ``read_max``, or gone meanwhile, has no hash."""
    hashes = [hashlib.new(name, usedforsecurity=False) for name in _HASHES]
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > read_max:
                return {}
            while piece := file.read(1 << 20):
                for each in hashes:
                    each.update(piece)
    except OSError:
        return {}
    return {"hashed": 1, **{name: each.hexdigest() for name, each in zip(_HASHES, hashes, strict=True)}}

