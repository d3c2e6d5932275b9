"""What is selected of many changes gives, to the letter, the findings that all of them give."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.correlate.correlate import correlate
from fimkit.correlate.large import correlate_ledger
from fimkit.correlate.ledger import ChangeLedger
from fimkit.model.changes import Action, Change, Note, NoteKind, Source
from fimkit.model.findings import Kind
from fimkit.model.states import FileState
from tests.correlate import test_osquery_world as by_osquery
from tests.correlate.test_world import STEP, WATCHES, play, prepared
from tests.correlate.world import DEV, World, differences

Steps = list[tuple[str, int, int, int, int]]
MUTATIONS = ["drop", "denied", "lost", "nameless", "parentless", "unsure", "twice", "early", "device", "other_text", "no_actor"]


def mutated(change: Change, how: str) -> list[Change]:
    """Make of one record what a busy kernel, a chroot or another file system may have made of it."""
    if how == "drop":
        return []
    if how == "denied":
        return [replace(change, action=Action.DENIED, error="EACCES")]
    if how == "lost":
        return [replace(change, action=Action.LOST, dev=None, inode=None)]
    if how == "nameless":
        return [replace(change, path=None, path_sure=False)]
    if how == "parentless":
        return [replace(change, parent_dev=None, parent_inode=None)]
    if how == "unsure" and change.path is not None:
        return [replace(change, path=b"/w/x/" + change.path.rpartition(b"/")[2], path_sure=False)]
    if how == "other_text" and change.path is not None:
        return [replace(change, path=b"/w" + change.path)]
    if how == "early":
        return [replace(change, time_ns=change.time_ns - 10_000_000_000)]
    if how == "device":
        return [replace(change, dev=99, parent_dev=99)]
    if how == "no_actor":
        return [replace(change, actor=None)]
    return [change, change]


def hold_equal(
    world: World, before: dict[bytes, FileState], changes: list[Change], accepted_ns: dict[bytes, int] | None = None
) -> None:
    after = world.snapshot()
    notes = [Note(source=Source.AUDIT, kind=NoteKind.INCOMPLETE, time_ns=world.now, text="half an event")]
    told = {
        "host": "h", "watches": WATCHES, "before": before, "after": after, "diffs": differences(before, after), "notes": notes,
        "since_ns": world.begun_ns, "accepted_ns": accepted_ns, "seen_ns": world.now,
    }  # fmt: skip
    expected = correlate(changes=changes, **told)
    found = correlate_ledger(changes=ChangeLedger(changes), many=0, **told)
    assert list(found) == expected
    events = {event for finding in expected for event in finding.evidence}
    arrivals = [change for change in changes if change.action in (Action.BORN, Action.LINKED, Action.MOVED_TO)]
    passed = {event for finding in expected if finding.kind is Kind.TRANSIENT for event in finding.evidence}
    assert events <= {change.actor.event for change in found.changes if change.actor is not None}
    assert passed & {one.actor.event for one in arrivals if one.actor} == passed & {
        one.actor.event for one in found.changes if one.actor and one in arrivals
    }


@settings(max_examples=400, deadline=None)
@given(st.lists(STEP, max_size=12), st.lists(STEP, max_size=25), st.data())
def test_mutated_records_select_to_the_same_findings(earlier: Steps, steps: Steps, data: st.DataObject) -> None:
    world = prepared()
    world.gives_again = data.draw(st.booleans())
    for step in earlier:
        play(world, step)
    before = world.begin(keep_records=True)
    for step in steps:
        play(world, step)
    hows = data.draw(st.dictionaries(st.integers(0, max(len(world.changes) - 1, 0)), st.sampled_from(MUTATIONS), max_size=8))
    changes = [one for row, change in enumerate(world.changes) for one in (mutated(change, hows[row]) if row in hows else [change])]
    accepted = dict.fromkeys(data.draw(st.lists(st.sampled_from(sorted(before)), max_size=2)), world.now)
    hold_equal(world, before, changes, accepted)


@settings(max_examples=300, deadline=None)
@given(by_osquery.STEPS, by_osquery.STEPS, by_osquery.LAGS, st.randoms(use_true_random=False))
def test_what_both_sources_say_selects_to_the_same_findings(
    earlier: Steps, steps: Steps, lag_ns: int, chance: random.Random
) -> None:
    world = by_osquery.prepared(lag_ns)
    world.gives_again = chance.random() < 0.5
    for step in earlier:
        play(world, step)
    before = world.begin(keep_records=True)
    for step in steps:
        play(world, step)
    world.wait(60 * by_osquery.SECOND)
    told = [change for change in (*world.changes, *world.told(before)) if chance.random() < 0.9]
    chance.shuffle(told)
    hold_equal(world, before, told)


def test_a_device_that_records_call_otherwise_is_found_in_the_selection_too() -> None:
    world = prepared()
    before = world.begin()
    world.write(1001, b"/w/a")
    world.write(1002, b"/w/b", recorded=False)
    world.open_only(1003, b"/w/x/b")
    changes = [replace(change, dev=7, parent_dev=7 if change.parent_dev == DEV else None) for change in world.changes]
    hold_equal(world, before, changes)


def test_only_what_can_matter_is_taken() -> None:
    world = prepared()
    before = world.begin()
    for _ in range(100):
        world.open_only(1001, b"/w/x/a")
    world.write(1002, b"/w/x/b")
    after = world.snapshot()
    found = correlate_ledger(
        host="h", watches=WATCHES, before=before, after=after, diffs=differences(before, after),
        changes=ChangeLedger(world.changes), since_ns=world.begun_ns, seen_ns=world.now, many=0,
    )  # fmt: skip
    assert [finding.path for finding in found] == [b"/w/x/b"]
    assert len(found.changes) == 1


def test_no_change_at_all_is_no_finding() -> None:
    world = prepared()
    before = world.begin()
    hold_equal(world, before, [])
