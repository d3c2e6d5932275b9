r"""The fast way through the commonest event, SYSCALL [CWD] PATH… PROCTITLE in one run, and the memory it works with. Pure.

One expression takes a whole event at a time and leaves the scanning to C; any other line is its last branch, so that nothing is
stepped over. What repeats in a log (a process, a folder, a device with its mode) is decoded once and looked up after that: each
memory fills itself through :mod:`fimkit.audit.draft`, the exact way, and raises its RecordError. What the expression or a memory
refuses is not an error yet: the exact way reads those lines again, and its word counts. The two give equal events (tested).
"""

import re
from collections.abc import Callable
from typing import TypeVar

from fimkit.audit.draft import decode_caller, decode_path, decode_text, is_of_a_call
from fimkit.audit.fields import NO_ID, decode_name
from fimkit.model.errors import RecordError
from fimkit.model.records import AuditProcess, NameType, PathItem

__all__ = [
    "BLOCK",
    "COUNTS",
    "FIRST_ITEMS",
    "TYPES",
    "TYPES_EXECVE",
    "TYPES_OPENAT2",
    "TYPES_WITHOUT_CWD",
    "Block",
    "Head",
    "Memories",
    "Memory",
    "Rest",
    "User",
    "Who",
    "block_lines",
    "single_kind",
]

Block = tuple[bytes, ...]
"""The groups of one match of :data:`BLOCK`."""

Rest = tuple[int | None, int | None, int | None, int | None, NameType]
"""What a PATH record says after the inode: dev, mode, ouid, ogid, nametype."""

Who = tuple[AuditProcess, bytes | None, str | None]
"""The process, the rule's key, and the call's name where the log has it resolved."""

Ids = tuple[int | None, int, int, int, int | None]
Texts = tuple[bytes | None, bytes | None, bytes | None]
User = tuple[Ids, Texts, tuple[bytes | None, bytes | None], bytes | None, str | None]
"""What a process shares with others: auid to ses; tty, comm, exe; resolved names; the rule's key; the call's resolved name."""

Head = tuple[str, int | None, bool | None, int | None]
"""The call's name by its number, the architecture, success, exit."""

MEMORY_SIZE = 1024
"""Measured: what repeats does so soon, and a larger memory falls out of the processor's cache."""

Key = TypeVar("Key", bound=bytes | tuple[bytes, ...])
Value = TypeVar("Value")

# Single classes repeat possessively, groups do not: Python before 3.11.5 goes on behind a possessive group that failed half-way.
_SAME = rb"msg=audit\(\2\): "
_ITEM = rb'name=(?:"([^" \n\x1d]*+)"|([^" \n\x1d]++)) inode=([0-9]{1,18}+) (dev=[^\n]*+)'
_HEX = rb"[0-9a-f]{1,16}+"

BLOCK = re.compile(
    rb"((?:node=[^ \n]++ )?)type=SYSCALL msg=audit\((([1-8][0-9]{9}\.[0-9]{3}):([0-9]{1,18}+))\): "
    rb"(arch=[^ \n]++ syscall=[^ \n]++(?: success=[^ \n]++ exit=[^ \n]++)?)"
    rb" (a0=" + _HEX + rb" a1=" + _HEX + rb" a2=" + _HEX + rb" a3=" + _HEX + rb") items=([0-9]++) (ppid=[^\n]++)\n"
    rb"(?:\1type=CWD " + _SAME + rb"([^\n]++)\n)?"
    rb"(?:\1type=PATH " + _SAME + rb"(item=0 [^\n]++)\n(?:\1type=PATH " + _SAME + rb"item=1 " + _ITEM + rb"\n)?)?"
    rb"((?:\1type=PATH " + _SAME + rb"[^\n]*+\n)*)"
    rb"(?:\1type=PROCTITLE " + _SAME + rb"([^\n]++)\n)?"
    rb"|([^\n]*+)\n"
)
"""One event in one run of lines, or one line. Groups: node with its blank, stamp, time, serial, the call's head, its arguments,
items, the process, cwd, the first PATH, the second's quoted name, bare name, inode and rest, further PATH lines, proctitle; any
other line."""

_PATH = re.compile(rb"item=([0-9]{1,4}+) " + _ITEM)

COUNTS = {b"%d" % count: count for count in range(64)}
"""``items=`` of what goes the fast way. The most that one call has is 6."""

FIRST_ITEMS = [list(range(count)) for count in range(len(COUNTS))]

TYPES = [("SYSCALL", "CWD", *("PATH",) * count, "PROCTITLE") for count in range(len(COUNTS))]
TYPES_WITHOUT_CWD = [("SYSCALL", *("PATH",) * count, "PROCTITLE") for count in range(len(COUNTS))]
TYPES_EXECVE = [("SYSCALL", "EXECVE", *types[1:]) for types in TYPES]
TYPES_OPENAT2 = [("SYSCALL", "OPENAT2", *types[1:]) for types in TYPES]

_NO_ID = b"%d" % NO_ID
_TEXT = rb'("[^" \x1d]*+"|[0-9A-F]++|\(null\))'
_ID = rb"(4294967295|[0-9]{1,9}+)"
_USER = re.compile(
    rb"auid=" + _ID + rb" uid=" + _ID + rb" gid=" + _ID + rb" euid=" + _ID
    + rb" suid=[0-9]++ fsuid=[0-9]++ egid=[0-9]++ sgid=[0-9]++ fsgid=[0-9]++ tty=([^ \x1d]++) ses=" + _ID
    + rb" comm=" + _TEXT + rb" exe=" + _TEXT + rb"(?: subj=[^ \x1d]++(?: \([a-z]++\))?)? key=" + _TEXT
    + rb'(?:\x1dARCH=[^ ]++ SYSCALL=(?!unknown)([a-z0-9_]++) AUID="([^"]*+)" UID="([^"]*+)"(?: .*+)?)?',
    re.DOTALL,
)

def block_lines(block: Block) -> list[bytes]:
    """Give the lines that a match of :data:`BLOCK` was made of, for the exact way."""
    node, stamp, _, _, head, args, items, process, cwd, first, quoted, bare, inode, rest, more, title, other = block
    if not stamp:
        return [other]
    prefix, suffix = node + b"type=", b" msg=audit(" + stamp + b"): "
    lines = [b"%bSYSCALL%b%b %b items=%b %b" % (prefix, suffix, head, args, items, process)]
    if cwd:
        lines.append(b"%bCWD%b%b" % (prefix, suffix, cwd))
    if first:
        lines.append(b"%bPATH%b%b" % (prefix, suffix, first))
    if inode:
        lines.append(b"%bPATH%bitem=1 name=%b inode=%b %b" % (prefix, suffix, bare or b'"%b"' % quoted, inode, rest))
    lines += more.split(b"\n")[:-1]
    if title:
        lines.append(b"%bPROCTITLE%b%b" % (prefix, suffix, title))
    return lines


def single_kind(kind: bytes) -> tuple[str]:
    """Give the types of an event that one record of this type makes by itself.

    Raises:
        RecordError: If a record of this type is one of several that make an event.

    >>> single_kind(b"USER_LOGIN")
    ('USER_LOGIN',)
    """
    name = kind.decode("ascii")
    if is_of_a_call(name):
        raise RecordError("a record that only the exact way joins to its event")
    return (name,)


class Memory(dict[Key, Value]):
    """Results by their text; what is wrong raises, and is not kept. Full, it empties itself; an unusually long text is not kept."""

    __slots__ = ("compute",)

    def __init__(self, compute: Callable[[Key], Value]) -> None:
        """Take what to compute on a miss."""
        super().__init__()
        self.compute = compute

    def __missing__(self, key: Key) -> Value:
        """Compute, and keep."""
        value = self.compute(key)
        if len(key) <= 8192:
            if len(self) >= MEMORY_SIZE:
                self.clear()
            self[key] = value
        return value


class Memories:
    """The memories of one assembler."""

    __slots__ = ("args", "cwds", "heads", "names", "paths", "processes", "rests", "titles", "users")

    def __init__(self) -> None:
        """Begin empty."""
        self.heads: Memory[bytes, Head] = Memory(_head)
        self.args: Memory[bytes, tuple[int, ...]] = Memory(_args)
        self.paths: Memory[bytes, PathItem] = Memory(self._path)
        self.processes: Memory[tuple[bytes, bytes], Who] = Memory(self._who)
        self.users: Memory[bytes, User] = Memory(self._user)
        self.titles: Memory[bytes, bytes | None] = Memory(_title)
        self.cwds: Memory[bytes, bytes | None] = Memory(_cwd)
        self.names: Memory[bytes, bytes | None] = Memory(decode_name)
        self.rests: Memory[bytes, Rest] = Memory(_rest)

    def _path(self, body: bytes) -> PathItem:
        match = _PATH.fullmatch(body)
        if match is None:
            return decode_path(body)
        item, quoted, bare, inode, rest = match.groups()
        name = quoted if bare is None else self.names[bare]
        return tuple.__new__(PathItem, (int(item), name, int(inode)) + self.rests[rest])

    def _who(self, key: tuple[bytes, bytes]) -> Who:
        parent, own, user = key[0].split(b" ", 2)
        plain = own[:4] == b"pid=" and own[4:].isdigit() and parent[5:].isdigit() and len(own) < 14 and len(parent) < 15
        if not plain or len(user) > 8192:
            raise RecordError("a process that only the exact way reads")
        ids, terminal, resolved, rule_key, call = self.users[user]
        title = self.titles[key[1]]
        process = tuple.__new__(AuditProcess, (int(own[4:]), int(parent[5:]), *ids, *terminal, title, None, *resolved))
        return process, rule_key, call

    def _user(self, fields: bytes) -> User:
        match = _USER.fullmatch(fields)
        if match is None:
            raise RecordError("a process that only the exact way reads")
        auid, uid, gid, euid, tty, ses, comm, exe, rule_key, call, auid_name, uid_name = match.groups()
        session = None if ses == _NO_ID else int(ses)
        return (
            (None if auid == _NO_ID else int(auid), int(uid), int(gid), int(euid), session),
            (None if tty == b"(none)" else tty, decode_name(comm), decode_name(exe)),
            (None if auid_name == b"unset" else auid_name, None if uid_name == b"unset" else uid_name),
            decode_name(rule_key),
            call.decode("ascii") if call else None,
        )


def _head(head: bytes) -> Head:
    return decode_caller("SYSCALL", head + b" pid=0")[:4]


def _args(args: bytes) -> tuple[int, ...]:
    a0, a1, a2, a3 = args.split(b" ")
    return int(a0[3:], 16), int(a1[3:], 16), int(a2[3:], 16), int(a3[3:], 16)


def _title(body: bytes) -> bytes | None:
    if body.startswith(b"proctitle=") and b" " not in body:
        return decode_name(body[10:])
    return decode_text("PROCTITLE", "proctitle", body)


def _cwd(body: bytes) -> bytes | None:
    return decode_text("CWD", "cwd", body)


def _rest(rest: bytes) -> Rest:
    return decode_path(b"item=0 name=(null) inode=0 " + rest)[3:]
