"""A store that was cut short or has another byte: every answer is the one of before, or says what is wrong.

Some damages each by default; ``FIMKIT_TEST_DAMAGES=500`` makes more, ``FIMKIT_TEST_SEED`` others. ``-s`` prints what came of them.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.auditlog import ALICE, BOB, ROOT
from tests.checked_host import CheckedHost, make_checked_host
from tests.faults.forked import Ran, preload, run

__all__: list[str] = []

DAMAGES = int(os.environ.get("FIMKIT_TEST_DAMAGES", "8"))
SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))
MAIN, LOG = "fimkit.sqlite", "fimkit.sqlite-wal"


@dataclass(frozen=True)
class Answer:
    """What a host says of itself: what is open, the baseline, what verifying came to."""

    findings: tuple[tuple[str, ...], ...]
    baseline: bytes
    problems: tuple[str, ...]
    refusals: tuple[str, ...]
    tampered: tuple[str, ...]


class Damaged:
    """A host whose state folder is put back, damaged and asked, again and again."""

    def __init__(self, folder: Path) -> None:
        self.host, self.out = make_host(folder), folder / "out"
        self.master = folder / "master"
        with held_open(self.host.state):  # its log is not written back meanwhile
            for name in ("late", "later"):
                self.host.log.write(self.host.tree / name, "x\n", ALICE)
                assert self._run("check").status == 1
            shutil.copytree(self.host.state, self.master)
        (self.master / "fimkit.sqlite-shm").unlink()
        self.calm = self.ask()
        assert not self.calm.problems and not self.calm.refusals and not self.calm.tampered, self.calm

    def _run(self, *words: Any) -> Ran:
        return run(["--config", *map(str, (self.host.config, *words))], self.out)

    def put_back(self) -> None:
        shutil.rmtree(self.host.state)
        shutil.copytree(self.master, self.host.state)

    def ask(self, damage: Callable[[Path], None] | None = None) -> Answer:
        """Put it back, damage it, and ask all; each refusal must say what to do."""
        self.put_back()
        if damage is not None:
            damage(self.host.state)
        verify, show = self._run("evidence", "verify", "--json"), self._run("baseline", "show", "--json")
        check = self._run("check", "--json", "--all")
        refusals = []
        for ran in (verify, show, check):
            assert ran.status in (0, 1, 2, 3), (ran.status, ran.stderr)
            if ran.status in (2, 3):
                refusals.append(ran.stderr.strip())
        said = json.loads(verify.stdout) if verify.status in (0, 1) and verify.stdout else {"broken": []}
        rows = [json.loads(line) for line in check.lines]
        return Answer(
            findings=tuple(sorted(render(row) for row in rows if row["kind"] != "tampered")),
            baseline=show.stdout,
            problems=tuple(one["words"] for one in said["broken"]),
            refusals=tuple(refusals),
            tampered=tuple(row["reasons"][0] for row in rows if row["kind"] == "tampered"),
        )


@contextlib.contextmanager
def held_open(state: Path) -> Iterator[None]:
    """Have another process read the store: nobody who closes it is the last one."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM findings').fetchone()"
    code += "; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, state / MAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline()
        yield
        process.kill()


def render(row: dict[str, Any]) -> tuple[str, ...]:
    kept = ("id", "path", "kind", "severity", "verdict", "attribution", "first_seen")
    return (*(str(row[name]) for name in kept), json.dumps(row["actors"]))


def make_host(folder: Path) -> CheckedHost:
    """Make a host with a past: changes, findings open, closed and accepted, a ticket, bad lines, a seal."""
    host = make_checked_host(folder, *(f"f{number}" for number in range(40)))
    for number in range(12):
        host.log.write(host.tree / f"f{number}", f"new {number}\n", (ALICE, BOB, ROOT)[number % 3])
    host.log.deny(host.tree / "f20", BOB)
    host.log.append(b"garbage\n")
    host.check()
    host.accept(host.tree / "f3", host.tree / "f4")
    host.log.remove(host.tree / "f5")
    host.run("expect", "--path", "never", "--by", "root", "--until", "1d", "--reason", "a plan")
    host.check()
    key = folder / "key"
    for words in (("keygen", "--output", key), ("seal", "--key", key)):
        done = host.run("baseline", *words)
        assert done.returncode == 0, done.stderr
    assert host.check().status == 1
    return host


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Damaged:
    preload()
    return Damaged(tmp_path_factory.mktemp("damaged"))


def judge(answer: Answer, calm: Answer) -> str:
    """Name what came of a damage; an answer that is another one, and nobody says so, is the one that may not be."""
    if answer.refusals:
        assert all("aside, then restore a backup" in words for words in answer.refusals), answer.refusals
        return "refused, with a remedy"
    if answer.tampered or answer.problems:
        return "said by chain or seal"
    return "the same answer" if answer == calm else "ANOTHER ANSWER"


def flips(file: Path, dice: random.Random, count: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    content = file.read_bytes()
    full = [place for place, byte in enumerate(content) if byte]  # most of a page may be empty
    for _ in range(count):
        place, bit = dice.choice(full), 1 << dice.randrange(8)

        def flip(state: Path, place: int = place, bit: int = bit) -> None:
            with (state / file.name).open("r+b") as stream:
                stream.seek(place)
                (byte,) = stream.read(1)
                stream.seek(place)
                stream.write(bytes([byte ^ bit]))

        yield f"bit {bit} of byte {place} of {file.name}", flip


def cuts(file: Path, dice: random.Random, count: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    size = file.stat().st_size
    for number in range(count):

        def cut(state: Path, length: int = 0 if not number else dice.randrange(size)) -> None:
            os.truncate(state / file.name, length)

        yield f"a cut of {file.name}, number {number}", cut


@pytest.mark.parametrize(
    ("file", "make", "share"), [(MAIN, cuts, 0.4), (LOG, cuts, 0.4), (MAIN, flips, 1.0), (LOG, flips, 1.0)],
    ids=["cut", "cut-log", "flipped", "flipped-log"],
)  # fmt: skip
def test_no_damage_is_answered_as_if_there_were_none(damaged: Damaged, file: str, make: Any, share: float) -> None:
    dice = random.Random(f"{file} {make.__name__} {SEED}")
    counts, wrong = Counter[str](), []
    for name, damage in make(damaged.master / file, dice, max(1, round(DAMAGES * share))):
        answer = damaged.ask(damage)
        came = judge(answer, damaged.calm)
        counts[came] += 1
        if came == "ANOTHER ANSWER":
            wrong.append((name, set(answer.findings) ^ set(damaged.calm.findings), answer.baseline == damaged.calm.baseline))
    print(f"{file} {make.__name__}: {dict(counts)}")
    assert not wrong, wrong


def test_the_way_back_that_the_words_name_leads_to_a_quiet_host(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    done = host.run("evidence", "set-aside")
    assert (done.returncode, "nothing is damaged" in done.stderr) == (2, True), done.stderr
    os.truncate(host.state / MAIN, 60_000)
    was = (host.state / MAIN).read_bytes()
    assert host.check().status == 3
    done = host.run("evidence", "set-aside")
    assert done.returncode == 0, done.stderr
    (folder,) = host.state.glob("aside-*")
    assert (folder / MAIN).read_bytes() == was and folder.stat().st_mode & 0o777 == 0o700
    assert "no baseline in" in host.check().words
    for words in (("create", "--reason", "after a damage"), ("seal", "--anyway", "--key", tmp_path / "key")):
        done = host.run("baseline", *words)
        assert done.returncode == 0, done.stderr
    assert host.check("--all").findings == []
    assert host.run("evidence", "verify").returncode == 0
