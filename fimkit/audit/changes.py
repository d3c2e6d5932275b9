"""Turns audit events into changes: who did what to which name and inode. Pure.

Names are the kernel's text, joined to the working directory; the true folder of a name is the PARENT's inode, which goes along
as ``parent_dev`` and ``parent_inode`` for the correlation to resolve. Facts of the records are in the project's facts on nametypes:
a rename over a file has two DELETE items, the CREATE item carries the moved inode; a denied call shows DELETE and CREATE too.
"""

import errno
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from fimkit.audit.calls import CALLS, Call, Family, opens_for_writing, opens_tmpfile
from fimkit.model.changes import Action, Actor, Change, Note, NoteKind, Source
from fimkit.model.open_changes import OpenActor, OpenChange
from fimkit.model.paths import join_path, render_path
from fimkit.model.records import AuditEvent, AuditProcess, NameType, PathItem

__all__ = ["AuditChanges", "PartChanges", "render_command"]

_AT_FDCWD = {0xFFFFFF9C, 0xFFFFFFFFFFFFFF9C}
_NO_ID = {0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}
_DENIED = {errno.EACCES: "EACCES", errno.EPERM: "EPERM", errno.EROFS: "EROFS"}
_ENABLED = re.compile(rb"\bop=set audit_enabled=(\d+) old=(\d+)")
_RULE = re.compile(rb"\bop=(add_rule|remove_rule)\b.*?(?:\bkey=(\S+))?(?: list=\d+)")
_AUID = re.compile(rb"\bauid=(\d+)")
_CLOCK_CALLS = frozenset({"clock_settime", "clock_settime64", "settimeofday", "stime"})
_BARE = re.compile(r"[\w@%+=:,./-]+")
_LIVE_IN_QUOTES = frozenset('"$`\\!')
_SIMPLE_ACTIONS = {
    Family.TRUNCATE: Action.OPENED,
    Family.MODE: Action.MODE,
    Family.OWNER: Action.OWNER,
    Family.XATTRS: Action.XATTRS,
    Family.TIMES: Action.TIMES,
}
_NAMED = {
    Family.MAKE: (NameType.CREATE, Action.BORN),
    Family.LINK: (NameType.CREATE, Action.LINKED),
    Family.UNLINK: (NameType.DELETE, Action.UNLINKED),
}
_KNOWN_TASKS = 65536
_KNOWN_MAKERS = 4096


def render_command(arguments: tuple[bytes, ...]) -> str:
    r"""Write a command line as text that a shell would read back, with names as in paths.

    >>> print(render_command((b"/bin/sh", b"-c", b"echo 'x' >> app.conf")))
    /bin/sh -c "echo 'x' >> app.conf"
    >>> print(render_command((b"a\xff\n", b"")))
    a%FF%0A ''
    """
    return " ".join(map(_quote, map(render_path, arguments)))


def _quote(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    return f'"{text}"' if "'" in text and not _LIVE_IN_QUOTES.intersection(text) else shlex.quote(text)


@lru_cache(maxsize=4096)
def _proctitle(raw: bytes) -> str:
    """Write a command line as text; a program that changes a thousand files has one."""
    parts = tuple(raw.rstrip(b"\0").split(b"\0"))
    return render_path(parts[0]) if len(parts) == 1 else render_command(parts)


class _Maker(NamedTuple):
    """What all events of one process object have in common; ``argv`` is its EXECVE's, of this event or an earlier one."""

    process: AuditProcess
    argv: tuple[bytes, ...] | None
    user: str | None
    cmdline: str | None
    tty: str | None


class _Of(NamedTuple):
    """What all changes of one event have in common."""

    event: AuditEvent
    time_ns: int
    actor: Actor | None
    node: str | None


class AuditChanges:
    """Reads events in their order; remembers the command lines of EXECVE records.

    Args:
        user_of: Names a user id where the log does not (RAW format); ``None`` on a host that is not the log's own.
    """

    def __init__(self, user_of: Callable[[int], str | None] | None = None) -> None:
        """Start with no command line known."""
        self._user_of = user_of
        self._commands: dict[int, tuple[bytes | None, tuple[bytes, ...]]] = {}
        self._makers: dict[int, _Maker] = {}
        self._last: _Of | None = None

    @property
    def commands(self) -> dict[int, tuple[bytes | None, tuple[bytes, ...]]]:
        """The programs and arguments that processes were last started with, by pid."""
        return self._commands

    def has_room(self, commands: Mapping[int, tuple[bytes | None, tuple[bytes, ...]]]) -> bool:
        """Tell whether nothing need be forgotten to take more."""
        return len(self._commands) + len(commands) < _KNOWN_TASKS

    def learn_commands(self, commands: Mapping[int, tuple[bytes | None, tuple[bytes, ...]]]) -> None:
        """Take what a later part of the log tells of processes, where :meth:`has_room` for it."""
        self._commands.update(commands)

    def pass_over(self, event: AuditEvent) -> None:
        """Take an event whose changes matter to nobody: of a started program the command line is kept."""
        call = CALLS.get(event.syscall) if event.syscall is not None else None
        if call is not None and call.family is Family.EXEC:
            self._remember_command(event)

    def changes_of(self, event: AuditEvent) -> Iterator[Change]:
        """Give the changes of one event; none where its call changes no file."""
        self._last = None
        call = CALLS.get(event.syscall) if event.syscall is not None else None
        if call is None:
            if event.syscall is None and event.items:
                yield from self._callless(event)
            return
        if call.family is Family.EXEC:
            self._remember_command(event)
            return
        if event.success is False or (event.success is None and (event.exit or 0) < 0):
            yield from self._denied(event, call)
            return
        yield from self._done(event, call)

    def notes_of(self, event: AuditEvent) -> Iterator[Note]:
        """Give what an event says of auditing itself."""
        time_ns = event.event_id.time_ms * 1_000_000

        def note(kind: NoteKind, text: str) -> Note:
            return Note(source=Source.AUDIT, kind=kind, time_ns=time_ns, text=text)

        if event.items_expected is not None and len(event.items) < event.items_expected:
            who = f" by pid {event.process.pid}" if event.process else ""
            yield note(
                NoteKind.INCOMPLETE,
                f"event {_event_text(event)}{who} has {len(event.items)} of {event.items_expected} PATH records",
            )
        if event.items and event.syscall is None:
            yield note(NoteKind.INCOMPLETE, f"event {_event_text(event)} has no record of its system call")
        for kind, body in event.extra:
            if kind == "DAEMON_START":
                yield note(NoteKind.LOG_STARTED, "auditd started")
            elif kind in ("DAEMON_END", "DAEMON_ABORT"):
                yield note(NoteKind.LOG_ENDED, "auditd stopped" + (self._by(event, body) if kind == "DAEMON_END" else " by itself"))
            elif kind == "TIME_INJOFFSET":
                yield note(NoteKind.CLOCK_STEPPED, f"the clock was stepped{self._by(event, body)}")
            elif kind == "CONFIG_CHANGE" and (match := _ENABLED.search(body)):
                now, old = (int(group) for group in match.groups())
                if bool(now) != bool(old):
                    yield note(
                        NoteKind.AUDIT_ENABLED if now else NoteKind.AUDIT_DISABLED,
                        f"auditing was switched {'on' if now else 'off'}{self._by(event, body)}",
                    )
            elif kind == "CONFIG_CHANGE" and (rule := _RULE.search(body)):
                verb = "added" if rule[1] == b"add_rule" else "removed"
                key = render_path((rule[2] or b"(null)").strip(b'"'))
                yield note(NoteKind.RULES_CHANGED, f"an audit rule with key {key} was {verb}{self._by(event, body)}")
        if event.syscall in _CLOCK_CALLS and event.success:
            yield note(NoteKind.CLOCK_STEPPED, f"the clock was set{self._by(event, b'')}")

    def _by(self, event: AuditEvent, body: bytes) -> str:
        """Say who did something to auditing, as well as the event tells, and which event that is."""
        process, auid = event.process, _AUID.search(body)
        number = process.auid if process is not None else int(auid[1]) if auid is not None else None
        words = []
        if number is not None and number not in _NO_ID:
            user = self._user_of(number) if self._user_of is not None else None
            words.append(f"auid {number}" + (f" ({user})" if user else ""))
        if process is not None and process.exe is not None:
            words.append(f"{render_path(process.exe)}, pid {process.pid}")
        who = f" by {', '.join(words)}" if words else ""
        return f"{who} (event {_event_text(event)})"

    def actor_of(self, event: AuditEvent) -> Actor | None:
        """Give who made an event, whatever its call; ``None`` where no record says so. Events are to come in their order."""
        self.pass_over(event)
        return self._actor(event)

    def _remember_command(self, event: AuditEvent) -> None:
        process = event.process
        if event.success is not False and process is not None and process.pid is not None and process.argv:
            if len(self._commands) >= _KNOWN_TASKS:
                self._commands.clear()
            self._commands[process.pid] = (process.exe, process.argv)

    def _common(self, event: AuditEvent) -> _Of:
        """Give what the changes of the event that is being read, of a rename up to three, have in common."""
        if self._last is None or self._last.event is not event:
            node = None if event.node is None else render_path(event.node)
            self._last = _Of(event, event.event_id.time_ms * 1_000_000, self._actor(event), node)
        return self._last

    def _actor(self, event: AuditEvent) -> Actor | None:
        process = event.process
        if process is None:
            return None
        pid, ppid, auid, uid, _, euid, ses, _, comm, exe, _, argv, _, _ = process
        if argv is None and pid is not None:
            argv = self._started(pid, exe)
        maker = self._makers.get(id(process))  # the parser gives the events of one process the same object
        if maker is None or maker.process is not process or maker.argv is not argv:
            maker = self._learn(process, argv)
        user = maker.user
        if user is None and self._user_of is not None and (number := auid if auid is not None else uid) is not None:
            user = self._user_of(number)
        time_ms, serial = event.event_id
        made = OpenActor(
            auid, uid, euid, user, pid, ppid, exe, comm, maker.cmdline, argv is not None, maker.tty, ses, event.syscall,
            time_ms * 1_000_000, f"{time_ms // 1000}.{time_ms % 1000:03d}:{serial}",
        )  # fmt: skip
        made.__class__ = Actor
        actor: Actor = made
        return actor

    def _started(self, pid: int, exe: bytes | None) -> tuple[bytes, ...] | None:
        """Give the arguments with which a process was started, where its program still is the same."""
        started = self._commands.get(pid)
        return started[1] if started is not None and started[0] == exe else None

    def _learn(self, process: AuditProcess, argv: tuple[bytes, ...] | None) -> _Maker:
        cmdline: str | None = None
        if argv is not None:
            cmdline = render_command(argv)
        elif process.proctitle is not None:
            cmdline = _proctitle(process.proctitle)
        logged = process.auid_name if process.auid is not None else process.uid_name
        maker = _Maker(
            process=process,  # held, so that no other object can have its id
            argv=argv,
            user=None if logged is None or logged.startswith(b"unknown(") else render_path(logged),  # auditd's word for no name
            cmdline=cmdline,
            tty=None if process.tty in (None, b"(none)") else render_path(process.tty),
        )
        if len(self._makers) >= _KNOWN_MAKERS:
            self._makers.clear()
        self._makers[id(process)] = maker
        return maker

    def _denied(self, event: AuditEvent, call: Call) -> Iterator[Change]:
        error = _DENIED.get(-(event.exit or 0))
        if error is None or (call.family is Family.OPEN and not _may_write(event, call, creates=True)):
            return
        for item in event.items:
            if item.nametype is NameType.PARENT or (
                call.family in (Family.MAKE, Family.LINK) and item.nametype is not NameType.CREATE
            ):
                continue
            yield self._change(event, call, item, Action.DENIED, error=error)

    def _done(self, event: AuditEvent, call: Call) -> Iterator[Change]:
        # io_uring workers list a name that they looked up in vain as a CREATE without an inode
        own = [item for item in event.items if item.nametype not in (NameType.PARENT, NameType.UNKNOWN) and item.inode is not None]
        if call.family is Family.OPEN:
            yield from self._opened(event, call, own)
        elif call.family is Family.RENAME:
            yield from self._renamed(event, call, own)
        elif call.family in _SIMPLE_ACTIONS:
            for item in own:
                yield self._change(event, call, item, _SIMPLE_ACTIONS[call.family])
        else:
            wanted, action = _NAMED[call.family]
            for item in own:
                if item.nametype is wanted:
                    yield self._change(event, call, item, action)
        if (event.items_expected is not None and len(event.items) < event.items_expected) or _is_nameless(event):
            yield from self._lost(event, call, own)

    def _opened(self, event: AuditEvent, call: Call, own: list[PathItem]) -> Iterator[Change]:
        flags = _open_flags(event, call)
        for item in own:
            if item.nametype is NameType.CREATE:
                yield self._change(event, call, item, Action.BORN)
            elif flags is not None and opens_tmpfile(flags) and not stat.S_ISDIR(item.mode or 0):
                # the item has the folder's name, and the new file's inode
                yield self._change(event, call, item._replace(name=None), Action.BORN)
            elif _may_write(event, call):
                yield self._change(event, call, item, Action.OPENED)

    def _renamed(self, event: AuditEvent, call: Call, own: list[PathItem]) -> Iterator[Change]:
        arrived = {(item.dev, item.inode) for item in own if item.nametype is NameType.CREATE}
        gone = [item for item in own if item.nametype is NameType.DELETE]
        if not arrived and gone:  # the new name's record was lost: the kernel lists the old name before what it replaced
            first = min(gone, key=lambda item: item.item)
            arrived = {(first.dev, first.inode)}
        for item in own:
            cookie = f"{_event_text(event)}/{item.inode}"
            if item.nametype is NameType.CREATE:
                yield self._change(event, call, item, Action.MOVED_TO, cookie=cookie)
            elif item.nametype is NameType.DELETE and (item.dev, item.inode) in arrived:
                yield self._change(event, call, item, Action.MOVED_FROM, cookie=cookie)
            elif item.nametype is NameType.DELETE:
                yield self._change(event, call, item, Action.UNLINKED)

    def _lost(self, event: AuditEvent, call: Call, own: list[PathItem]) -> Iterator[Change]:
        if (own and call.family is not Family.RENAME) or (call.family is Family.OPEN and not _may_write(event, call, creates=True)):
            return
        parents = [item for item in event.items if item.nametype is NameType.PARENT]
        for item in parents or [PathItem(0, None, None, None, None, None, None, NameType.UNKNOWN)]:
            change = self._change(event, call, item, Action.LOST)
            yield replace(change, dev=None, inode=None, parent_dev=item.dev, parent_inode=item.inode)

    def _callless(self, event: AuditEvent) -> Iterator[Change]:
        """Tell of files that something was done to, where the record of what and by whom was lost."""
        for item in event.items:
            change = self._change(event, Call(Family.OPEN), item, Action.LOST)
            if item.nametype is NameType.PARENT:
                change = replace(change, dev=None, inode=None, parent_dev=item.dev, parent_inode=item.inode)
            yield change

    def _change(
        self, event: AuditEvent, call: Call, item: PathItem, action: Action, *, cookie: str | None = None, error: str | None = None
    ) -> Change:
        path, sure = _named(event, call, item)
        parent = None if action is Action.LOST else _parent_of(event, item)
        new_mode, uid, gid = _asked(event, call, item, action)
        of = self._common(event)
        number, _, inode, dev, mode, _, _, _ = item
        made = OpenChange(
            Source.AUDIT, action, of.time_ns, event.event_id.serial, number, path, sure, dev, inode,
            None if parent is None else parent.dev, None if parent is None else parent.inode, mode, new_mode, of.actor, cookie,
            error, None, uid, gid, None, None, of.node, False, None,
        )  # fmt: skip
        made.__class__ = Change
        change: Change = made
        return change


class PartChanges(AuditChanges):
    """Reads a part of a log, of which what was started before is told later.

    ``unsure`` are the processes (pid and program) whose start would be in an earlier part. ``is_mixed`` says that one of them is
    also one whose start is known not to be theirs, or that starts were forgotten: then only a reading of all can tell.
    """

    def __init__(self, user_of: Callable[[int], str | None] | None = None) -> None:
        """Begin with no command line known."""
        super().__init__(user_of)
        self.unsure: set[tuple[int, bytes | None]] = set()
        self.is_mixed = False

    def _started(self, pid: int, exe: bytes | None) -> tuple[bytes, ...] | None:
        found = super()._started(pid, exe)
        if found is None:
            if pid not in self._commands:
                self.unsure.add((pid, exe))
            elif (pid, exe) in self.unsure:
                self.is_mixed = True
        return found

    def _remember_command(self, event: AuditEvent) -> None:
        self.is_mixed = self.is_mixed or len(self._commands) >= _KNOWN_TASKS
        super()._remember_command(event)


def _event_text(event: AuditEvent) -> str:
    seconds, millis = divmod(event.event_id.time_ms, 1000)
    return f"{seconds}.{millis:03d}:{event.event_id.serial}"


def _is_nameless(event: AuditEvent) -> bool:
    """Tell whether an io_uring worker did something to a file of the tree that it does not name (``items=0``)."""
    return not event.items and event.syscall is not None and event.syscall.startswith("io_uring:")


def _open_flags(event: AuditEvent, call: Call) -> int | None:
    if event.openat2_flags is not None:
        return event.openat2_flags
    if call.flags is not None and call.flags < len(event.args):
        return event.args[call.flags]
    return None


def _may_write(event: AuditEvent, call: Call, *, creates: bool = False) -> bool:
    flags = _open_flags(event, call)
    return flags is None or opens_for_writing(flags) or (creates and bool(flags & os.O_CREAT))


def _named(event: AuditEvent, call: Call, item: PathItem) -> tuple[bytes | None, bool]:
    if item.name is None:
        return None, False
    if item.name.startswith(b"/"):
        return join_path(b"/", item.name), True
    if event.cwd is None:
        return None, False
    sure = all(0 <= place < len(event.args) and event.args[place] in _AT_FDCWD for place in call.dirfds)
    return join_path(event.cwd, item.name), sure


def _parent_of(event: AuditEvent, item: PathItem) -> PathItem | None:
    """Find the PARENT of a CREATE or DELETE item: by its name, never by its position (a rename lists them as new, old)."""
    if item.nametype is not NameType.CREATE and item.nametype is not NameType.DELETE:
        return None
    parents = [other for other in event.items if other.nametype is NameType.PARENT]
    if not parents:
        return None
    if len(parents) == 1:
        return parents[0]
    if len({(parent.dev, parent.inode) for parent in parents}) == 1:
        return parents[0]
    if item.name is None or event.cwd is None:
        return None
    folder = join_path(event.cwd, item.name).rpartition(b"/")[0] or b"/"
    same = {
        (parent.dev, parent.inode): parent
        for parent in parents
        if parent.name is not None and join_path(event.cwd, parent.name) == folder
    }
    return next(iter(same.values())) if len(same) == 1 else None


def _asked(event: AuditEvent, call: Call, item: PathItem, action: Action) -> tuple[int | None, int | None, int | None]:
    """Give the mode, uid and gid that the call asked for, or that a new file got."""
    if action is Action.BORN:
        return (None if item.mode is None else item.mode & 0o7777), item.ouid, item.ogid
    if call.mode is not None and call.mode < len(event.args):
        return event.args[call.mode] & 0o7777, None, None
    if call.owner is not None and call.owner + 1 < len(event.args):
        uid, gid = event.args[call.owner : call.owner + 2]
        return None, (None if uid in _NO_ID else uid & 0xFFFFFFFF), (None if gid in _NO_ID else gid & 0xFFFFFFFF)
    return None, None, None
