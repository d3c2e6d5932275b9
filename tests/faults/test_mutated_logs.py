"""Logs that went wrong in every way, through the readers that `check` has: no crash, no hang, and the books are exact to the line.

Each line is one of those of an event, a bad one that is counted, or blank; each row of osquery's is a change's, of another table,
refused or removed. Both ways of reading audit logs say the same. Seeded, and short by default: ``FIMKIT_TEST_MUTATED=10000000``
alters so many audit records, and a tenth as many osquery lines; ``FIMKIT_TEST_SEED`` others, ``-s`` prints the counts.
"""

import faulthandler
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fimkit.audit.compiled import Way, best_way
from fimkit.audit.logfile import EventLoad, LogCursor, load_events
from fimkit.evidence.store import open_store
from fimkit.model.records import AuditEvent
from fimkit.osquery.results import OsqueryResults
from fimkit.verbs.gather import Gathered, gather_audit, gather_osquery
from tests.checked_host import make_checked_host
from tests.faults.mutations import mutate_audit, mutate_osquery

__all__: list[str] = []

MUTATED = int(os.environ.get("FIMKIT_TEST_MUTATED", "60000"))
SEED = int(os.environ.get("FIMKIT_TEST_SEED", "1"))
AT_ONCE = 20_000
AT_ONCE_OSQUERY = 5_000
HANG_S = 120
"""No batch takes a tenth of it; one that does has every thread's place printed, and the run is over."""


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    yield
    faulthandler.cancel_dump_traceback_later()


def progress() -> None:
    faulthandler.dump_traceback_later(HANG_S, exit=True)


def batches(whole: int, at_once: int) -> Iterator[tuple[int, int]]:
    """Give seed and size of each batch."""
    for number, start in enumerate(range(0, whole, at_once)):
        progress()
        yield SEED * 1_000_003 + number, min(at_once, whole - start)


def records_in(events: list[AuditEvent]) -> int:
    return sum(len(event.types) for event in events)


def read(log: Path, way: Way) -> tuple[list[AuditEvent], EventLoad]:
    load = load_events([log], way=way)
    return list(load), load


def read_in_parts(log: Path, text: bytes, chance: random.Random) -> tuple[list[AuditEvent], Counter[str], int]:
    """Let the log grow by whole lines and by parts of some, with a look at each; gives what was read, counted, and left open."""
    places = sorted(chance.randrange(len(text)) for _ in range(4))
    cursor, events, counted = None, list[AuditEvent](), Counter[str]()
    log.write_bytes(b"")
    for start, end in zip([0, *places], [*places, len(text)], strict=True):
        with log.open("ab") as file:
            file.write(text[start:end])
        load = load_events([log], cursor=cursor, live=True)
        events += load
        cursor = None if load.cursor is None else LogCursor(**json.loads(json.dumps(asdict(load.cursor))))
        counted.update(asdict(load.counters))
        assert load.lost == []
    return events, counted, 0 if cursor is None else len(cursor.pending)


def test_altered_audit_records_lose_no_line_whichever_way_they_are_read(tmp_path: Path) -> None:
    log, counted, altered = tmp_path / "audit.log", Counter[str](), 0
    for seed, size in batches(MUTATED, AT_ONCE):
        text, some = mutate_audit(size, seed)
        log.write_bytes(text)
        lines, blank = text.count(b"\n"), text.split(b"\n")[:-1].count(b"")
        events, load = read(log, best_way())
        bad = load.counters.bad_lines
        assert load.counters.lines == lines, seed
        assert records_in(events) + bad + blank == lines, seed
        assert load.counters.records == records_in(events), seed
        others, other = read(log, Way.PYTHON)
        assert (others == events, other.counters, other.bad) == (True, load.counters, load.bad), seed
        altered += some
        counted.update(lines=lines, blank=blank, bad=bad, records=records_in(events), events=len(events))
    print(f"\n{altered} altered audit records: {dict(counted)}")
    assert altered >= MUTATED


def test_a_log_of_altered_records_that_grows_is_read_once(tmp_path: Path) -> None:
    log, counted = tmp_path / "audit.log", Counter[str]()
    for seed, size in batches(MUTATED // 10, AT_ONCE // 4):
        text, _ = mutate_audit(size, seed)
        blank = text.split(b"\n")[:-1].count(b"")
        events, seen, waiting = read_in_parts(log, text, random.Random(seed))
        assert seen["lines"] == text.count(b"\n"), seed
        assert records_in(events) + seen["bad_lines"] + blank + waiting == seen["lines"], seed
        counted.update(lines=seen["lines"], events=len(events), waiting=waiting)
    print(f"\nin parts: {dict(counted)}")


def gathered_audit(log: Path) -> Gathered:
    return gather_audit([log], wanted=lambda change: True, host="web01")


def test_what_altered_records_claim_can_be_judged_and_stored(tmp_path: Path) -> None:
    log, counted = tmp_path / "audit.log", Counter[str]()
    for seed, size in batches(MUTATED // 10, AT_ONCE // 4):
        text, _ = mutate_audit(size, seed)
        log.write_bytes(text)
        gathered = gathered_audit(log)
        rows = gathered.rows
        assert rows["lines"] == text.count(b"\n") == rows["records"] + rows["blank"] + rows["bad"], seed
        assert rows["bad"] == len(gathered.bad_lines) + sum(gathered.uncounted.values()), seed
        with open_store(os.fsencode(tmp_path / f"state-{seed}"), create=True) as store, store.transaction():
            store.add_changes(gathered.changes)
            store.add_notes(gathered.notes)
            store.add_bad_lines(gathered.bad_lines, time_ns=1, uncounted=gathered.uncounted)
        with open_store(os.fsencode(tmp_path / f"state-{seed}")) as store:
            assert sum(store.bad_line_counts().values()) == rows["bad"], seed
            counted.update(stored=sum(1 for _ in store.changes()), bad=rows["bad"], notes=sum(1 for _ in store.notes()))
    print(f"\nstored: {dict(counted)}")


def rows_of(line: bytes) -> tuple[int, int] | None:
    """Count a line's rows that were added, and that were removed, by itself; nothing where it is no result."""
    try:
        whole: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, dict):
        return None
    if isinstance(whole.get("columns"), dict):
        return (0, 1) if whole.get("action") == "removed" else (1, 0)
    if "diffResults" in whole:
        both = whole["diffResults"] or {}
        added, removed = (both.get("added") or [], both.get("removed") or []) if isinstance(both, dict) else (None, None)
    else:
        added, removed = (whole["snapshot"] or [] if "snapshot" in whole else None), []
    return (len(added), len(removed)) if isinstance(added, list) and isinstance(removed, list) else None


def test_altered_osquery_lines_lose_no_line_and_no_row(tmp_path: Path) -> None:
    log, counted, altered = tmp_path / "osqueryd.results.log", Counter[str](), 0
    for seed, size in batches(MUTATED // 10, AT_ONCE_OSQUERY):
        text, some = mutate_osquery(size, seed)
        lines = [line for line in text.split(b"\n")[:-1] if line.strip()]
        expected = [rows_of(line) for line in lines]
        results = OsqueryResults()
        changes = sum(1 for _ in results.changes_of(lines, file="r.log"))
        assert results.lines == len(lines), seed
        assert results.bad_lines == expected.count(None), seed
        assert results.rows + results.other_rows + results.refused_rows == sum(one[0] for one in expected if one), seed
        assert results.removed_rows == sum(one[1] for one in expected if one), seed
        assert sum(results.bad_rows.values()) == results.bad_lines + results.refused_rows, seed
        altered += some
        log.write_bytes(text)
        gathered = gather_osquery([log], wanted=lambda change: True, host="testhost")
        assert gathered.rows["refused"] == results.refused_rows, seed
        counted.update(lines=len(lines), bad=results.bad_lines, rows=results.rows, refused=results.refused_rows, changes=changes,
                       others=results.other_rows, removed=results.removed_rows)  # fmt: skip
    print(f"\n{altered} altered osquery lines: {dict(counted)}")
    assert altered >= MUTATED // 10


def test_long_osquery_lines_that_were_altered_say_what_short_ones_say() -> None:
    chance = random.Random(SEED)
    for seed, size in batches(MUTATED // 200, 300):
        for line in mutate_osquery(size, seed)[0].split(b"\n"):
            if line.strip() and chance.random() < 0.5:
                assert summary(line) == summary(line + b" " * (1 << 20)), (seed, line[:300])


def summary(line: bytes) -> tuple[Any, ...] | None:
    results = OsqueryResults()
    changes = list(results.changes_of([line], file="r.log"))
    return changes, results.bad_lines, results.rows, results.other_rows, results.refused_rows, results.removed_rows, results.names


def test_a_check_of_altered_logs_ends_well_and_counts_what_was_bad(tmp_path: Path) -> None:
    progress()
    host = make_checked_host(tmp_path, "a", "b")
    audit, _ = mutate_audit(min(MUTATED, 20_000), SEED)
    osquery, _ = mutate_osquery(min(MUTATED, 4_000), SEED)
    tree, now = os.fsencode(host.tree), b"%d" % time.time()  # as if all of it had been done here, and just now
    host.log.append(re.sub(rb"(?<=audit\()1795[0-9]{6}", now, audit.replace(b"/srv/fim", tree)))
    osquery = re.sub(rb'(?<="time":")1795[0-9]{6}', now, osquery.replace(b"/srv/fim", tree))
    host.log.path.with_name("osqueryd.results.log").write_bytes(osquery)
    first, second = host.check(), host.check()
    assert (first.status in (0, 1), second.status) == (True, first.status), first.words
    assert second.findings == []
    assert len(first.findings) > 10
    logs = [host.log.path, host.log.path.with_name("osqueryd.results.log")]
    bad = [gathered_audit(logs[0]).rows["bad"], 0]
    results = OsqueryResults()
    for _ in results.changes_of(logs[1].read_bytes().split(b"\n")[:-1], file="r.log"):
        pass
    bad[1] = sum(results.bad_rows.values())
    with open_store(os.fsencode(host.state)) as store:
        assert store.bad_line_counts() == dict(zip(map(str, logs), bad, strict=True))
