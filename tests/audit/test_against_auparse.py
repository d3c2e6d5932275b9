"""Our reading beside auparse's, field by field, on real logs; where the two differ, why.

auparse (audit-userspace 3.0) differs in these ways, and in no other:

- it lists the record's ``type`` as its first field; ours stands in the header;
- it has the fields inside a USER record's ``msg='…'``, and not the message itself; ours has both;
- it ends a bare value at the first blank: ``text=fimkit-section create`` is ``fimkit-section``;
- it ends an event at a record of the types below 1300, so that a LOGIN is cut off the system call that caused it;
- its interpretation of a name that is no UTF-8 raises, and its realpath puts a name with a directory descriptor under the wrong
  folder. Hence ``get_field_str`` here, and the raw name in :class:`fimkit.model.records.PathItem`.
"""

import binascii
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fimkit.audit.fields import parse_fields, parse_header
from fimkit.model.records import AuditEvent
from tests.audit.lines import AUDIT, LOGS, whole

auparse = pytest.importorskip("auparse", reason="the auparse binding is not installed (python3-audit)")

each_log = pytest.mark.parametrize("log", LOGS, ids=lambda log: str(log.parent.name + "-" + log.stem))


def records_of(source: Any) -> Iterator[tuple[str, bytes, list[tuple[str, bytes]]]]:
    """Type, line and fields in order, of every record of the present event."""
    source.first_record()
    while True:
        fields = []
        source.first_field()
        while True:
            fields.append((source.get_field_name(), source.get_field_str().encode("utf-8", "surrogateescape")))
            if not source.next_field():
                break
        yield source.get_type_name(), source.get_record_text().encode("utf-8", "surrogateescape"), fields
        if not source.next_record():
            return


def difference(kind: str, name: str, ours: bytes | None, theirs: bytes | None) -> str:
    if name == "type" and theirs == kind.encode():
        return "type is a field"
    if name == "msg" and theirs is None and kind.startswith(("USER", "CRED")):
        return "message is left out"
    if kind == "USER" and ours is not None and theirs == ours.split(b" ")[0]:
        return "value ends at a blank"
    return f"unexplained: {kind} {name}: ours {ours!r}, theirs {theirs!r}"


@each_log
def test_every_field_of_every_record_is_the_same_but_for_what_is_explained(log: Path) -> None:
    source = auparse.AuParser(auparse.AUSOURCE_FILE, str(log))
    differences: Counter[str] = Counter()
    records = 0
    while source.parse_next_event():
        for kind, line, their_fields in records_of(source):
            records += 1
            ours, theirs = parse_fields(parse_header(line).body), dict(their_fields)
            for name in ours.keys() | theirs.keys():
                if ours.get(name) != theirs.get(name):
                    differences[difference(kind, name, ours.get(name), theirs.get(name))] += 1
    assert records == len(log.read_bytes().split(b"\n")) - 1
    assert [words for words in differences if words.startswith("unexplained")] == []
    assert differences["type is a field"] == records


def text_of(raw: bytes | None) -> bytes | None:
    """auparse's raw value, decoded without our code."""
    if raw is None or raw == b"(null)":
        return None
    return raw[1:-1] if raw.startswith(b'"') else binascii.unhexlify(raw)


def number_of(raw: bytes | None, base: int = 10) -> int | None:
    return None if raw is None or raw == b"4294967295" else int(raw, base)


def expected_of(records: list[tuple[str, dict[str, bytes]]], call: str | None) -> dict[str, Any]:
    """What an event must say, from auparse's fields alone."""
    only = {kind: fields for kind, fields in records if kind in ("SYSCALL", "CWD", "PROCTITLE", "OPENAT2")}
    paths = sorted((fields for kind, fields in records if kind == "PATH"), key=lambda fields: int(fields["item"]))
    syscall = only.get("SYSCALL", {})
    return {
        "types": Counter(kind for kind, _ in records),
        "syscall": call,
        "arch": number_of(syscall.get("arch"), 16),
        "success": {b"yes": True, b"no": False, None: None}[syscall.get("success")],
        "exit": number_of(syscall.get("exit")),
        "args": tuple(int(syscall[name], 16) for name in ("a0", "a1", "a2", "a3") if name in syscall),
        "key": text_of(syscall.get("key")),
        "cwd": text_of(only.get("CWD", {}).get("cwd")),
        "items_expected": number_of(syscall.get("items")),
        "openat2_flags": number_of(only.get("OPENAT2", {}).get("oflag"), 8),
        "process": None
        if not syscall
        else {
            **{name: number_of(syscall[name]) for name in ("pid", "ppid", "auid", "uid", "gid", "euid", "ses")},
            **{name: text_of(syscall[name]) for name in ("comm", "exe")},
            "tty": None if syscall["tty"] == b"(none)" else syscall["tty"],
            "proctitle": text_of(only.get("PROCTITLE", {}).get("proctitle")),
        },
        "items": [
            {
                **{name: number_of(fields.get(name)) for name in ("item", "inode", "ouid", "ogid")},
                "name": text_of(fields["name"]),
                "mode": number_of(fields.get("mode"), 8),
                "nametype": fields["nametype"].decode(),
            }
            for fields in paths
        ],
    }


def ours_of(event: AuditEvent) -> dict[str, Any]:
    process = event.process
    return {
        **{name: getattr(event, name) for name in ("syscall", "arch", "success", "exit", "args", "key", "cwd", "items_expected")},
        "openat2_flags": event.openat2_flags,
        "types": Counter(event.types),
        "process": None
        if process is None
        else {
            name: getattr(process, name)
            for name in ("pid", "ppid", "auid", "uid", "gid", "euid", "ses", "comm", "exe", "tty", "proctitle")
        },
        "items": [
            {name: getattr(item, name) for name in ("item", "inode", "ouid", "ogid", "name", "mode", "nametype")}
            for item in event.items
        ],
    }


@each_log
def test_every_event_says_what_auparse_read(log: Path) -> None:
    source = auparse.AuParser(auparse.AUSOURCE_FILE, str(log))
    theirs: defaultdict[tuple[int, int], list[tuple[str, dict[str, bytes]]]] = defaultdict(list)
    calls: dict[tuple[int, int], str] = {}
    pieces: Counter[tuple[int, int]] = Counter()
    kinds_of_first_piece: dict[tuple[int, int], tuple[str, ...]] = {}
    while source.parse_next_event():
        stamp = source.get_timestamp()
        key = (stamp.sec * 1000 + stamp.milli, stamp.serial)
        records = list(records_of(source))
        theirs[key] += [(kind, dict(fields)) for kind, _, fields in records]
        pieces[key] += 1
        kinds_of_first_piece.setdefault(key, tuple(kind for kind, _, _ in records))
        for number, (kind, _, _) in enumerate(records):
            if kind == "SYSCALL":
                source.goto_record_num(number)
                source.find_field("syscall")
                calls[key] = source.interpret_field()
    events = whole(log.read_bytes().split(b"\n"))
    assert len(events) == len(theirs)
    for event in events:
        assert ours_of(event) == expected_of(theirs[event.event_id], calls.get(event.event_id)), event.event_id
    # The events that auparse gives in two pieces are those that begin with LOGIN.
    assert {kinds_of_first_piece[key] for key, count in pieces.items() if count > 1} <= {("LOGIN",)}


def test_auparse_cannot_interpret_a_name_that_is_no_utf8() -> None:
    lines = (AUDIT / "audit-sample.log").read_bytes().split(b"\n")
    line = next(line for line in lines if b"626164FFFE" in line and b"type=PATH" in line)
    source = auparse.AuParser(auparse.AUSOURCE_BUFFER, line.decode() + "\n")
    assert source.parse_next_event()
    source.first_record()
    assert source.find_field("name")
    with pytest.raises(UnicodeDecodeError):
        source.interpret_field()


def test_auparse_puts_a_name_with_a_real_dirfd_under_the_wrong_folder() -> None:
    lines = (AUDIT / "audit-sample.log").read_bytes().split(b"\n")
    dirfd = lines[364:404]  # section "dirfd" of the sample's README
    rename = next(event for event in whole(dirfd) if event.syscall == "renameat")
    source = auparse.AuParser(auparse.AUSOURCE_BUFFER, b"\n".join([*dirfd, b""]).decode())
    while source.parse_next_event() and source.get_timestamp().serial != rename.event_id.serial:
        pass
    moved = rename.items[3]
    kinds = [kind for kind, _, _ in records_of(source)]
    source.goto_record_num(len(kinds) - 1 - kinds[::-1].index("PATH"))
    assert source.find_field("name")
    assert source.interpret_realpath() == "/rel-moved.txt"
    # The kernel means the folder with the PARENT's inode, which other events name.
    items = (item for event in whole(lines) for item in event.items if item.inode == rename.items[0].inode)
    folder = next(item for item in items if item.name != b"/")
    assert (moved.name, folder.name) == (b"rel-moved.txt", b"/srv/fim/lab/w/")
