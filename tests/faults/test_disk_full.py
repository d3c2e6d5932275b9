"""A disk that takes no more, at any write: the refusal names the folder, nothing is half written, and the next run makes it good.

A small disk of memory is filled to leave some kilobytes, in steps. A few seeded ones by default; ``FIMKIT_TEST_STEPS=400`` makes
more, ``FIMKIT_TEST_SEED`` others. ``-s`` prints what came of them. Also without a free inode, and read-only.
"""

import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.store import open_store
from fimkit.panic.namespaces import Namespace
from tests.auditlog import ALICE, ROOT
from tests.checked_host import CheckedHost, make_checked_host
from tests.faults.forked import Ran, Running, preload, run, start
from tests.faults.kills import parse_findings, settled, wait_ready
from tests.faults.scene import fill, mount_small
from tests.panic.confined import confined

__all__: list[str] = []

STEPS = int(os.environ.get("FIMKIT_TEST_STEPS", "3"))
SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))
SMALL_KB, MOST_KB = 4096, 480
MADE = 60


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    preload()


class SmallDisk:
    """A host whose state folder is on a small disk of its own; ``master`` is how that is each time before a verb runs."""

    def __init__(self, folder: Path) -> None:
        self.small = mount_small(folder, kilobytes=SMALL_KB)
        made = make_checked_host(folder, "a", "b", "c")
        made.log.write(made.tree / "a", "new\n", ALICE)
        made.check()
        self.state, self.master, self.out, self.key = self.small / "state", folder / "master", folder / "out", folder / "key"
        made.config.write_text(made.config.read_text().replace(f'"{made.base}/state"', f'"{self.state}"'))
        (made.base / "state").rename(self.master)
        self.host = CheckedHost(made.base, made.log, config_file=made.config)
        assert self.do("baseline", "keygen", "--output", self.key).status == 0
        for number in range(MADE):
            made.log.write(made.tree / f"made{number}", "x\n", ROOT)

    def do(self, *words: Any) -> Ran:
        return run(["--config", *map(str, (self.host.config, *words))], self.out)

    def put_back(self) -> None:
        for path in self.small.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self.master, self.state)

    def leave(self, kilobytes: int) -> None:
        """Fill the disk up to so many kilobytes."""
        seen = os.statvfs(self.small)
        with (self.small / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, seen.f_bavail * seen.f_frsize - kilobytes * 1024))

    def leave_inodes(self, count: int) -> None:
        """Let so many files more be made."""
        seen = os.statvfs(self.small)
        self.remount(f"nr_inodes={seen.f_files - seen.f_ffree + count}")

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.small], check=True)

    def relieve(self) -> None:
        self.remount("rw,nr_inodes=10000")
        (self.small / "filler").unlink(missing_ok=True)

    def id_of(self, name: str) -> str:
        with open_store(os.fsencode(self.state)) as store:
            return next(one.id for one in store.findings() if one.path == os.fsencode(self.host.tree / name))


Words = Callable[[SmallDisk], tuple[Any, ...]]
VERBS: dict[str, Words] = {
    "check": lambda disk: ("check", "--json"),
    "accept": lambda disk: ("baseline", "accept", "--yes", "--reason", "r", disk.host.tree / "a"),
    "create": lambda disk: ("baseline", "create", "--force", "--reason", "r"),
    "expect": lambda disk: ("expect", "--path", "p", "--by", "root", "--until", "1d", "--reason", "r"),
    "seal": lambda disk: ("baseline", "seal", "--key", disk.key),
    "export": lambda disk: ("export", "--format", "csv", "--output", disk.small / "out.csv"),
    "bundle": lambda disk: ("evidence", "bundle", disk.id_of("a"), "--output", disk.small / "out.zip"),
}


def play(disk: SmallDisk, words: Words, trouble: Callable[[], object]) -> str:
    """Run one verb on a disk in trouble, see to what it left, and run it again when all is well."""
    disk.put_back()
    head, said = settled(disk.state, None), words(disk)
    before = answer_of(disk)
    trouble()
    ran = disk.do(*said)
    assert ran.status in (0, 1, 3), (ran.status, ran.stderr)
    assert ran.status != 3 or str(disk.small) in ran.stderr, f"refused, and the folder is not named: {ran.stderr}"
    disk.relieve()
    settled(disk.state, head)
    left = {path.name for path in disk.small.iterdir()} - {"state", "out.csv", "out.zip"}
    assert not left, f"left beside: {left}"
    if ran.status == 3:
        assert not {path.name for path in disk.small.iterdir()} & {"out.csv", "out.zip"}, "half a file"
        if "check" not in said:  # one that could store, and not write down that it told, tells it again
            assert answer_of(disk) == before, "refused, and done in part"
        again = disk.do(*said)
        assert again.status in (0, 1), again.stderr
        told = {Path(row["path"]).name for row in parse_findings(again.lines)} if "check" in said else set()
        assert "check" not in said or told >= {f"made{number}" for number in range(MADE)}
    settled(disk.state, head)
    return "refused" if ran.status == 3 else "done"


def answer_of(disk: SmallDisk) -> tuple[Any, ...]:
    with open_store(os.fsencode(disk.state)) as store:
        return store.baseline(), store.baseline_meta(), store.open_ids(), len(store.tickets()), store.seals()


def told(running: Running) -> int:
    """Count what was told of the files that were made on the full disk, alone or in a group."""
    rows = [row for row in parse_findings(running.lines) if Path(row["path"]).name.startswith("full")]
    return sum(row["group"]["count"] if "group" in row else 1 for row in rows)


def steps(verb: str) -> list[int]:
    dice = random.Random(f"{verb} {SEED}")
    every = range(0, MOST_KB, 4)
    return list(every) if len(every) <= STEPS else [0, *sorted(dice.sample(every[1:], STEPS - 1))]


@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_named_and_the_next_run_makes_it_good(verb: str, tmp_path: Path) -> None:
    def play_all(where: Namespace) -> None:
        disk, counts = SmallDisk(tmp_path), Counter[str]()
        for kilobytes in steps(verb):
            counts[play(disk, VERBS[verb], lambda kilobytes=kilobytes: disk.leave(kilobytes))] += 1  # type: ignore[misc]
        counts[f"{play(disk, VERBS[verb], lambda: disk.remount('ro'))} read-only"] += 1
        for inodes in range(3):
            came = play(disk, VERBS[verb], lambda inodes=inodes: disk.leave_inodes(inodes))  # type: ignore[misc]
            counts[f"{came} with {inodes} inodes"] += 1
        print(f"{verb}: {dict(counts)}", flush=True)

    confined(play_all)()


def test_a_watch_on_a_full_disk_goes_on_tells_all_and_stores_it_when_there_is_room(tmp_path: Path) -> None:
    def watch(where: Namespace) -> None:
        disk = SmallDisk(tmp_path)
        disk.put_back()
        running = start(["--config", str(disk.host.config), "watch", "--json", "--records", "log", "--nomail"], disk.out)
        try:
            wait_ready(disk.state, running)
            fill(disk.small)
            for number in range(40):
                disk.host.log.write(disk.host.tree / f"full{number}", "x", ALICE)
            running.wait(lambda: told(running) == 40)
            running.wait(lambda: "disk is full; what is found is told and handed on all the same" in running.stderr)
            disk.relieve()
            running.wait(lambda: "what is found can be stored again" in running.stderr)
            running.kill(signal.SIGTERM)
            ran = running.end()
        finally:
            running.kill()
        assert ran.status == 1 and str(disk.small) in ran.stderr, ran.stderr
        assert not ran.left and told(running) == 40, "once each"
        settled(disk.state, None)
        ran = disk.do("check", "--json", "--all")
        rows = {Path(row["path"]).name: row for row in parse_findings(ran.lines)}
        made = [rows[f"{name}{number}"] for name, count in (("made", MADE), ("full", 40)) for number in range(count)]
        assert {row["attribution"] for row in made} == {"exact"}
        assert "the disk was full" in ran.stderr, ran.stderr

    confined(watch)()
