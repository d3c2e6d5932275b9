"""What each type of record says."""

import pytest

from fimkit.audit.draft import decode_path
from fimkit.audit.parser import EventAssembler
from fimkit.model.errors import RecordError
from fimkit.model.records import AuditEvent, NameType
from tests.audit.lines import call_line, line_by_line, record, whole


def event_of(*lines: bytes) -> AuditEvent:
    (event,) = whole(lines)
    assert [event] == line_by_line(lines)
    return event


def arguments(*lines: bytes) -> tuple[bytes, ...] | None:
    process = event_of(call_line(), *lines).process
    assert process is not None
    return process.argv


def test_arguments_are_quoted_or_hex() -> None:
    assert arguments(record("EXECVE", 'argc=3 a0="cp" a1=6120622E747874 a2=""')) == (b"cp", b"a b.txt", b"")


def test_long_argument_is_joined_from_its_pieces_over_records() -> None:
    lines = [
        record("EXECVE", 'argc=3 a0="sh" a1="-c" a2_len=12 a2[0]=65636820 a2[1]="o-"'),
        record("EXECVE", 'a2[2]="hello"'),
    ]
    assert arguments(*lines) == (b"sh", b"-c", b"ech o-hello")


def test_arguments_go_on_in_further_records() -> None:
    assert arguments(record("EXECVE", 'argc=3 a0="x" a1="y"'), record("EXECVE", ' a2="z"')) == (b"x", b"y", b"z")


@pytest.mark.parametrize("body", ['argc=2 a0="x"', 'argc=2 a0="x" a1_len=9 a1[1]="y"', 'a0="x"'])
def test_arguments_that_are_not_all_there_are_none(body: str) -> None:
    assert arguments(record("EXECVE", body)) is None


def test_event_with_lost_arguments_is_counted_as_incomplete() -> None:
    assembler = EventAssembler()
    whole([call_line(), record("EXECVE", 'argc=2 a0="x"')], assembler)
    assert assembler.counters.incomplete == 1


def test_openat2_says_its_flags() -> None:
    assert event_of(call_line(), record("OPENAT2", "oflag=0101 mode=0644 resolve=0x0")).openat2_flags == 0o101


def test_io_uring_operation_is_named_and_has_no_arguments() -> None:
    event = event_of(
        record("URINGOP", 'uring_op=18 success=yes exit=0 items=1 ppid=7 pid=8 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 key="fim"'),
        record("CWD", 'cwd="/"'),
        record("PATH", "item=0 name=(null) inode=9 dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=CREATE"),
    )
    assert (event.syscall, event.arch, event.success, event.args, event.key) == ("io_uring:openat", None, True, (), b"fim")
    assert event.process is not None
    assert (event.process.pid, event.process.auid, event.process.exe) == (8, None, None)
    assert (event.items[0].name, event.items[0].inode, event.items_expected) == (None, 9, 1)


def test_io_uring_operation_inside_a_call_takes_the_callers_name() -> None:
    operation = record("URINGOP", "uring_op=36 success=no exit=-13 items=0 ppid=9 pid=10 uid=0 gid=0 euid=0 key=(null)")
    event = event_of(operation, call_line(), record("PROCTITLE", 'proctitle="cp"'))
    assert event.process is not None
    assert (event.syscall, event.success, event.exit, event.process.auid) == ("io_uring:unlinkat", False, -13, 1000)
    assert (event.process.exe, event.process.proctitle, event.args, event.key) == (b"/usr/bin/cp", b"cp", (), b"fim")


def test_different_operations_in_one_event_are_all_named() -> None:
    operations = [record("URINGOP", f"uring_op={number} success=yes exit=0 items=0 ppid=9 pid=10") for number in (18, 36, 18)]
    assert event_of(*operations, call_line()).syscall == "io_uring:openat+unlinkat"


def test_records_that_the_core_does_not_know_are_kept_as_they_are() -> None:
    event = event_of(record("LOGIN", 'pid=8 uid=0 old-auid=4294967295 auid=1000 res=1\x1dUID="root"'), call_line())
    assert event.extra == (("LOGIN", b"pid=8 uid=0 old-auid=4294967295 auid=1000 res=1"),)
    assert event.types == ("LOGIN", "SYSCALL")


def test_user_record_stands_alone() -> None:
    event = event_of(record("USER_AUTH", "pid=7 uid=0 auid=4294967295 ses=1 msg='op=PAM acct=\"bob\" res=failed'"))
    assert (event.syscall, event.process, event.success, event.items_expected) == (None, None, None, None)
    assert event.extra[0][0] == "USER_AUTH"


def test_nobody_logged_in_and_no_terminal_are_none() -> None:
    line = call_line().replace(b"auid=1000", b"auid=4294967295").replace(b"tty=pts0 ses=3", b"tty=(none) ses=4294967295")
    process = event_of(line, record("PROCTITLE", "proctitle=(null)")).process
    assert process is not None
    assert (process.auid, process.ses, process.tty, process.proctitle) == (None, None, None, None)


def test_apparmor_label_in_a_call_does_no_harm() -> None:
    line = call_line().replace(b" key=", b" subj==/usr/sbin/ntpd (enforce) key=")
    event = event_of(line, record("PROCTITLE", 'proctitle="x"'))
    assert event.key == b"fim"


def test_two_keys_of_one_rule_stay_one_text() -> None:
    assert event_of(call_line().replace(b'key="fim"', b"key=66696D016F74686572")).key == b"fim\x01other"


def test_path_of_unknown_type_has_no_inode() -> None:
    item = decode_path(b'item=1 name="/etc/hostname" nametype=UNKNOWN cap_fp=0')
    assert (item.name, item.inode, item.dev, item.mode, item.nametype) == (b"/etc/hostname", None, None, None, NameType.UNKNOWN)


@pytest.mark.parametrize(
    "body",
    [
        b'item=0 name="/x" inode=5',
        b'name="/x" nametype=NORMAL',
        b'item=0 name="/x" nametype=OTHER',
        b'item=0 name="/x nametype=NORMAL',
        b'item=0 name=/x nametype=NORMAL',
        b'item=0 name="/x" inode=99999999999999999999 nametype=NORMAL',
        b'item=0 name="/x" mode=0999 nametype=NORMAL',
        b'item=0 name="/x" dev=fe nametype=NORMAL',
        b'item=0 name="/x" ouid=4294967296 nametype=NORMAL',
    ],
)
def test_path_that_is_cut_or_wrong_is_refused(body: bytes) -> None:
    with pytest.raises(RecordError):
        decode_path(body)


@pytest.mark.parametrize("wrong", [b" syscall=", b" pid=", b" success=", b" exit=", b" auid=", b" comm=", b" a1=", b" items="])
def test_call_with_a_wrong_value_is_a_bad_line(wrong: bytes) -> None:
    assembler = EventAssembler()
    line = call_line().replace(wrong, wrong + b"~")
    (event,) = whole([line, record("PROCTITLE", 'proctitle="x"')], assembler)
    assert event.syscall is None
    assert [(bad.line, bad.text) for bad in assembler.bad] == [(1, line)]
