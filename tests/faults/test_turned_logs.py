"""Logs that are turned, packed, cut, replaced and taken away while they are read: each line once, or said to be lost.

Seeded; ``FIMKIT_TEST_TURNS=2000`` makes so many logs, ``FIMKIT_TEST_SEED`` others, ``-s`` prints what was done to them.
"""

import faulthandler
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from fimkit.audit.logfile import LogCursor, find_rotations, load_lines
from fimkit.audit.logpart import fingerprint
from tests.faults.turned_log import GENTLE, ROUGH, TurnedLog

__all__: list[str] = []

LOGS = int(os.environ.get("FIMKIT_TEST_TURNS", "30"))
SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))
HANG_S = 60
STEPS = 14


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    yield
    faulthandler.cancel_dump_traceback_later()


def osquery_line(number: int) -> bytes:
    return b'{"number":%d,"rest":"%b"}\n' % (number, b"x" * (number * 7919 % 900))


class Reader:
    """Reads a log again and again, each time from where it stood, and has things done to the log between any two of its lines."""

    def __init__(self, log: TurnedLog, actions: tuple[str, ...], tally: Counter[str]) -> None:
        self.log, self.actions, self.tally = log, actions, tally
        self.cursor: LogCursor | None = None
        self.read: Counter[int] = Counter()
        self.lost: list[str] = []
        self.problems: list[str] = []
        self.bad: list[object] = []
        log.is_read = self.is_read

    def is_read(self, text: bytes) -> bool:
        """Tell whether a file is the one that was read last: of another one nothing is known that could be missed."""
        cursor = self.cursor
        return cursor is not None and fingerprint(text[: cursor.head_bytes]) == cursor.fingerprint

    def act(self) -> None:
        action = self.log.chance.choice(self.actions)
        self.tally[action] += 1
        self.log.do(action)

    def look(self, steps: int) -> None:
        """Read once; so many things happen meanwhile."""
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        paths = find_rotations(self.log.path)
        if steps and self.log.chance.random() < 0.3:
            self.act()  # between listing and opening
        load = load_lines(paths, cursor=self.cursor, live=True)
        at = {self.log.chance.randrange(1, 3000) for _ in range(steps)}
        for place, (line, _, _) in enumerate(load):
            try:
                self.read[json.loads(line)["number"]] += 1
            except ValueError:
                self.bad.append(line[:80])
            if place in at:
                self.act()
        self.bad += load.bad
        self.lost += load.lost
        self.problems += load.problems
        self.cursor = None if load.cursor is None else LogCursor(**json.loads(json.dumps(asdict(load.cursor))))


def run(folder: Path, seed: int, actions: tuple[str, ...], tally: Counter[str]) -> tuple[Reader, set[int]]:
    """Write, turn and read one log to its end; gives the reader, and which lines it never got."""
    folder.mkdir()
    chance = random.Random(seed)
    log = TurnedLog(folder / "osqueryd.results.log", chance, osquery_line)
    reader = Reader(log, actions, tally)
    log.do("write")
    reader.look(0)  # of what came and went before the first reading nobody knows
    for _ in range(STEPS):
        for _ in range(chance.randrange(4)):
            reader.act()
        reader.look(chance.randrange(3))
    log.settle()
    reader.look(0)
    reader.look(0)
    missed = set(range(1, log.written + 1)) - set(reader.read)
    return reader, {number for number in missed if log.line_of(number) not in log.traceless}


@pytest.mark.parametrize("start", range(0, LOGS, 10))
def test_what_daemons_and_logrotate_do_loses_and_doubles_no_line(tmp_path: Path, start: int) -> None:
    tally = Counter[str]()
    for number in range(start, min(start + 10, LOGS)):
        reader, missed = run(tmp_path / f"log-{number}", SEED * 100_003 + number, GENTLE, tally)
        twice = [line for line, count in reader.read.items() if count > 1]
        assert (sorted(missed)[:5], twice[:5], reader.bad, reader.lost) == ([], [], [], []), (number, reader.problems)
        tally["lines"] += reader.log.written
    print(f"\n{dict(tally)}")


@pytest.mark.parametrize("start", range(0, LOGS, 10))
def test_what_others_do_to_a_log_is_said_where_it_cost_a_line(tmp_path: Path, start: int) -> None:
    tally = Counter[str]()
    for number in range(start, min(start + 10, LOGS)):
        reader, missed = run(tmp_path / f"log-{number}", SEED * 100_003 + number, ROUGH, tally)
        assert not missed or reader.lost, (number, sorted(missed)[:5], reader.log.hurt, reader.problems)
        twice = [line for line, count in reader.read.items() if count > 1]
        is_said = any("read from its start" in words for words in reader.lost)
        assert not twice or is_said, (number, twice[:5], reader.log.hurt, reader.problems)
        tally.update(lines=reader.log.written, missed=len(missed), said=len(reader.lost), twice=len(twice))
    print(f"\n{dict(tally)}")
