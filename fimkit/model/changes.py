"""A change is one source's claim that a path changed. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from fimkit.model.states import FileKey, FileState

__all__ = ["NAMINGS", "Action", "Actor", "Change", "Note", "NoteKind", "Source", "StateDiff", "end_of", "left_out", "place_of"]


class Source(StrEnum):
    """Who claims a change."""

    SCAN = "scan"
    AUDIT = "audit"
    OSQUERY = "osquery"


class Action(StrEnum):
    """What was done to one name or inode."""

    BORN = "born"              # a new inode got its first name (open O_CREAT, mkdir, mknod, symlink, O_TMPFILE without name)
    OPENED = "opened"          # an existing file was opened for writing, or truncated by path
    LINKED = "linked"          # an existing inode got one more name
    UNLINKED = "unlinked"      # a name went away
    MOVED_FROM = "moved_from"  # an inode left this name by a rename
    MOVED_TO = "moved_to"      # an inode got this name by a rename
    MODE = "mode"
    OWNER = "owner"
    XATTRS = "xattrs"
    TIMES = "times"
    UPDATED = "updated"        # osquery: bytes were written
    ATTRIBUTES = "attributes"  # osquery: some attribute, it does not say which
    DENIED = "denied"          # a try that failed with EACCES, EPERM or EROFS
    LOST = "lost"              # a call in this folder whose PATH record of the file itself is missing


NAMINGS = frozenset({Action.BORN, Action.LINKED, Action.UNLINKED, Action.MOVED_TO, Action.MOVED_FROM})
"""A file got or lost a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A process that did something, as the contract's ``actors`` have it. ``event`` is ``SEC.MS:SERIAL``."""

    auid: int | None
    uid: int | None
    euid: int | None
    user: str | None
    pid: int | None
    ppid: int | None
    exe: bytes | None
    comm: bytes | None
    cmdline: str | None
    cmdline_verified: bool
    tty: str | None
    ses: int | None
    syscall: str | None
    time_ns: int
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One claim of audit or osquery. The scan's claims are :class:`StateDiff`.

    ``path`` is as the source names it, absolute; ``path_sure`` is false where the source is known to be able to err (a relative
    name with a real dirfd): the parent's key and the last component decide then. ``serial`` and ``item`` order what shares a time.
    ``mode`` has the type bits and is the one at the call; ``new_mode`` (12 bits), ``uid`` and ``gid`` are what the call asked for
    (for BORN: what the file got). ``cookie`` joins the two halves of a rename (audit: event and inode; osquery: transaction_id).
    ``error`` is the name of a denied try's errno. ``node`` is the host in the source's words, where it says one. ``hash_late``:
    the hash was taken by fimkit later than the source looked, and need not be what was there then. ``last_ns`` is the time of the
    last of several claims that say the same and were made one.
    """

    source: Source
    action: Action
    time_ns: int
    serial: int = 0
    item: int = 0
    path: bytes | None = None
    path_sure: bool = True
    dev: int | None = None
    inode: int | None = None
    parent_dev: int | None = None
    parent_inode: int | None = None
    mode: int | None = None
    new_mode: int | None = None
    actor: Actor | None = None
    cookie: str | None = None
    error: str | None = None
    sha256: str | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime_ns: int | None = None
    node: str | None = None
    hash_late: bool = False
    last_ns: int | None = None


def place_of(change: Change) -> tuple[int, int, int]:
    """Give the place of a change in their order: its time, its event's serial number, and its place among the event's items."""
    return change.time_ns, change.serial, change.item


def end_of(change: Change) -> int:
    """Give the time of the last of those that a change stands for."""
    return change.time_ns if change.last_ns is None else change.last_ns


def left_out(first_ns: int, last_ns: int, key: FileKey | None = None) -> Change:
    """Stand for changes that are not at hand: whoever judges that time knows that another may have had a part.

    Args:
        first_ns: The time of the first of them.
        last_ns: And of the last.
        key: The file that they are about; ``None``: any.
    """
    dev, inode = (None, None) if key is None else (key.dev, key.inode)
    return Change(source=Source.AUDIT, action=Action.LOST, time_ns=first_ns, last_ns=last_ns, dev=dev, inode=inode)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDiff:
    """The scan's claim: this path differs between two snapshots. One of the two states may be absent."""

    path: bytes
    before: FileState | None
    after: FileState | None
    changed: tuple[str, ...]


class NoteKind(StrEnum):
    """What a source says of itself, and not of a path."""

    AUDIT_ENABLED = "audit_enabled"
    AUDIT_DISABLED = "audit_disabled"
    RULES_CHANGED = "rules_changed"
    RECORDS_LOST = "records_lost"
    INCOMPLETE = "incomplete"
    LOG_STARTED = "log_started"
    LOG_ENDED = "log_ended"
    CLOCK_STEPPED = "clock_stepped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that bears on what a source could see."""

    source: Source
    kind: NoteKind
    time_ns: int
    text: str
