"""The recorded incident, whole and with its logs damaged: what is selected of its changes gives the findings of all of them."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fimkit.baseline.diff import diff_states
from fimkit.baseline.snapshot import read_snapshot
from fimkit.correlate.correlate import correlate
from fimkit.correlate.large import correlate_ledger
from fimkit.correlate.ledger import ChangeLedger
from fimkit.evidence.known_states import open_known_states
from fimkit.evidence.seen_states import SeenStates
from fimkit.evidence.store import open_store
from fimkit.model.config_text import load_config
from fimkit.model.watches import WatchSet
from fimkit.verbs.gather import gather_audit, gather_osquery, mend_osquery
from fimkit.verbs.scope import Scope

INCIDENT = Path(__file__).parent.parent / "data/incident-01"
NOW_NS = 1_900_000_000_000_000_000
Lines = list[bytes]


def shuffled(lines: Lines, chance: random.Random) -> Lines:
    return chance.sample(lines, len(lines))


def thinned(lines: Lines, chance: random.Random) -> Lines:
    return [line for line in lines if chance.random() < 0.9]


def told_twice(lines: Lines, chance: random.Random) -> Lines:
    return lines + chance.sample(lines, len(lines) // 3)


def garbled(lines: Lines, chance: random.Random) -> Lines:
    return [line[: chance.randrange(len(line))] + b"\n" if chance.random() < 0.05 else line for line in lines]


def renumbered(lines: Lines, chance: random.Random) -> Lines:
    return [line.replace(b"inode=", b"inode=1") if chance.random() < 0.05 else line for line in lines]


def whole(lines: Lines, chance: random.Random) -> Lines:
    return lines


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("damage", [whole, shuffled, thinned, told_twice, garbled, renumbered])
def test_what_is_selected_gives_the_same_findings(
    damage: Callable[[Lines, random.Random], Lines], seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    for name in ("audit.log", "osqueryd.results.log"):
        (tmp_path / name).write_bytes(b"".join(damage((INCIDENT / name).read_bytes().splitlines(keepends=True), chance)))
    config = load_config(INCIDENT / "fimkit.toml")
    before, after = (dict(read_snapshot(INCIDENT / name).states) for name in ("baseline.jsonl", "after.jsonl"))
    watches = WatchSet(config.paths)
    scope = Scope(watches, before, after)
    audit = gather_audit([tmp_path / "audit.log"], wanted=scope.concerns, worth=scope.may_concern, host=config.host.name)
    osquery = gather_osquery([tmp_path / "osqueryd.results.log"], wanted=scope.concerns, host=config.host.name)
    mend_osquery(osquery, before=before, after=after)
    changes = [*audit.changes, *osquery.changes]
    told = {
        "host": "h", "watches": watches, "before": before, "after": after, "diffs": diff_states(before, after),
        "notes": audit.notes, "seen_ns": NOW_NS,
    }  # fmt: skip
    expected = correlate(changes=changes, **told)
    found = correlate_ledger(changes=ChangeLedger(changes), many=0, **told)
    assert len(expected) > 25
    assert list(found) == expected
    with open_store(bytes(tmp_path / "state"), create=True) as store:
        store.write_baseline(before.values(), who="x", why="", time_ns=1)
    with contextlib.closing(open_known_states(bytes(tmp_path / "state"))) as known:
        told |= {"before": known, "after": SeenStates(known, after.values())}
        assert list(correlate_ledger(changes=ChangeLedger(changes), **told)) == expected
