"""One event while its records come in: what each type of record says, joined. Pure."""

import re
from collections.abc import Callable
from typing import NamedTuple

from fimkit.audit.fields import (
    cut_enrichment,
    decode_device,
    decode_id,
    decode_name,
    decode_number,
    decode_signed,
    parse_fields,
    parse_header,
)
from fimkit.audit.syscalls import io_uring_name, syscall_name
from fimkit.model.errors import RecordError, clip
from fimkit.model.records import AuditEvent, AuditProcess, EventId, NameType, PathItem

__all__ = ["CALL_TYPES", "Caller", "Draft", "Held", "RawLine", "decode_caller", "decode_path", "decode_text", "is_of_a_call"]

CALL_TYPES = frozenset({"SYSCALL", "URINGOP"})
MAX_ARGUMENTS = 65536
"""More than one EXECVE's records can list: 2 MiB of arguments, of which auditd keeps a line's 8 KiB each."""

MAX_RECORDS = 4096
"""More than any event has: what goes on under one stamp is garbage, and must not fill the memory."""

_OF_A_CALL = frozenset({"CWD", "PATH", "PROCTITLE", "EXECVE", "OPENAT2"})
_ARGUMENT = re.compile(r"a([0-9]{1,7})(?:\[([0-9]{1,7})\])?")
_NAME_TYPES = {name.value.encode(): name for name in NameType}
_SUCCESS = {b"yes": True, b"no": False}


class RawLine(NamedTuple):
    """A line as it was read, with its place."""

    file: str
    line: int
    text: bytes


class Caller(NamedTuple):
    """What one SYSCALL or URINGOP record says; ``call`` is the call's name. The process lacks ``proctitle`` and ``argv``."""

    call: str
    arch: int | None
    success: bool | None
    exit: int | None
    args: tuple[int, ...]
    key: bytes | None
    items_expected: int | None
    process: AuditProcess


class _Record:
    """Raw fields of one record, asked one by one."""

    __slots__ = ("fields", "kind")

    def __init__(self, kind: str, body: bytes) -> None:
        self.kind = kind
        self.fields = parse_fields(body)

    def need(self, name: str) -> bytes:
        try:
            return self.fields[name]
        except KeyError:
            raise RecordError(f"no {name}= in a {self.kind} record; is the line cut short?") from None

    def number(self, name: str, *, base: int = 10, bits: int = 64) -> int | None:
        raw = self.fields.get(name)
        return None if raw is None else decode_number(raw, base=base, bits=bits)

    def id(self, name: str) -> int | None:
        raw = self.fields.get(name)
        return None if raw is None else decode_id(raw)

    def text(self, name: str) -> bytes | None:
        raw = self.fields.get(name)
        return None if raw is None else decode_name(raw)

    def success(self) -> bool | None:
        raw = self.fields.get("success")
        if raw is not None and raw not in _SUCCESS:
            raise RecordError(f"no outcome in success={clip(raw)}; expected yes or no")
        return None if raw is None else _SUCCESS[raw]

    def exit(self) -> int | None:
        raw = self.fields.get("exit")
        return None if raw is None else decode_signed(raw)


def decode_text(kind: str, name: str, body: bytes) -> bytes | None:
    """Read the one text of a CWD or PROCTITLE record.

    Raises:
        RecordError: If it is missing or no text.

    >>> decode_text("CWD", "cwd", b'cwd="/root"')
    b'/root'
    """
    return decode_name(_Record(kind, body).need(name))


def decode_path(body: bytes) -> PathItem:
    """Read a PATH record.

    Raises:
        RecordError: If the item or its type is missing (the line is cut short), or a value is none.

    >>> decode_path(b'item=0 name="/srv/a" inode=9 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=CREATE').mode
    33188
    """
    record = _Record("PATH", body)
    nametype = _NAME_TYPES.get(record.need("nametype"))
    if nametype is None:
        raise RecordError(f"no type of name in nametype={clip(record.need('nametype'))}; expected one of {', '.join(NameType)}")
    device = record.fields.get("dev")
    return PathItem(
        decode_number(record.need("item"), bits=31),
        record.text("name"),
        record.number("inode"),
        None if device is None else decode_device(device),
        record.number("mode", base=8, bits=16),
        record.number("ouid", bits=32),
        record.number("ogid", bits=32),
        nametype,
    )


def decode_caller(kind: str, body: bytes) -> Caller:
    """Read a SYSCALL or a URINGOP record.

    Raises:
        RecordError: If the call or the process is missing (the line is cut short), or a value is none.
    """
    record = _Record(kind, body)
    resolved = parse_fields(cut_enrichment(body)[1])
    arch = record.number("arch", base=16, bits=32)
    return Caller(
        _call_name(record, arch, resolved),
        arch,
        record.success(),
        record.exit(),
        tuple(decode_number(record.fields[name], base=16) for name in ("a0", "a1", "a2", "a3") if name in record.fields),
        record.text("key"),
        record.number("items", bits=31),
        _process(record, resolved),
    )


def _call_name(record: _Record, arch: int | None, resolved: dict[str, bytes]) -> str:
    if record.kind == "URINGOP":
        return "io_uring:" + io_uring_name(decode_number(record.need("uring_op"), bits=32))
    number = decode_number(record.need("syscall"), bits=32)
    named = resolved.get("SYSCALL", b"")
    if named and named.isascii() and not named.startswith(b"unknown"):
        return named.decode("ascii")
    return syscall_name(arch or 0, number)


def _process(record: _Record, resolved: dict[str, bytes]) -> AuditProcess:
    tty = record.fields.get("tty")
    return AuditProcess(
        decode_number(record.need("pid"), bits=32),
        record.number("ppid", bits=32),
        record.id("auid"),
        record.number("uid", bits=32),
        record.number("gid", bits=32),
        record.number("euid", bits=32),
        record.id("ses"),
        None if tty == b"(none)" else tty,
        record.text("comm"),
        record.text("exe"),
        None,
        None,
        _resolved_name(resolved.get("AUID")),
        _resolved_name(resolved.get("UID")),
    )


def _resolved_name(raw: bytes | None) -> bytes | None:
    if raw is None:
        return None
    name = raw[1:-1] if raw[:1] == b'"' and raw[-1:] == b'"' and len(raw) > 1 else raw
    return None if name == b"unset" else name


class Draft:
    """The records of one event that have come in so far, in any order."""

    __slots__ = (
        "_argc", "_argv", "_caller", "_cwd", "_extra", "_file", "_items", "_line", "_node", "_oflag", "_operations", "_title",
        "_titled", "_types", "event_id", "raw",
    )

    def __init__(self, event_id: EventId, node: bytes | None, *, file: str, line: int) -> None:
        """Begin with nothing but the id and the first record's place."""
        self.event_id = event_id
        self.raw: list[RawLine] = []
        self._node = node
        self._file = file
        self._line = line
        self._types: list[str] = []
        self._caller: Caller | None = None
        self._operations: list[Caller] = []
        self._cwd: bytes | None = None
        self._items: list[PathItem] = []
        self._title: bytes | None = None
        self._titled = False
        self._argc: int | None = None
        self._argv: dict[int, dict[int, bytes]] = {}
        self._oflag: int | None = None
        self._extra: list[tuple[str, bytes]] = []

    @classmethod
    def reopen(cls, event: AuditEvent) -> "Draft":
        """Go on with a whole event of SYSCALL, CWD, PATH and PROCTITLE records, for which one more record has come."""
        draft = cls(event.event_id, event.node, file=event.file, line=event.line)
        draft._types = list(event.types)
        draft._cwd = event.cwd
        draft._items = list(event.items)
        if event.process is not None and event.syscall is not None:
            draft._title = event.process.proctitle
            draft._titled = "PROCTITLE" in event.types
            process = event.process._replace(proctitle=None)
            draft._caller = Caller(
                event.syscall, event.arch, event.success, event.exit, event.args, event.key, event.items_expected, process
            )
        return draft

    def accepts(self, kind: str) -> bool:
        """Tell whether one more record of this type can be of this event: a second SYSCALL is another event's."""
        return not (kind == "SYSCALL" and self._caller is not None) and len(self._types) < MAX_RECORDS

    @property
    def incomplete(self) -> bool:
        """Whether records are known to be missing: PATHs that ``items=`` counts, EXECVE's arguments, the SYSCALL itself."""
        if self._caller is None and not self._operations:
            return not _OF_A_CALL.isdisjoint(self._types)
        expected = self._items_expected()
        return (expected is not None and len(self._items) < expected) or (self._argc is not None and self._arguments() is None)

    @property
    def complete(self) -> bool:
        """Whether all is there that the kernel writes: it ends a call's records with PROCTITLE, an io_uring worker's with PATHs."""
        if self._caller is None:
            return bool(self._operations) and not self.incomplete
        return self._titled and not self.incomplete

    def add(self, kind: str, body: bytes) -> None:
        """Take one record in.

        Raises:
            RecordError: If it cannot be read; the draft is as before.
        """
        _READERS.get(kind, Draft._read_other)(self, kind, body)
        self._types.append(kind)

    def event(self) -> AuditEvent:
        """Join what is there."""
        if self._caller is None and not self._operations:
            return AuditEvent(
                self.event_id, self._node, tuple(self._types), None, None, None, None, (), None, None, self._cwd,
                self._sorted_items(), None, self._oflag, tuple(self._extra), self._file, self._line,
            )  # fmt: skip
        operation = self._operations[0] if self._operations else None
        caller = self._caller or operation
        main = operation or caller
        return AuditEvent(
            self.event_id,
            self._node,
            tuple(self._types),
            self._call_name(),
            caller.arch if caller else None,
            main.success if main else None,
            main.exit if main else None,
            main.args if main else (),
            self._key(),
            caller.process._replace(proctitle=self._title, argv=self._arguments()) if caller else None,
            self._cwd,
            self._sorted_items(),
            self._items_expected(),
            self._oflag,
            tuple(self._extra),
            self._file,
            self._line,
        )

    def _sorted_items(self) -> tuple[PathItem, ...]:
        return tuple(sorted(self._items, key=_item_number))

    def _call_name(self) -> str | None:
        # An operation that io_uring_enter ran at once is logged in that call's event, which names who it was; of several
        # different ones in one event nothing tells whose the paths are.
        if self._operations:
            names = dict.fromkeys(operation.call.removeprefix("io_uring:") for operation in self._operations)
            return "io_uring:" + "+".join(names)
        return self._caller.call if self._caller else None

    def _key(self) -> bytes | None:
        callers = [*self._operations, *([self._caller] if self._caller else [])]
        return next((caller.key for caller in callers if caller.key is not None), None)

    def _items_expected(self) -> int | None:
        if self._caller is not None:
            return self._caller.items_expected
        counts = [operation.items_expected for operation in self._operations if operation.items_expected is not None]
        return max(counts, default=None)

    def _arguments(self) -> tuple[bytes, ...] | None:
        if self._argc is None:
            return None
        whole: list[bytes] = []
        for number in range(self._argc):
            pieces = self._argv.get(number, {})
            if not pieces or any(piece not in pieces for piece in range(len(pieces))):
                return None
            whole.append(b"".join(pieces[piece] for piece in range(len(pieces))))
        return tuple(whole)

    def _read_caller(self, kind: str, body: bytes) -> None:
        caller = decode_caller(kind, body)
        if kind == "SYSCALL":
            self._caller = caller
        else:
            self._operations.append(caller)

    def _read_cwd(self, kind: str, body: bytes) -> None:
        self._cwd = decode_text(kind, "cwd", body)

    def _read_path(self, _kind: str, body: bytes) -> None:
        self._items.append(decode_path(body))

    def _read_title(self, kind: str, body: bytes) -> None:
        self._title = decode_text(kind, "proctitle", body)
        self._titled = True

    def _read_arguments(self, kind: str, body: bytes) -> None:
        # A long argument is cut into a1[0]=, a1[1]=, after a1_len=; a long list goes on in further EXECVE records without argc.
        record = _Record(kind, body)
        argc = record.number("argc", bits=31)
        if argc is not None and argc > MAX_ARGUMENTS:
            raise RecordError(f"{argc} arguments in an EXECVE record; expected at most {MAX_ARGUMENTS}")
        parts: list[tuple[int, int, bytes]] = []
        for name, raw in record.fields.items():
            place = _ARGUMENT.fullmatch(name)
            if place is not None:
                parts.append((int(place[1]), int(place[2] or 0), decode_name(raw) or b""))
        self._argc = argc if argc is not None else self._argc
        for number, piece, text in parts:
            self._argv.setdefault(number, {})[piece] = text

    def _read_openat2(self, kind: str, body: bytes) -> None:
        self._oflag = decode_number(_Record(kind, body).need("oflag"), base=8)

    def _read_end(self, _kind: str, _body: bytes) -> None:
        """EOE says nothing but that it is the end."""

    def _read_other(self, kind: str, body: bytes) -> None:
        self._extra.append((kind, cut_enrichment(body)[0]))


class Held(NamedTuple):
    """An event that the compiled loop made, with its lines: held as a draft is, and made one where one more record comes."""

    whole: AuditEvent
    lines: bytes

    @property
    def event_id(self) -> EventId:
        """As a draft's."""
        return self.whole.event_id

    @property
    def raw(self) -> list[RawLine]:
        """As a draft's."""
        return [RawLine(self.whole.file, line, text) for line, text in enumerate(self.lines.split(b"\n")[:-1], self.whole.line)]

    @property
    def incomplete(self) -> bool:
        """Never: what lacks a record is no event of the compiled loop's."""
        return False

    @property
    def complete(self) -> bool:
        """As a draft's: of a call all is there, and a single record may be a call's first one."""
        return self.whole.syscall is not None

    def event(self) -> AuditEvent:
        """As a draft's."""
        return self.whole

    def reopen(self) -> Draft:
        """Read the lines the exact way."""
        draft = Draft(self.whole.event_id, self.whole.node, file=self.whole.file, line=self.whole.line)
        for raw in self.raw:
            header = parse_header(raw.text)
            draft.add(header.type, header.body)
            draft.raw.append(raw)
        return draft


def is_of_a_call(kind: str) -> bool:
    """Tell whether records of this type say something of a call, or end it: they are joined to an event.

    >>> is_of_a_call("PATH"), is_of_a_call("EOE"), is_of_a_call("USER_LOGIN")
    (True, True, False)
    """
    return kind in _READERS


def _item_number(item: PathItem) -> int:
    return item.item


_READERS: dict[str, Callable[[Draft, str, bytes], None]] = {
    "SYSCALL": Draft._read_caller,
    "URINGOP": Draft._read_caller,
    "CWD": Draft._read_cwd,
    "PATH": Draft._read_path,
    "PROCTITLE": Draft._read_title,
    "EXECVE": Draft._read_arguments,
    "OPENAT2": Draft._read_openat2,
    "EOE": Draft._read_end,
}
