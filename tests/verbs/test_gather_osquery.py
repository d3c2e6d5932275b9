"""osquery's log as files: rotated, packed, cut, replaced while it is read, with garbage, of several hosts, and very long lines."""

import gzip
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.model.changes import Change
from fimkit.osquery.results import MAX_BAD_KEPT
from fimkit.verbs.gather import Gathered, gather_osquery
from tests.osquery.result_rows import FILE_ROW, batch, event, snapshot


def row(number: int, **more: object) -> dict[str, Any]:
    return {**FILE_ROW, "action": "UPDATED", "target_path": f"/etc/{number}", "time": str(1_000_000 + number), **more}


def numbers(gathered: Gathered) -> list[int]:
    return [int((change.path or b"").rpartition(b"/")[2]) for change in gathered.changes]


class Log:
    """A results log that osqueryd writes and turns, and a reader that remembers its place."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "osqueryd.results.log"
        self.path.touch()
        self.cursor: LogCursor | None = None
        self.problems: list[str] = []
        self.bad = 0
        self.next = 1

    def write(self, count: int = 1) -> None:
        self.append(b"".join(event(row(number)) + b"\n" for number in range(self.next, self.next + count)))
        self.next += count

    def append(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)

    def turn(self) -> None:
        """As osqueryd does with --logger_rotate: `.1` is plain, older ones are packed."""
        for path in find_rotations(self.path)[:-1]:
            number = int(path.name.removeprefix("osqueryd.results.log.").partition(".")[0])
            packed = path if path.suffix == ".zst" else path.with_name(path.name + ".zst")
            if packed != path:
                packed.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
                path.unlink()
            packed.rename(self.path.with_name(f"osqueryd.results.log.{number + 1}.zst"))
        self.path.rename(self.path.with_name("osqueryd.results.log.1"))
        self.path.touch()

    def copytruncate(self) -> None:
        for path in find_rotations(self.path)[:-1]:
            path.rename(self.path.with_name(f"osqueryd.results.log.{int(path.suffix[1:]) + 1}"))
        self.path.with_name("osqueryd.results.log.1").write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)

    def look(self, wanted: Callable[[Change], bool] = lambda change: True) -> list[int]:
        gathered = gather_osquery(find_rotations(self.path), wanted=wanted, host="web01", cursor=self.cursor, live=True)
        if gathered.cursor is not None:
            self.cursor = LogCursor(**json.loads(json.dumps(asdict(gathered.cursor))))
        self.problems += gathered.problems
        self.bad += len(gathered.bad_lines)
        return numbers(gathered)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_nothing_is_read_twice(log: Log) -> None:
    log.write(3)
    assert (log.look(), log.look()) == ([1, 2, 3], [])
    log.write(2)
    assert (log.look(), log.problems) == ([4, 5], [])


def test_the_log_is_followed_through_turns_and_packing(log: Log) -> None:
    log.write(2)
    assert log.look() == [1, 2]
    for _ in range(3):
        log.write(2)
        log.turn()
    log.write(1)
    assert (log.look(), log.look(), log.problems) == ([3, 4, 5, 6, 7, 8, 9], [], [])


def test_the_log_is_followed_through_copytruncate(log: Log) -> None:
    log.write(2)
    log.look()
    log.write(1)
    log.copytruncate()
    log.write(2)
    assert (log.look(), log.problems) == ([3, 4, 5], [])


@pytest.mark.parametrize("change", ["turn", "copytruncate"])
def test_a_log_that_is_replaced_while_it_is_read_loses_and_doubles_nothing(log: Log, change: str) -> None:
    log.write(3000)
    done: list[int] = []

    def wanted(_: Change) -> bool:
        if not done:
            done.append(1)
            log.write(5)
            getattr(log, change)()
            log.write(5)
        return True

    assert log.look(wanted) == list(range(1, 3011))
    assert (log.look(), log.bad, log.problems) == ([], 0, [])


def test_a_log_that_was_removed_and_begun_anew_while_it_is_read_is_read_on(log: Log) -> None:
    log.write(10)

    def wanted(change: Change) -> bool:
        if change.path == b"/etc/1":
            log.path.unlink()
            log.write(2)
        return True

    found = log.look(wanted)
    assert found[:10] == list(range(1, 11))
    assert sorted({*found, *log.look()}) == list(range(1, 13))


def test_a_truncated_log_is_said_and_read_from_its_start(log: Log) -> None:
    log.write(20)
    log.look()
    os.truncate(log.path, len(event(row(1))) * 9 + 9)
    assert log.look() == list(range(1, 10))
    assert "is shorter" in log.problems[0]


def test_a_last_line_without_its_end_waits_for_it(log: Log) -> None:
    line = event(row(1)) + b"\n"
    log.append(line[:100])
    assert (log.look(), log.bad) == ([], 0)
    log.append(line[100:])
    assert (log.look(), log.bad) == ([1], 0)


def test_a_log_of_elsewhere_that_is_cut_keeps_what_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "osqueryd.results.log"
    log.write_bytes(event(row(1)) + b"\n" + event(row(2)) + b"\n" + event(row(3))[:90])
    gathered = gather_osquery([log], wanted=lambda change: True, host="web01")
    assert numbers(gathered) == [1, 2]
    assert [(line.line, line.error) for line in gathered.bad_lines] == [(3, "no newline at its end: the line may be cut short")]


def test_results_and_snapshots_logs_given_together_are_one(tmp_path: Path) -> None:
    results, packed, snapshots = tmp_path / "r.log", tmp_path / "r.log.1.gz", tmp_path / "osqueryd.snapshots.log"
    packed.write_bytes(gzip.compress(event(row(1)) + b"\n"))
    results.write_bytes(batch([row(2), row(3)]) + b"\n")
    snapshots.write_bytes(snapshot([row(1), row(2), row(3), row(4)]) + b"\n" + snapshot([{"uid": "0"}], name="users") + b"\n")
    gathered = gather_osquery([packed, results, snapshots], wanted=lambda change: True, host="web01")
    assert numbers(gathered) == [1, 2, 3, 4]
    assert gathered.rows == {"read": 7, "of other tables": 1, "refused": 0, "removed": 0, "accesses": 0}


def test_garbage_between_is_counted_and_the_rest_read(tmp_path: Path) -> None:
    log = tmp_path / "r.log"
    noise = [b"", b"\x00\xff\x1d", b"{", b"[1]", b'{"name":"q"}', event(row(0))[:50], b"I0101 log message"]
    log.write_bytes(b"\n".join(piece for number in range(1, 400) for piece in (*noise, event(row(number)))) + b"\n")
    gathered = gather_osquery([log], wanted=lambda change: True, host="web01")
    assert numbers(gathered) == list(range(1, 400))
    assert len(gathered.bad_lines) == MAX_BAD_KEPT
    assert gathered.uncounted == {str(log): 399 * 6 - MAX_BAD_KEPT}
    assert any("more bad lines were counted" in words for words in gathered.problems)


UUID = "4615da65-3125-4f6f-9901-6b94c48858b5"


@pytest.mark.parametrize(
    ("hosts", "own"),
    [
        ([{"hostIdentifier": "web01"}, {"hostIdentifier": "db01"}], [0]),
        ([{"hostIdentifier": "WEB01"}, {"hostIdentifier": "web011"}], [0]),
        ([{"hostIdentifier": "web01.example.org"}, {"hostIdentifier": "db01.example.org"}], [0]),
        ([{"hostIdentifier": "web01.example.org"}, {"hostIdentifier": "web01.example.net"}], []),
        ([{"hostIdentifier": UUID, "decorations": {"hostname": "web01"}}, {"hostIdentifier": "other-uuid"}], [0]),
        ([{"hostIdentifier": "web01"}, {"hostIdentifier": UUID, "decorations": {"hostname": "web01"}}], [0, 1]),
        ([{"hostIdentifier": None, "hostname": "web01"}, {"hostIdentifier": "db01"}], [0]),
        ([{"hostIdentifier": UUID}], [0]),
        ([{"hostIdentifier": None}, {"hostIdentifier": "db01"}, {"hostIdentifier": "db02"}], [0]),
        ([{"hostIdentifier": "db01"}, {"hostIdentifier": "db02"}], []),
    ],
)
def test_of_interleaved_hosts_only_the_own_rows_are_taken(hosts: list[dict[str, Any]], own: list[int], tmp_path: Path) -> None:
    log = tmp_path / "fleet.log"
    lines = [event(row(100 * turn + number), **host) for turn in range(5) for number, host in enumerate(hosts)]
    log.write_bytes(b"\n".join(lines) + b"\n")
    gathered = gather_osquery([log], wanted=lambda change: True, host="web01")
    assert numbers(gathered) == [100 * turn + number for turn in range(5) for number in own]
    others = any("were left out" in words for words in gathered.problems)
    assert others == (len(own) < len(hosts))


def test_a_hundred_thousand_rows_on_one_line_are_read_in_linear_time_and_little_memory(tmp_path: Path) -> None:
    def lay(count: int) -> Path:
        path = tmp_path / f"{count}.log"
        path.write_bytes(batch([row(number) for number in range(count)]) + b"\n" + event(row(count)) + b"\n")
        return path

    def cpu_s(path: Path) -> float:
        start = time.process_time()
        gathered = gather_osquery([path], wanted=lambda change: change.item % 1000 == 0, host="web01")
        assert gathered.rows["read"] == int(path.stem) + 1
        assert len(gathered.changes) == int(path.stem) // 1000 + 1
        return time.process_time() - start

    small, large = lay(25_000), lay(100_000)
    assert min(cpu_s(large) for _ in range(2)) < 8 * cpu_s(small)
    tracemalloc.start()
    cpu_s(small)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * small.stat().st_size


STEPS = st.lists(st.sampled_from(["write", "batch", "look", "turn", "half", "noise"]), max_size=20)


@settings(max_examples=60)
@given(steps=STEPS)
def test_every_row_is_seen_once_whatever_happens(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    log = Log(tmp_path_factory.mktemp("osquery"))
    seen: list[int] = []
    rest = b""
    for number, step in enumerate([*steps, "write", "look", "look"]):
        if rest and step != "look":
            log.append(rest)
            rest = b""
        if step == "write":
            log.write(2)
        elif step == "batch":
            log.append(batch([row(log.next), row(log.next + 1)]) + b"\n")
            log.next += 2
        elif step == "noise":
            log.append(b"noise %d\n" % number)  # two files of the same bytes would be one and its copy
        elif step == "look":
            seen += log.look()
        elif step == "turn" and log.path.stat().st_size:
            log.turn()
        elif step == "half":
            line = event(row(log.next)) + b"\n"
            log.next += 1
            log.append(line[:200])
            rest = line[200:]
    assert sorted(seen) == list(range(1, log.next))
    assert log.bad == steps.count("noise")
    assert log.problems == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"hostIdentifier": "web02"}, True),
        ({"hostIdentifier": "web01.example.org"}, False),
        ({"hostIdentifier": UUID}, False),
        ({"hostIdentifier": UUID, "decorations": {"hostname": "web01"}}, False),
    ],
)
def test_a_log_from_elsewhere_that_only_knows_another_name_is_taken_and_said(
    tmp_path: Path, line: dict[str, Any], said: bool
) -> None:
    log = tmp_path / "r.log"
    log.write_bytes(event(row(1), **line) + b"\n")
    gathered = gather_osquery([log], wanted=lambda change: True, host="web01")
    assert numbers(gathered) == [1]
    assert [words for words in gathered.problems if "'web02'" in words and "'web01'" in words] == gathered.problems
    assert bool(gathered.problems) is said
