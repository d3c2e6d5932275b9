"""kill -9 at any moment of a verb: what it had acknowledged is there, nothing is there twice, and the next run works.

Some kills each by default; ``FIMKIT_TEST_KILLS=200`` makes more, ``FIMKIT_TEST_SEED`` others. ``-s`` prints what they hit.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.states import FileState
from tests.auditlog import ALICE, BOB, ROOT
from tests.checked_host import CheckedHost, make_checked_host
from tests.faults.forked import CAN_COUNT, Moment, Ran, choose_moment, count_calls, preload, run, start
from tests.faults.kills import Tally, parse_findings, settled, wait_ready

__all__: list[str] = []

ROUNDS = int(os.environ.get("FIMKIT_TEST_KILLS", "12"))
SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    preload()


class Killed:
    """A host whose verbs are killed: runs them as forks, and holds the state folder to what must be so after each."""

    def __init__(self, folder: Path, verb: str, *names: str) -> None:
        self.host = make_checked_host(folder, *names)
        self.dice = random.Random(f"{verb} {SEED}")
        self.tally = Tally(verb, self.host.state)
        self.out = folder / "out"
        self._calm: Ran | None = None

    def words(self, *words: Any) -> list[str]:
        return ["--config", *map(str, (self.host.config, *words))]

    def do(self, *words: Any) -> Ran:
        """Run undisturbed; it must work."""
        ran = run(self.words(*words), self.out)
        assert ran.status in (0, 1), ran.stderr
        self.tally.head = settled(self.host.state, self.tally.head)
        return ran

    def calm(self, *words: Any) -> Ran:
        """Run undisturbed, and measure: moments are chosen by it from then on."""
        counted = count_calls(self.words(*words), self.out)
        assert counted.status in (0, 1), counted.stderr
        self._calm, self.tally.head = counted, settled(self.host.state, self.tally.head)
        return counted

    def kill(self, *words: Any) -> Ran:
        """Run, killed at a moment of chance, and look at what it left."""
        assert self._calm is not None
        ran = run(self.words(*words), self.out, choose_moment(self.dice, self._calm))
        self.tally.after(ran)
        return ran

    def findings(self, *words: Any) -> list[dict[str, Any]]:
        return parse_findings(self.do("check", "--json", *words).lines)


def names_left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_check_loses_and_doubles_nothing(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "check", "a", "b")
    host = killed.host
    host.log.write(host.tree / "first", "x\n", ROOT)
    known = {row["id"] for row in parse_findings(killed.calm("check", "--json").lines)}
    told, again = Counter[str](known), 0
    for number in range(ROUNDS):
        host.log.write(host.tree / f"made{number}", "x\n", (ALICE, BOB, ROOT)[number % 3])
        if number % 5 == 0:
            host.log.append(b"garbage\n")
        if number % 7 == 6:
            host.log.rotate(keep=100)
        printed = {row["id"] for row in parse_findings(killed.kill("check", "--json").lines)}
        # What was printed, and of which it is written down that it was, is never printed again.
        assert not printed & known, "told twice"
        again += len(printed & told.keys())
        told.update(printed)
        with open_store(os.fsencode(host.state)) as store:
            stored = {finding.id for finding in store.findings()}
            assert printed <= stored, "printed, and not stored"
            known |= told.keys() - store.untold()
    last = killed.findings()
    assert not {row["id"] for row in last} & known
    told.update(row["id"] for row in last)
    every = killed.findings("--all")
    names = ("first", *(f"made{number}" for number in range(ROUNDS)))
    assert {row["path"].rpartition("/")[2]: row["kind"] for row in every} == dict.fromkeys(names, "created")
    assert {row["attribution"] for row in every} == {"exact"}
    assert told.keys() == {row["id"] for row in every}
    with open_store(os.fsencode(host.state)) as store:
        events = [change.actor.event for change in store.changes() if change.actor]
        assert sum(store.bad_line_counts().values()) == len(range(0, ROUNDS, 5))
    assert len(events) == len(set(events)) == ROUNDS + 1
    print(f"{killed.tally}; {again} findings told again, for it was not written down that they were")


def test_accept_is_whole_or_not_at_all(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(ROUNDS + 1)]
    killed = Killed(tmp_path, "baseline accept", *names)
    host = killed.host
    for name in names:
        host.log.write(host.tree / name, "new\n")
    assert len(killed.findings()) == len(names)
    before = read_rows(host, names)
    take = ("baseline", "accept", "--reason", "it was planned", "--yes")
    killed.calm(*take, host.tree / names[0])
    for name in names[1:]:
        ran = killed.kill(*take, host.tree / name)
        with open_store(os.fsencode(host.state)) as store:
            is_open = any(finding.path == os.fsencode(host.tree / name) for finding in store.findings())
            row = store.baseline_row(os.fsencode(host.tree / name))
        assert (row == before[name]) is is_open, "half accepted"
        assert not (is_open and b"1 accepted\n" in ran.stdout), "said, and not so"
    killed.do(*take, host.tree)
    assert killed.findings("--all") == []
    with open_store(os.fsencode(host.state)) as store:
        taken = Counter(row.path for row in store.history() if row.acceptance.kind == "accept")
    assert taken == dict.fromkeys((os.fsencode(host.tree / name) for name in names), 1)
    print(killed.tally)


def read_rows(host: CheckedHost, names: Sequence[str]) -> dict[str, FileState | None]:
    with open_store(os.fsencode(host.state)) as store:
        return {name: store.baseline_row(os.fsencode(host.tree / name)) for name in names}


def test_baseline_create_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "baseline create", *(f"f{number}" for number in range(30)))
    host = killed.host
    make = ("baseline", "create", "--force")
    killed.calm(*make, "--reason", "calm")
    counts, was = {"calm": 31}, "calm"
    for number in range(ROUNDS):
        host.put(f"more{number}")
        why = f"round {number}"
        counts[why] = 32 + number
        ran = killed.kill(*make, "--reason", why)
        with open_store(os.fsencode(host.state)) as store:
            meta, rows = store.baseline_meta(), store.baseline()
        assert meta is not None and meta.why in (was, why) and len(rows) == counts[meta.why]
        assert meta.why == why or b"paths stored" not in ran.stdout
        was = meta.why
    killed.do(*make, "--reason", "last")
    assert killed.findings("--all") == []
    print(killed.tally)


def test_expect_is_there_once_when_it_was_said(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "expect", "a")
    killed.calm("expect", "--path", "none", "--by", "root", "--until", "1d", "--reason", "calm", "--json")
    said = set()
    for number in range(ROUNDS):
        ran = killed.kill("expect", "--path", f"p{number}", "--by", "root", "--until", "1d", "--reason", "r", "--json")
        said |= {f"p{number}" for _ in ran.lines}
    with open_store(os.fsencode(killed.host.state)) as store:
        stored = Counter(ticket.paths[0] for ticket in store.tickets())
    assert max(stored.values()) == 1 and said <= stored.keys()
    killed.do("expect", "--path", "last", "--by", "root", "--until", "1d", "--reason", "r")
    killed.findings()
    print(f"{killed.tally}; {len(said)} were said, {len(stored) - 1} are there")


def test_export_is_whole_and_each_finding_goes_out_once(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "export", "a")
    host, folder = killed.host, tmp_path / "exported"
    folder.mkdir()
    whole, feed, cursor = folder / "whole.csv", folder / "feed.jsonl", folder / "cursor"
    once = ("export", "--format", "csv", "--output", whole)
    goes_on = ("export", "--format", "jsonl", "--output", feed, "--cursor", cursor)
    host.log.write(host.tree / "first", "x\n")
    killed.do("check")
    killed.calm(*goes_on)
    killed.do(*once)
    calm = count_calls(killed.words(*once), killed.out)
    for number in range(ROUNDS):
        host.log.write(host.tree / f"made{number}", "x\n")
        killed.do("check")
        if number % 2:
            was = whole.read_bytes()
            ran = run(killed.words(*once), killed.out, choose_moment(killed.dice, calm))
            killed.tally.after(ran)
            now = whole.read_bytes()
            assert now == was or now.count(b"\n") == number + 3, "half a file"
            assert now != was or ran.was_killed
        else:
            killed.kill(*goes_on)
            given = [json.loads(line)["id"] for line in feed.read_bytes().split(b"\n")[:-1]]
            assert len(given) == len(set(given)), "given twice"
    killed.do(*goes_on)
    killed.do(*once)
    given = [json.loads(line)["id"] for line in feed.read_text().splitlines()]
    assert sorted(given) == sorted(row["id"] for row in killed.findings("--all")) and len(set(given)) == len(given)
    assert names_left(folder) == []
    print(killed.tally)


def test_bundle_is_whole_or_not_there(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "evidence bundle", "a")
    host, folder = killed.host, tmp_path / "bundles"
    folder.mkdir()
    host.log.write(host.tree / "a", "new\n")
    (row,) = killed.findings()
    killed.calm("evidence", "bundle", row["id"], "--output", folder / "calm.zip")
    made = 0
    for _ in range(ROUNDS):
        file = folder / f"{made}.zip"  # one that was not made is tried again
        ran = killed.kill("evidence", "bundle", row["id"], "--output", file)
        assert file.exists() or ran.was_killed
        if file.exists():
            assert run(["evidence", "verify-bundle", file], killed.out).status == 0
            made += 1
    killed.do("evidence", "bundle", row["id"], "--output", folder / f"{made}.zip")
    assert names_left(folder) == []
    print(f"{killed.tally}; {made} are there, each whole")


def test_seal_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    killed = Killed(tmp_path, "baseline seal", "a", "b")
    host, key = killed.host, tmp_path / "key"
    killed.do("baseline", "keygen", "--output", key)
    killed.calm("baseline", "seal", "--key", key)
    for _ in range(ROUNDS):
        killed.kill("baseline", "seal", "--key", key)
        ran = run(killed.words("baseline", "verify"), killed.out)
        assert ran.status == 0, (ran.stdout, ran.stderr)
        settled(host.state, killed.tally.head)
    killed.do("baseline", "seal", "--key", key)
    assert killed.findings("--all") == []
    print(killed.tally)


def test_watch_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """It follows a log, so that no kernel is needed. A killed watch is itself a finding of the next look, medium, once each."""
    killed = Killed(tmp_path, "watch", "a")
    host, dice = killed.host, killed.dice
    words = killed.words("watch", "--json", "--records", "log", "--nomail")
    told, known, made, ends = Counter[str](), set[str](), 0, 0
    for _ in range(ROUNDS):
        by_call = CAN_COUNT and dice.random() < 0.6
        running = start(words, killed.out, moment=Moment(call=dice.randint(1, 400)) if by_call else None)
        if dice.random() < 0.7:
            wait_ready(host.state, running)
        until = time.monotonic() + dice.uniform(0.0, 1.2)
        while time.monotonic() < until and not running.poll():
            host.log.write(host.tree / f"made{made}", "x\n", (ALICE, BOB)[made % 2])
            made += 1
            time.sleep(dice.uniform(0.02, 0.2))
        running.kill()
        ran = running.end()
        killed.tally.after(ran)
        ends += not ran.was_killed
        printed = Counter(row["id"] for row in parse_findings(ran.lines))
        assert not printed.keys() & known, "told twice"
        told.update(printed)
        with open_store(os.fsencode(host.state)) as store:
            assert printed.keys() <= {row.finding.id for row in store.finding_rows(None)}, "printed, and not stored"
            known |= told.keys() - store.untold()
    assert not ends
    last = killed.findings()
    told.update(row["id"] for row in last)
    every = killed.findings("--all")
    files = {row["path"]: row for row in every if row["kind"] != "tampered"}
    assert files.keys() == {str(host.tree / f"made{number}") for number in range(made)}
    assert {(row["kind"], row["attribution"], len(row["actors"])) for row in files.values()} == {("created", "exact", 1)}
    meddled = [row for row in every if row["kind"] == "tampered"]
    assert {(row["path"], row["severity"]) for row in meddled} <= {(str(host.state), "medium")}
    assert {row["id"] for row in every} <= told.keys()
    with open_store(os.fsencode(host.state)) as store:
        events = [change.actor.event for change in store.changes() if change.actor]
    assert len(events) == len(set(events)) == made
    print(f"{killed.tally}; {made} changes, {len(meddled)} findings of a killed watch")
