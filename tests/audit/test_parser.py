"""Records joined to events."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit import parser
from fimkit.audit.parser import EventAssembler
from fimkit.model.records import AuditEvent, BadLine, EventId, NameType, PathItem
from tests.audit.lines import LOGS, call_line, event_lines, line_by_line, order, path_line, record, whole

T0 = 1_795_314_095_180
BREAKS = [b"\x00", b'"', b" ", b"\x1d", b"=", b"9", b"(", b"\r", b"\xff", b""]
SAMPLE = [line for log in LOGS for line in log.read_bytes().split(b"\n") if line]


def test_records_of_one_call_are_one_event() -> None:
    (event,) = whole(event_lines(serial=7))
    assert event.event_id == EventId(T0, 7)
    assert (event.syscall, event.success, event.exit, event.args) == ("openat", True, 3, (0xFFFFFF9C, 0x7F00, 0x241, 0x1B6))
    assert (event.key, event.cwd, event.items_expected) == (b"fim", b"/root", 2)
    assert event.items == (
        PathItem(0, b"/srv/", 5, 0xFE00, 0o100644, 0, 0, NameType.PARENT),
        PathItem(1, b"/srv/f7", 107, 0xFE00, 0o100644, 0, 0, NameType.CREATE),
    )
    assert event.process is not None
    assert (event.process.pid, event.process.auid, event.process.tty, event.process.exe) == (10, 1000, b"pts0", b"/usr/bin/cp")
    assert (event.process.proctitle, event.process.argv) == (b"cp\0/a\0/b", None)
    assert (event.types, event.file, event.line) == (("SYSCALL", "CWD", "PATH", "PATH", "PROCTITLE"), "a.log", 1)


def test_interleaved_events_are_told_apart() -> None:
    first, second = event_lines(serial=1), event_lines(serial=2)
    mixed = [line for pair in zip(first, second, strict=True) for line in pair]
    alone = {event.event_id: event for event in whole(first) + whole(second)}
    for event in whole(mixed):
        assert event._replace(line=1) == alone[event.event_id]


@given(st.randoms(use_true_random=False))
def test_records_in_any_order_are_the_same_event(shuffler: random.Random) -> None:
    lines = event_lines(serial=1) + event_lines(serial=2, time_ms=T0 + 4) + event_lines(serial=1, time_ms=T0 + 4)
    expected = {event.event_id: event for event in whole(lines)}
    shuffler.shuffle(lines)
    events = whole(lines)
    assert len(events) == 3
    for event in events:
        known = expected[event.event_id]
        assert event._replace(line=0, types=()) == known._replace(line=0, types=())
        assert sorted(event.types) == sorted(known.types)


def test_same_stamp_on_two_hosts_is_two_events() -> None:
    lines = [line for pair in zip(event_lines(node="a"), event_lines(node="b"), strict=True) for line in pair]
    assert {event.node: len(event.items) for event in whole(lines)} == {b"a": 2, b"b": 2}
    assert {event.node for event in whole(event_lines(node="a") + event_lines(node="b"))} == {b"a", b"b"}


def test_missing_paths_are_recognised_and_counted() -> None:
    assembler = EventAssembler()
    lines = event_lines()
    del lines[3]
    (event,) = whole(lines, assembler)
    assert (event.items_expected, len(event.items), assembler.counters.incomplete) == (2, 1, 1)


def test_paths_without_their_syscall_are_an_incomplete_event() -> None:
    assembler = EventAssembler()
    (event,) = whole(event_lines()[1:], assembler)
    assert (event.syscall, event.process, len(event.items), assembler.counters.incomplete) == (None, None, 2, 1)


def test_event_is_given_when_the_logs_clock_has_passed_it() -> None:
    assembler = EventAssembler(window_ms=2000)
    given_out = []
    for step in range(6):
        events = assembler.push(b"\n".join(event_lines(serial=step, time_ms=T0 + 1500 * step)), file="a.log")
        given_out.append([event.event_id.serial for event in events])
    assert given_out == [[], [], [0], [], [1], [2, 3]]
    assert [event.event_id.serial for event in assembler.flush()] == [4, 5]


def test_end_mark_gives_the_event_at_once() -> None:
    assembler = EventAssembler()
    assert assembler.push(b"\n".join(event_lines()), file="live") == []
    (event,) = assembler.push(record("EOE", ""), file="live")
    assert event.types == ("SYSCALL", "CWD", "PATH", "PATH", "PROCTITLE", "EOE")
    assert assembler.flush() == []


def test_memory_is_bounded_when_the_clock_stands_still() -> None:
    assembler = EventAssembler(max_open=100)
    most = 0
    for serial in range(2000):
        lines = event_lines(serial=serial)
        most += 1 - len(assembler.push(b"\n".join(lines if serial % 2 else lines[:-1]), file="a.log"))
        assert most <= 101
    assert assembler.counters.events + most == 2000


def test_clock_set_back_loses_nothing() -> None:
    lines = event_lines(serial=1, time_ms=T0) + event_lines(serial=2, time_ms=T0 - 3_600_000)
    assert [event.event_id.serial for event in whole(lines)] == [1, 2]


def test_record_that_comes_too_late_is_an_event_of_its_own() -> None:
    lines = [
        *event_lines(serial=1)[:-1],
        *event_lines(serial=2, time_ms=T0 + 5000),
        *event_lines(serial=3, time_ms=T0 + 9000),
        event_lines(serial=1)[-1],
    ]
    assert [len(event.types) for event in whole(lines) if event.event_id.serial == 1] == [4, 1]


def test_same_event_twice_is_given_twice() -> None:
    lines = event_lines()
    assert [len(event.types) for event in whole(lines + lines)] == [5, 5]
    assert [len(event.types) for event in line_by_line(lines + lines)] == [5, 5]


def test_event_without_an_end_under_one_stamp_does_not_grow_for_ever() -> None:
    events = whole([path_line(0, "/x", 1, "NORMAL")] * 10_000)
    assert [len(event.items) for event in events] == [4096, 4096, 1808]


def test_bad_lines_are_kept_with_their_place_and_the_rest_goes_on() -> None:
    assembler = EventAssembler()
    lines = event_lines()
    lines[3:3] = [b"garbage \x00\xff", b"", record("PATH", 'item=1 name="/srv/x" inode=24')]
    (event,) = whole(lines, assembler)
    assert len(event.items) == 2
    assert [(line.file, line.line, line.text[:7]) for line in assembler.bad] == [("a.log", 4, b"garbage"), ("a.log", 6, b"type=PA")]
    assert "nametype" in assembler.bad[1].error
    counters = assembler.counters
    assert (counters.lines, counters.records, counters.bad_lines, counters.events) == (8, 5, 2, 1)


def test_bad_lines_beyond_what_is_kept_are_counted_and_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "MAX_BAD_KEPT", 3)
    seen: list[BadLine] = []
    assembler = EventAssembler(on_bad=seen.append)
    assembler.push(b"x\n" * 10, file="a.log")
    assert (len(assembler.bad), assembler.counters.bad_lines, [line.line for line in seen]) == (3, 10, list(range(1, 11)))


def test_carriage_returns_of_a_copied_log_do_no_harm() -> None:
    with_them = whole([line + b"\r" for line in event_lines()])
    assert with_them == whole(event_lines())


def test_success_and_exit_may_be_missing() -> None:
    for lines in ([call_line(outcome="")], [call_line(outcome=""), record("PROCTITLE", 'proctitle="x"')]):
        (event,) = whole(lines)
        assert (event.success, event.exit, event.syscall) == (None, None, "openat")


def test_resolved_name_of_the_call_wins() -> None:
    resolved = call_line() + b'\x1dARCH=x86_64 SYSCALL=openat_of_tomorrow AUID="bob" UID="root" GID="root"'
    for lines in ([resolved], [resolved, record("PROCTITLE", 'proctitle="x"')]):
        (event,) = whole(lines)
        assert event.process is not None
        assert (event.syscall, event.process.auid_name, event.process.uid_name) == ("openat_of_tomorrow", b"bob", b"root")


def test_half_written_event_at_the_end_is_left_and_taken_up_again() -> None:
    early, late = event_lines(serial=1), event_lines(serial=2, time_ms=T0 + 8)
    first = EventAssembler()
    first.push(b"\n".join(early + late[:3]), file="a.log")
    assert [event.event_id.serial for event in first.settle()] == [1]
    assert [(raw.line, raw.text) for raw in first.pending()] == [(6, late[0]), (7, late[1]), (8, late[2])]
    second = EventAssembler()
    second.restore(first.pending())
    second.push(b"\n".join(late[3:]), file="a.log", line=9)
    (event,) = second.settle()
    assert event == whole(late)[0]._replace(line=6)
    assert second.pending() == ()


def test_half_written_event_is_given_when_it_is_old() -> None:
    assembler = EventAssembler()
    assembler.push(event_lines()[0], file="a.log")
    assert assembler.settle(now_ms=T0 + 1999) == []
    assert len(assembler.settle(now_ms=T0 + 2000)) == 1


def mutate(lines: list[bytes], shuffler: random.Random) -> list[bytes]:
    """Break lines as logs break: bytes changed, cut, doubled, swapped, taken away, joined."""
    lines = list(lines)
    for _ in range(shuffler.randrange(1, 12)):
        place = shuffler.randrange(len(lines))
        line = lines[place]
        match shuffler.randrange(9):
            case 0 if line:
                at = shuffler.randrange(len(line))
                lines[place] = line[:at] + shuffler.choice(BREAKS) + line[at + 1 :]
            case 1:
                lines[place] = line[: shuffler.randrange(len(line) + 1)]
            case 2:
                lines.insert(shuffler.randrange(len(lines)), line)
            case 3:
                other = shuffler.randrange(len(lines))
                lines[place], lines[other] = lines[other], line
            case 4 if len(lines) > 1:
                del lines[place]
            case 5:
                lines[place] = line + lines[shuffler.randrange(len(lines))]
            case 6:
                lines[place] = line.partition(b"\x1d")[0]
            case 7:
                words = line.split(b" ")
                shuffler.shuffle(words)
                lines[place] = b" ".join(words)
            case _:
                lines[place] = b"node=h " + line
    return lines


@pytest.mark.parametrize("log", LOGS, ids=lambda log: str(log.parent.name + "-" + log.stem))
def test_fast_and_exact_way_agree_on_real_logs(log: Path) -> None:
    lines = log.read_bytes().split(b"\n")[:-1]
    assert order(whole(lines)) == order(line_by_line(lines))


@settings(max_examples=400)
@given(st.integers(0, len(SAMPLE) - 40), st.integers(5, 40), st.randoms(use_true_random=False))
def test_fast_and_exact_way_agree_on_broken_logs_and_lose_no_line(start: int, count: int, shuffler: random.Random) -> None:
    lines = mutate(SAMPLE[start : start + count], shuffler)
    fast, exact = EventAssembler(), EventAssembler()
    events = whole(lines, fast)
    assert order(events) == order(line_by_line(lines, exact))
    assert fast.bad == exact.bad
    assert fast.counters == exact.counters
    not_empty = [line for line in lines if line]
    assert sum(len(event.types) for event in events) + len(fast.bad) == len(not_empty) == fast.counters.records + len(fast.bad)


@settings(max_examples=100)
@given(st.integers(0, len(SAMPLE) - 60), st.lists(st.integers(0, 60_000), max_size=8), st.randoms(use_true_random=False))
def test_events_do_not_depend_on_how_the_log_is_cut(start: int, cuts: list[int], shuffler: random.Random) -> None:
    lines = mutate(SAMPLE[start : start + 60], shuffler)
    text = b"".join(line + b"\n" for line in lines)
    assembler = EventAssembler()
    events: list[AuditEvent] = []
    position, number = 0, 1
    for cut in [*sorted(cuts), len(text)]:
        end = text.rfind(b"\n", position, max(cut, position)) + 1
        if end > position:
            events += assembler.push(text[position:end], file="a.log", line=number)
            number += text.count(b"\n", position, end)
            position = end
    events += assembler.flush()
    assert order(events) == order(whole(lines))


@given(st.binary(max_size=400))
def test_any_bytes_are_taken(text: bytes) -> None:
    assembler = EventAssembler()
    events = [*assembler.push(text, file="a.log"), *assembler.flush()]
    assert sum(len(event.types) for event in events) + len(assembler.bad) == len([line for line in text.split(b"\n") if line])
