"""A small file system in memory that tells of itself as the kernel does: snapshots, audit changes, and the truth beside them.

Inode numbers are given again at once (the lowest free one; never, as on a large disk, where ``gives_again`` is false), stamps are
floored to 4 ms, relative names behind a real dirfd are wrong, what lies outside ``/w`` leaves no record of its own.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from fimkit.model.changes import Action, Actor, Change, Source, StateDiff
from fimkit.model.states import FileState, FileType, compare_states

ROOT = b"/w"
OUTSIDE = b"/out"
START_NS = 1_800_000_000_000_000_000
TICK_NS = 4_000_000
DEV = 65024


def actor(pid: int, *, auid: int | None = None, exe: bytes | None = None, time_ns: int = 0, serial: int = 0) -> Actor:
    return Actor(
        auid=auid,
        uid=0,
        euid=0,
        user=None,
        pid=pid,
        ppid=1,
        exe=exe or b"/bin/p%d" % pid,
        comm=b"p%d" % pid,
        cmdline=None,
        cmdline_verified=False,
        tty=None,
        ses=None,
        syscall=None,
        time_ns=time_ns,
        event=f"{time_ns // 10**9}.{time_ns // 10**6 % 1000:03d}:{serial}",
    )


@dataclass(eq=False)
class Node:
    """One inode.

    ``killer`` took its last name that went away, or took it out of the tree. ``writers`` are the pids that wrote to it since the
    baseline or its birth; ``hidden`` counts writes out of sight; ``opened`` tells that somebody opened it for writing and wrote
    nothing.
    """

    number: int
    type: FileType
    mode: int
    content: bytes = b""
    uid: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    writers: list[int] = field(default_factory=list)
    hidden: int = 0
    opened: bool = False
    links: int = 1
    mode_setter: int | None = None
    killer: int | None = None


class World:
    """Names to inodes, changed by processes; every change leaves the records that auditing would."""

    def __init__(self) -> None:
        self.now = START_NS
        self.lowest, self.gives_again = 10, True
        self.serial = 100
        self.names: dict[bytes, Node] = {}
        self.numbers: set[int] = set()
        self.changes: list[Change] = []
        self.removers: dict[bytes, int] = {}
        self.first: dict[bytes, Node] = {}
        self.stamp = 0
        self.begun_ns = START_NS
        for folder in (ROOT, OUTSIDE):
            self.names[folder] = self._node(FileType.DIRECTORY, 0o755)

    def _node(self, kind: FileType, mode: int) -> Node:
        number = next(number for number in range(self.lowest, 10_000) if number not in self.numbers)
        self.numbers.add(number)
        if not self.gives_again:
            self.lowest = number + 1
        return Node(number, kind, mode, mtime_ns=self.now, ctime_ns=self.now)

    def wait(self, pause_ns: int) -> None:
        self.now += pause_ns

    def _event(self) -> None:
        self.serial += 1
        self.stamp = self.now // TICK_NS * TICK_NS

    def _record(self, pid: int, action: Action, path: bytes | None, node: Node, item: int = 0, **more: object) -> None:
        """Tell of one name; nothing where neither it nor its inode lies in the watched tree."""
        parent = None if path is None else self.names.get(path.rpartition(b"/")[0])
        kinds = {FileType.DIRECTORY: 0o040000, FileType.SYMLINK: 0o120000}
        self.changes.append(
            Change(
                source=Source.AUDIT,
                action=action,
                time_ns=self.stamp,
                serial=self.serial,
                item=item,
                path=path,
                dev=DEV,
                inode=node.number,
                parent_dev=DEV if parent else None,
                parent_inode=parent.number if parent else None,
                mode=node.mode | kinds.get(node.type, 0o100000),
                actor=actor(pid, time_ns=self.stamp, serial=self.serial),
                **more,
            )
        )  # type: ignore[arg-type]

    # what processes do

    def write(self, pid: int, path: bytes, *, recorded: bool = True) -> None:
        """Create or append; always new bytes."""
        self._event()
        self.wait(100_000)
        node = self.names.get(path)
        born = node is None
        if node is None:
            node = self.names[path] = self._node(FileType.FILE, 0o644)
            self._touch_parent(path)
        if recorded and path.startswith(ROOT):
            self._record(
                pid,
                Action.BORN if born else Action.OPENED,
                path,
                node,
                new_mode=node.mode if born else None,
                uid=0 if born else None,
                gid=0 if born else None,
            )
        node.content += b"%d:%d " % (pid, self.serial)
        node.mtime_ns = node.ctime_ns = self.now
        if recorded and path.startswith(ROOT):
            node.writers.append(pid)
        else:
            node.hidden += 1

    def open_only(self, pid: int, path: bytes) -> None:
        """Open for writing and write nothing."""
        self._event()
        self.wait(100_000)
        self._record(pid, Action.OPENED, path, self.names[path])
        self.names[path].opened = True

    def mkdir(self, pid: int, path: bytes) -> None:
        self._event()
        self.wait(100_000)
        node = self.names[path] = self._node(FileType.DIRECTORY, 0o755)
        if path.startswith(ROOT):
            self._record(pid, Action.BORN, path, node, new_mode=0o755, uid=0, gid=0)
        self._touch_parent(path)

    def link(self, pid: int, old: bytes, new: bytes) -> None:
        self._event()
        self.wait(100_000)
        node = self.names[new] = self.names[old]
        node.links += 1
        node.ctime_ns = self.now
        if old.startswith(ROOT) or new.startswith(ROOT):
            self._record(pid, Action.LINKED, new, node)
        self._touch_parent(new)

    def unlink(self, pid: int, path: bytes, *, by_dirfd: bool = False) -> None:
        """Remove a file or an empty folder; behind a dirfd the text names the working directory."""
        self._event()
        self.wait(100_000)
        node = self.names[path]
        if path.startswith(ROOT):
            self._record(pid, Action.UNLINKED, path, node)
            if by_dirfd:
                last = self.changes.pop()
                wrong = b"/somewhere/" + path.rpartition(b"/")[2]
                self.changes.append(
                    Change(**{**{name: getattr(last, name) for name in Change.__slots__}, "path": wrong, "path_sure": False})
                )
        self._drop(pid, path)
        self.removers[path] = pid

    def _drop(self, pid: int, path: bytes) -> None:
        node = self.names.pop(path)
        node.links -= 1
        node.ctime_ns = self.now
        if node.links <= 0:
            self.numbers.discard(node.number)
        node.killer = pid
        self._touch_parent(path)

    def rename(self, pid: int, old: bytes, new: bytes) -> None:
        self._event()
        self.wait(100_000)
        node = self.names[old]
        target = self.names.get(new)
        if target is node:
            return
        cookie = f"{self.stamp}:{self.serial}"
        if old.startswith(ROOT) or new.startswith(ROOT):
            self._record(pid, Action.MOVED_FROM, old, node, 2, cookie=cookie)
            if target is not None:
                self._record(pid, Action.UNLINKED, new, target, 3)
            self._record(pid, Action.MOVED_TO, new, node, 4, cookie=cookie)
        if target is not None:
            self._drop(pid, new)
        below = [name for name in self.names if name.startswith(old + b"/")]
        for name in [old, *below]:
            self.names[new + name[len(old) :]] = self.names.pop(name)
            self.removers[name] = pid
            if not new.startswith(ROOT):
                self.names[new + name[len(old) :]].killer = pid
        node.ctime_ns = self.now
        self._touch_parent(old)
        self._touch_parent(new)

    def exchange(self, pid: int, one: bytes, other: bytes) -> None:
        self._event()
        self.wait(100_000)
        first, second = self.names[one], self.names[other]
        cookies = [f"{self.stamp}:{self.serial}/{node.number}" for node in (first, second)]
        self._record(pid, Action.MOVED_FROM, one, first, 2, cookie=cookies[0])
        self._record(pid, Action.MOVED_FROM, other, second, 3, cookie=cookies[1])
        self._record(pid, Action.MOVED_TO, other, first, 4, cookie=cookies[0])
        self._record(pid, Action.MOVED_TO, one, second, 5, cookie=cookies[1])
        self.names[one], self.names[other] = second, first
        first.ctime_ns = second.ctime_ns = self.now

    def chmod(self, pid: int, path: bytes, mode: int) -> None:
        self._event()
        self.wait(100_000)
        node = self.names[path]
        self._record(pid, Action.MODE, path, node, new_mode=mode)
        node.mode, node.ctime_ns, node.mode_setter = mode, self.now, pid

    def _touch_parent(self, path: bytes) -> None:
        parent = self.names.get(path.rpartition(b"/")[0])
        if parent is not None:
            parent.mtime_ns = parent.ctime_ns = self.now

    # what is there to see

    def files(self) -> list[bytes]:
        return sorted(path for path, node in self.names.items() if node.type is FileType.FILE)

    def folders(self) -> list[bytes]:
        return sorted(path for path, node in self.names.items() if node.type is FileType.DIRECTORY)

    def states(self) -> Iterator[FileState]:
        for path, node in self.names.items():
            if path == ROOT or path.startswith(ROOT + b"/"):
                folder = node.type is FileType.DIRECTORY
                yield FileState(
                    path=path,
                    type=node.type,
                    mode=node.mode,
                    uid=node.uid,
                    gid=0,
                    size=4096 if folder else len(node.content),
                    inode=node.number,
                    dev=DEV,
                    nlink=2 if folder else node.links,
                    mtime_ns=node.mtime_ns,
                    ctime_ns=node.ctime_ns,
                    sha256=None if folder else hashlib.sha256(node.content).hexdigest(),
                    xattrs={},
                )

    def snapshot(self) -> dict[bytes, FileState]:
        return {state.path: state for state in self.states()}

    def begin(self, *, keep_records: bool = False) -> dict[bytes, FileState]:
        """Take the baseline: from here on, writers and removers count. The records may reach back before it, as a log does."""
        self.wait(50_000_000)
        for node in self.names.values():
            node.writers.clear()
            node.hidden = 0
            node.opened = False
        self.removers.clear()
        self.first = dict(self.names)
        if not keep_records:
            self.changes.clear()
        taken = self.snapshot()
        self.begun_ns = self.now
        self.wait(50_000_000)
        return taken


def differences(before: dict[bytes, FileState], after: dict[bytes, FileState]) -> list[StateDiff]:
    """Compare two snapshots the plain way."""
    found = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        changed = compare_states(old, new) if old is not None and new is not None else ()
        if old is None or new is None or changed:
            found.append(StateDiff(path=path, before=old, after=new, changed=changed))
    return found
