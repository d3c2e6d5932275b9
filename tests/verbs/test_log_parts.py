"""A log that several processes read gives what one reading gives, wherever it is cut and whatever is in it."""

import marshal
import os
import random
import re
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fimkit.audit import logfile
from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.audit.logrange import plan_cuts
from fimkit.model.config import Watch
from fimkit.model.records import AuditEvent
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs import log_parts
from fimkit.verbs.harvest import Harvest, Numbers
from fimkit.verbs.log_parts import Asked, LogSource, Reading, _Joined, _Part, _Range, harvest_at_once, harvest_in_parts
from fimkit.verbs.scope import Scope
from tests.audit.lines import AUDIT, DATA, event_lines, record
from tests.audit.test_parser import mutate

STAMP = re.compile(rb"audit\((\d+)\.(\d+):(\d+)\)")
SAMPLES = [AUDIT / "interleaved.log", AUDIT / "lost-partial.log", AUDIT / "uring.log", DATA / "incident-01" / "audit.log"]


def long_log(copies: int = 3, *, most_lines: int = 16) -> list[bytes]:
    """Lines of all samples in turn, as if they came one after the other, a second apart, with the kernel's numbers in order."""
    text = b""
    for turn in range(copies):
        for number, sample in enumerate(SAMPLES):
            some = b"".join(sample.read_bytes().splitlines(keepends=True)[:most_lines])
            shift = 1_800_000_000 + 4 * turn + number - min(int(stamp[1]) for stamp in STAMP.finditer(some))
            text += STAMP.sub(partial(moved, shift), some)
    serials: dict[bytes, int] = {}
    return STAMP.sub(partial(renumbered, serials), text).splitlines(keepends=True)


def moved(shift: int, match: re.Match[bytes]) -> bytes:
    return b"audit(%d.%b:%b)" % (int(match[1]) + shift, match[2], match[3])


def renumbered(serials: dict[bytes, int], match: re.Match[bytes]) -> bytes:
    return b"audit(%b.%b:%d)" % (match[1], match[2], serials.setdefault(match[0], len(serials) + 1))


def scope_of(root: bytes) -> Scope:
    state = FileState(path=root, type=FileType.DIRECTORY, dev=1, inode=2)
    return Scope(WatchSet([Watch(path=root)]), {root: state})


def asked_by(scope: Scope) -> Asked:
    return Asked(wanted=scope.concerns, worth=scope.may_concern, user_of=None, state=())


def source_of(log: Path, *, live: bool = False, cursor: LogCursor | None = None) -> LogSource:
    return LogSource(paths=find_rotations(log), cursor=cursor, live=live, now_ms=1_800_000_100_000)


def flat(harvest: Harvest[Numbers], reading: Reading, scope: Scope) -> dict[str, object]:
    nodes = {
        node: (
            list(of.ledger), bytes(of.ledger.rows), of.notes, of.numbers.track.state, of.numbers.track.missing(),
            of.numbers.restarts,
        )
        for node, of in harvest.by_node.items()
    }  # fmt: skip
    tables = harvest.tables
    return {
        "nodes": nodes, "order": list(nodes), "reading": reading, "learned": scope.learned, "commands": harvest.reader.commands,
        "tables": [tables.paths.values, tables.keys.values, tables.plain.values, tables.processes.values, list(tables.folder_of)],
    }  # fmt: skip


def at_once(source: LogSource, root: bytes) -> dict[str, object]:
    scope = scope_of(root)
    return flat(*harvest_at_once(source, asked_by(scope)), scope)


def in_parts(source: LogSource, root: bytes, cuts: Sequence[LogCursor]) -> dict[str, object]:
    scope = scope_of(root)
    found = harvest_in_parts(source, asked_by(scope), scope, cuts=cuts)
    assert found is not None
    return flat(*found, scope)


def cuts_at(log: Path, lines: Sequence[bytes], *places: int) -> list[LogCursor]:
    """Cut before some lines, counted from 0."""
    begin, *_ = plan_cuts([log], cursor=None, live=False, least_bytes=1, most=2)
    return [replace(begin, offset=sum(map(len, lines[:place])), line=place + 1) for place in places]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a few lines each, so that a small log is as a large one is."""
    monkeypatch.setattr(logfile, "CHUNK_BYTES", 1500)


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets an item whenever a part did not fit, and the rest was read again."""
    counted: list[int] = []
    finish = _Joined.finish

    def counting(self: _Joined, one: Any) -> Any:
        counted.append(1)
        return finish(self, one)

    monkeypatch.setattr(_Joined, "finish", counting)
    return counted


class Here:
    """Reads a range as a process would, without one: a test makes hundreds."""

    def __init__(self, one: _Range, _others: Sequence[object]) -> None:
        known = one.scope.learned
        self._said = marshal.dumps(tuple(one.read()))
        one.scope.learned = known

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def answer(self) -> _Part:
        return _Part(*marshal.loads(self._said))


@pytest.mark.usefixtures("small_pieces")
def test_cut_at_every_line_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: list[int]) -> None:
    monkeypatch.setattr(log_parts, "_Child", Here)
    log, lines = tmp_path / "audit.log", long_log()
    log.write_bytes(b"".join(lines))
    expected = at_once(source_of(log), b"/srv")
    for place in range(1, len(lines)):
        assert in_parts(source_of(log), b"/srv", cuts_at(log, lines, place)) == expected, place
    assert len(again) < 0.9 * len(lines), "hardly a cut was of use"


@pytest.mark.usefixtures("small_pieces")
def test_altered_logs_are_the_same_in_parts(tmp_path: Path, again: list[int]) -> None:
    chance = random.Random(5)
    for turn in range(60):
        log = tmp_path / f"audit-{turn}.log"
        whole = [line.rstrip(b"\n") for line in long_log(9)]
        start = chance.randrange(len(whole) - 10)
        some = mutate(whole[start : start + 10], chance)
        lines = [line + b"\n" for line in (*whole[:start], *some, *whole[start + 10 :])]
        text = b"".join(lines)
        log.write_bytes(text)
        lines = [line + b"\n" for line in text.split(b"\n")[:-1]]
        places = sorted(chance.sample(range(20, len(lines)), 2))
        source = source_of(log, live=turn % 3 == 0)
        root = chance.choice([b"/srv", b"/nowhere", b"/etc"])
        assert in_parts(source, root, cuts_at(log, lines, *places)) == at_once(source, root), (turn, places)
    assert len(again) < 58, "hardly a cut was of use"


def daemon(kind: str, second: int, serial: int) -> bytes:
    return record(kind, "op=start ver=3", serial=serial, time_ms=1_000 * second) + b"\n"


def quiet_log(seconds: int = 60) -> list[bytes]:
    """Events elsewhere, two in a second."""
    lines = []
    for number in range(2 * seconds):
        lines += [line + b"\n" for line in event_lines(serial=number + 10, time_ms=1_800_000_000_000 + 500 * number)]
    return lines


@pytest.mark.usefixtures("small_pieces")
def test_what_only_the_part_before_knows_is_told(tmp_path: Path, again: list[int]) -> None:
    log, lines = tmp_path / "audit.log", quiet_log()
    argv = b'argc=2 a0="cp" a1="x"'.decode()
    started = event_lines(serial=2, time_ms=1_800_000_000_000 - 1000)
    started[0] = started[0].replace(b"syscall=257", b"syscall=59")
    started.insert(1, record("EXECVE", argv, serial=2, time_ms=1_800_000_000_000 - 1000))
    lines[:0] = [line + b"\n" for line in started]
    lines.insert(150, daemon("DAEMON_END", 1_800_000_015, 7))
    lines.insert(400, daemon("DAEMON_START", 1_800_000_039, 9))
    del lines[200:205]
    log.write_bytes(b"".join(lines))
    expected = at_once(source_of(log), b"/srv")
    assert in_parts(source_of(log), b"/srv", cuts_at(log, lines, 100, 300)) == expected
    processes = expected["tables"][3]  # type: ignore[index]
    assert {process[9] for process in processes} == {True}
    assert not again


@pytest.mark.usefixtures("small_pieces")
def test_a_part_that_would_have_kept_more_is_read_again(tmp_path: Path, again: list[int]) -> None:
    log, lines = tmp_path / "audit.log", quiet_log()
    # what came into /w had the number that another file elsewhere has later
    came = [line.replace(b"/srv/f", b"/w/f") + b"\n" for line in event_lines(serial=9, time_ms=1_799_999_999_000)]
    came[3] = came[3].replace(b"inode=109", b"inode=%d" % (100 + 10 + 90))
    lines[:0] = came
    log.write_bytes(b"".join(lines))
    expected = at_once(source_of(log), b"/w")
    assert in_parts(source_of(log), b"/w", cuts_at(log, lines, 200)) == expected
    assert again
    assert len(expected["nodes"][None][0]) > 1  # type: ignore[index]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("most", [0, 30])
def test_a_killed_process_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: list[int], most: int
) -> None:
    log, lines = tmp_path / "audit.log", quiet_log()
    log.write_bytes(b"".join(lines))
    expected = at_once(source_of(log), b"/srv")
    own = os.getpid()

    def dying(events: Iterable[AuditEvent], goes_on: object) -> Iterator[AuditEvent]:
        for number, event in enumerate(events):
            if os.getpid() != own and number >= most:
                os.kill(os.getpid(), signal.SIGKILL)
            yield event

    monkeypatch.setattr(log_parts, "_while", dying)
    assert in_parts(source_of(log), b"/srv", cuts_at(log, lines, 200, 400)) == expected
    assert again
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_process_ends_when_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(quiet_log()))
    scope = scope_of(b"/srv")
    with pytest.raises(InterruptedError):
        _Range(source_of(log), asked_by(scope), scope, None, None).read(lambda: False)


def test_a_rotated_log_that_is_still_written_goes_on_where_it_was_left(tmp_path: Path) -> None:
    log, lines = tmp_path / "audit.log", quiet_log(400)
    whole = b"".join(lines)
    (tmp_path / "audit.log.1").write_bytes(whole[: len(whole) // 2])
    log.write_bytes(whole[len(whole) // 2 : -100])
    source = source_of(log, live=True)
    cuts = plan_cuts(source.paths, cursor=None, live=True, least_bytes=60_000, most=4)
    assert len(cuts) > 1
    parts, once = in_parts(source, b"/srv", cuts), at_once(source, b"/srv")
    assert parts == once
    reading = once["reading"]
    assert isinstance(reading, Reading)
    assert reading.cursor is not None
    assert reading.cursor.pending
    log.write_bytes(whole[len(whole) // 2 :])
    rest = source_of(log, live=True, cursor=reading.cursor)
    assert at_once(rest, b"/srv")["nodes"]


def test_a_small_log_is_read_in_one_go(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(quiet_log()))
    scope = scope_of(b"/srv")
    assert harvest_in_parts(source_of(log), asked_by(scope), scope) is None


def test_where_files_keep_coming_into_the_watched_paths_a_large_log_is_read_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_parts, "LEAST_BYTES", 10_000)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # an earlier test's server may still be waiting in one
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(quiet_log()))
    for root, is_read in ((b"/srv", False), (b"/nowhere", len(os.sched_getaffinity(0)) > 1)):
        scope = scope_of(root)
        found = harvest_in_parts(source_of(log), asked_by(scope), scope)
        assert (found is not None) is is_read
        if found is not None:
            harvest, reading = found
            assert flat(harvest, reading, scope) == at_once(source_of(log), root)


def test_a_process_with_threads_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_parts, "LEAST_BYTES", 10_000)
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(quiet_log()))
    scope, done = scope_of(b"/nowhere"), threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert harvest_in_parts(source_of(log), asked_by(scope), scope) is None
    finally:
        done.set()
        thread.join()
