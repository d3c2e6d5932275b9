"""Logs read through rotation, from where they were left."""

import bz2
import gzip
import json
import lzma
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit.logfile import LogCursor, Piece, find_rotations, load_events, load_lines, read_log
from fimkit.model.records import BadLine
from tests.audit.lines import event_lines, whole

T0 = 1_795_314_095_180


def text_of(*serials: int) -> bytes:
    return b"".join(line + b"\n" for serial in serials for line in event_lines(serial=serial, time_ms=T0 + 10 * serial))


class Host:
    """A host whose log is written, rotated, and looked at from time to time."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "audit.log"
        self.log.touch()
        self.cursor: LogCursor | None = None
        self.serial = 0
        self.problems: list[str] = []
        self.bad: list[BadLine] = []

    def write(self, count: int) -> None:
        with self.log.open("ab") as file:
            for _ in range(count):
                self.serial += 1
                file.write(text_of(self.serial))

    def write_text(self, text: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(text)

    def look(self) -> list[int]:
        if self.cursor is not None:
            self.cursor = LogCursor(**json.loads(json.dumps(asdict(self.cursor))))
        load = load_events(find_rotations(self.log), cursor=self.cursor, live=True)
        serials = sorted(event.event_id.serial for event in load)
        self.cursor, self.problems, self.bad = load.cursor, load.problems, load.bad
        return serials

    def rotate(self) -> None:
        """As auditd does: rename, and begin anew."""
        for path in find_rotations(self.log)[:-1]:
            number, packed = path.name.removeprefix("audit.log.").partition(".")[::2]
            path.rename(self.log.with_name(f"audit.log.{int(number) + 1}{'.' + packed if packed else ''}"))
        self.log.rename(self.log.with_name("audit.log.1"))
        self.log.touch()

    def pack(self, suffix: str, pack: Callable[[bytes], bytes]) -> None:
        """As logrotate does with all but the log: another file, another inode."""
        for path in find_rotations(self.log)[:-1]:
            if path.suffix in (".1", ".2", ".3"):
                path.with_name(path.name + suffix).write_bytes(pack(path.read_bytes()))
                path.unlink()

    def copytruncate(self) -> None:
        for path in find_rotations(self.log)[:-1]:
            path.rename(self.log.with_name(f"audit.log.{int(path.suffix[1:]) + 1}"))
        self.log.with_name("audit.log.1").write_bytes(self.log.read_bytes())
        os.truncate(self.log, 0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


PACKS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": lambda text: zstandard.ZstdCompressor().compress(text[:500]) + zstandard.ZstdCompressor().compress(text[500:]),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def test_nothing_is_read_twice(host: Host) -> None:
    host.write(3)
    assert (host.look(), host.look()) == ([1, 2, 3], [])
    host.write(2)
    assert (host.look(), host.look()) == ([4, 5], [])
    assert host.problems == []


def test_log_is_followed_through_a_rename(host: Host) -> None:
    host.write(2)
    assert host.look() == [1, 2]
    host.write(1)
    host.rotate()
    host.write(1)
    host.rotate()
    host.write(1)
    assert (host.look(), host.look(), host.problems) == ([3, 4, 5], [], [])


@pytest.mark.parametrize("suffix", PACKS)
def test_log_is_followed_through_compression(host: Host, suffix: str) -> None:
    host.write(2)
    assert host.look() == [1, 2]
    host.write(300)
    host.rotate()
    host.pack(suffix, PACKS[suffix])
    host.write(1)
    assert (host.look(), host.look(), host.problems) == ([*range(3, 304)], [], [])


def test_log_is_followed_through_copytruncate(host: Host) -> None:
    host.write(2)
    assert host.look() == [1, 2]
    host.write(1)
    host.copytruncate()
    host.write(3)
    assert (host.look(), host.look(), host.problems) == ([3, 4, 5, 6], [], [])


def test_empty_log_after_rotation_does_not_lose_the_place(host: Host) -> None:
    host.write(2)
    assert host.look() == [1, 2]
    host.rotate()
    assert (host.look(), host.look()) == ([], [])
    host.rotate()
    host.write(1)
    assert (host.look(), host.look(), host.problems) == ([3], [], [])


def test_reused_inode_is_noticed(host: Host) -> None:
    host.write(2)
    assert host.look() == [1, 2]
    host.log.write_bytes(text_of(7, 8, 9))  # the same inode, another log, and no copy of the old one
    assert host.look() == [7, 8, 9]
    assert "is gone" in host.problems[0]


def test_log_that_was_cut_short_is_said_and_read_again(host: Host) -> None:
    host.write(4)
    assert host.look() == [1, 2, 3, 4]
    os.truncate(host.log, len(text_of(1, 2)))
    assert host.look() == [1, 2]
    assert "is shorter" in host.problems[0]


def test_incomplete_last_line_waits_for_its_end(host: Host) -> None:
    text = text_of(1)
    host.write_text(text[:-30])
    assert (host.look(), host.bad) == ([], [])
    host.write_text(text[-30:])
    assert (host.look(), host.bad, host.look()) == ([1], [], [])


def test_half_written_event_waits_for_its_records_through_rotation(host: Host) -> None:
    lines = event_lines(serial=1)
    host.write_text(b"\n".join(lines[:2]) + b"\n")
    assert host.look() == []
    host.rotate()
    host.write_text(b"\n".join(lines[2:]) + b"\n")
    assert (host.look(), host.look()) == ([1], [])


def test_resumed_reading_goes_on_counting_lines(host: Host) -> None:
    host.write(2)
    host.look()
    host.write_text(b"garbage\n")
    host.look()
    assert [(line.file, line.line) for line in host.bad] == [(str(host.log), 11)]


def test_rotation_during_the_read_is_followed(host: Host) -> None:
    host.write(2000)
    load = load_events(find_rotations(host.log), live=True)
    events = iter(load)
    serials = [next(events).event_id.serial]
    host.write(5)
    host.rotate()
    host.write(5)
    host.rotate()
    host.write(5)
    serials += [event.event_id.serial for event in events]
    assert sorted(serials) == list(range(1, 2016))
    assert load.problems == []
    host.cursor = load.cursor
    assert host.look() == []


def test_copytruncate_during_the_read_is_followed(host: Host) -> None:
    host.write(2000)
    load = load_events(find_rotations(host.log), live=True)
    events = iter(load)
    serials = [next(events).event_id.serial]
    host.write(5)
    host.copytruncate()
    host.write(5)
    serials += [event.event_id.serial for event in events]
    assert sorted(serials) == list(range(1, 2011))


def test_rotation_between_listing_and_opening_is_noticed(host: Host) -> None:
    host.write(1)
    host.rotate()
    host.write(1)
    listed = find_rotations(host.log)
    host.rotate()
    host.write(1)
    load = load_events(listed, live=True)
    assert sorted(event.event_id.serial for event in load) == [1, 2, 3]
    assert load.problems == []


def test_copy_that_compression_leaves_for_a_moment_is_read_once(host: Host) -> None:
    host.write(3)
    host.rotate()
    plain = host.log.with_name("audit.log.1")
    plain.with_name("audit.log.1.gz").write_bytes(gzip.compress(plain.read_bytes())[:-40])
    assert host.look() == [1, 2, 3]
    assert "taken for its copy" in host.problems[0]


def test_damaged_compressed_file_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    for suffix in (".gz", ".bz2", ".xz", ".zst"):
        noise = random.Random(1).randbytes(200_000).hex().encode()
        packed = PACKS[suffix](text_of(1, 2, 3) + noise)
        path = tmp_path / f"audit.log.1{suffix}"
        path.write_bytes(packed[: len(packed) // 2])
        other = tmp_path / "audit.log"
        other.write_bytes(text_of(4))
        load = load_events([path, other])
        # bzip2 gives a block or nothing; the others all that stands before the damage
        assert {event.event_id.serial for event in load} == ({4} if suffix == ".bz2" else {1, 2, 3, 4})
        assert suffix == ".zst" or f"audit.log.1{suffix} cannot be read to its end" in load.problems[0]


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_small_compressed_file_without_its_end_gives_its_whole_lines(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"osqueryd.results.log.1{suffix}"
    path.write_bytes(PACKS[suffix](b'{"a":1}\n{"b":2}\n{"c"')[:-7])
    log = read_log([path])
    pieces = list(log)
    assert b"".join(piece.lines for piece in pieces if isinstance(piece, Piece)) == b'{"a":1}\n{"b":2}\n'
    assert [piece.line for piece in pieces if isinstance(piece, BadLine)] == [3]
    assert "cannot be read to its end" in log.problems[0]


def test_file_that_is_not_there_is_a_problem_and_no_end(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text_of(1))
    load = load_events([tmp_path / "missing.log", log])
    assert [event.event_id.serial for event in load] == [1]
    assert load.problems == [f"{tmp_path}/missing.log cannot be read: No such file or directory"]


def test_offline_log_gives_everything_and_keeps_a_cut_last_line_as_bad(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text_of(1)[:-5])
    load = load_events([log])
    (event,) = load
    assert len(event.types) == 4
    assert [(line.line, line.error) for line in load.bad] == [(5, "no newline at its end: the line may be cut short")]


def test_endless_line_is_given_up_and_the_rest_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text_of(1) + b"x" * 3_000_000 + b"\n" + text_of(2))
    load = load_events([log])
    assert [(event.event_id.serial, event.line) for event in load] == [(1, 1), (2, 7)]
    assert [(line.line, len(line.text)) for line in load.bad] == [(6, 4096)]


def test_lines_of_another_log_come_with_their_place(tmp_path: Path) -> None:
    log = tmp_path / "results.log"
    log.write_bytes(b'{"a":1}\n\n{"b":2}\n{"c"')
    load = load_lines([log], live=True)
    assert list(load) == [(b'{"a":1}', str(log), 1), (b"", str(log), 2), (b'{"b":2}', str(log), 3)]
    assert load.problems == []
    log.write_bytes(log.read_bytes() + b":3}\n")
    again = load_lines([log], live=True, cursor=load.cursor)
    assert list(again) == [(b'{"c":3}', str(log), 4)]
    offline = load_lines([log], cursor=load.cursor)
    assert list(offline) == [(b'{"c":3}', str(log), 4)]


def test_byte_1d_and_other_separators_do_not_end_a_line(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"a\x1db\x0bc\x85d\re\n")
    assert list(read_log([log])) == [Piece(str(log), 1, b"a\x1db\x0bc\x85d\re\n")]


def test_pieces_join_to_the_file_wherever_it_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    text = text_of(*range(1, 2000)) + b"y\n" * 200_000 + text_of(2000)
    log.write_bytes(text)
    pieces = [piece for piece in read_log([log], cut_before=b"type=SYSCALL ") if isinstance(piece, Piece)]
    assert b"".join(piece.lines for piece in pieces) == text
    lines = 1
    for piece in pieces:
        assert piece.line == lines
        lines += piece.lines.count(b"\n")
    assert max(len(piece.lines) for piece in pieces) < 400_000


def test_reading_stays_small(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    with log.open("wb") as file:
        for number in range(60):
            file.write(text_of(*range(number * 400, number * 400 + 400)))
    tracemalloc.start()
    count = sum(1 for _ in load_events([log]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 24_000
    assert peak < 12_000_000 < log.stat().st_size


def test_what_is_no_file_in_the_place_of_a_live_log_holds_nobody_up_and_costs_no_line(host: Host) -> None:
    host.write(3)
    assert host.look() == [1, 2, 3]
    host.rotate()
    host.write(2)
    assert host.look() == [4, 5]
    aside = host.log.with_name("aside")
    host.log.rename(aside)
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path.name), Path.mkdir):
        make(host.log)
        assert (host.look(), len(host.problems)) == ([], 1)
        assert "cannot be read" in host.problems[0]
        (Path.rmdir if host.log.is_dir() else Path.unlink)(host.log)
    aside.rename(host.log)
    host.write(1)
    assert (host.look(), host.problems) == ([6], [])


def test_rotations_are_read_while_the_log_itself_is_not_there(host: Host) -> None:
    host.write(2)
    assert host.look() == [1, 2]
    for _ in range(2):
        host.write(1)
        host.rotate()
    host.log.unlink()
    assert host.look() == [3, 4]
    host.write(1)
    assert (host.look(), host.problems) == ([5], [])


def test_line_that_is_half_written_when_the_log_is_turned_is_read_when_it_is_whole(host: Host) -> None:
    text = text_of(1, 2)
    host.write_text(text[:-30])
    host.rotate()
    assert (host.look(), host.bad) == ([1], [])
    with host.log.with_name("audit.log.1").open("ab") as file:
        file.write(text[-30:])  # the daemon was not told yet
    assert (host.look(), host.bad, host.look()) == ([2], [], [])


def test_number_that_is_missing_between_what_is_read_is_said(host: Host) -> None:
    host.write(1)
    host.look()
    for _ in range(3):
        host.write(1)
        host.rotate()
    host.log.with_name("audit.log.2").unlink()
    assert host.look() == [2, 4]
    assert "is gone: it was not seen" in host.problems[0]


STEPS = st.lists(st.sampled_from(["write", "look", "rotate", "pack", "half", "cut"]), max_size=25)


@settings(max_examples=60)
@given(steps=STEPS)
def test_every_event_is_seen_once_whatever_happens(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    host = Host(tmp_path_factory.mktemp("log"))
    seen: list[int] = []
    rest = b""
    for step in [*steps, "write", "look", "look"]:
        if step in ("rotate", "pack", "write") and rest:
            host.write_text(rest)  # auditd rotates between events
            rest = b""
        if step == "write":
            host.write(3)
        elif step == "look":
            seen += host.look()
            assert host.problems == [] and host.bad == []
        elif step == "rotate" and host.log.stat().st_size:
            host.rotate()
        elif step == "pack":
            host.pack(".gz", gzip.compress)
        elif step in ("half", "cut") and not rest:
            host.serial += 1
            text = text_of(host.serial)
            at = text.find(b"\n", 500) + 1 if step == "half" else 700
            host.write_text(text[:at])
            rest = text[at:]
    assert sorted(seen) == list(range(1, host.serial + 1))


def test_events_are_those_of_the_text(host: Host) -> None:
    host.write(50)
    events = list(load_events([host.log]))
    lines: Iterator[bytes] = iter(host.log.read_bytes().split(b"\n"))
    assert [event._replace(file="a.log") for event in events] == whole(lines)


@pytest.mark.parametrize("most_bytes", [1, 1 << 16, 1 << 18])
def test_a_live_log_that_is_read_in_parts_gives_what_it_gives_at_once(tmp_path: Path, most_bytes: int) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(text_of(*range(1, 2000)))
    at_once = load_events([log], live=True)
    expected = [(event.event_id, event.items) for event in at_once]
    found, cursor, readings = [], None, 0
    while True:
        load = load_events([log], cursor=cursor, live=True, most_bytes=most_bytes)
        found += [(event.event_id, event.items) for event in load]
        cursor, readings = load.cursor, readings + 1
        if not load.has_more:
            break
    assert sorted(found) == sorted(expected)
    assert cursor == at_once.cursor
    assert readings > 2
