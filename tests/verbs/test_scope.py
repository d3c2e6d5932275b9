"""Which changes are kept: by name, by inode, and by what came into the watched paths in between."""

import random
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.audit.changes import AuditChanges
from fimkit.audit.logfile import load_events
from fimkit.model.changes import Action, Change, Source
from fimkit.model.config import Watch
from fimkit.model.records import AuditEvent
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.gather import gather_audit
from fimkit.verbs.scope import Scope
from tests.audit.lines import LOGS

ROOT = FileState(path=b"/w", type=FileType.DIRECTORY, dev=1, inode=2)


def change(action: Action, path: bytes | None, inode: int | None, parent: int | None, *, sure: bool = True) -> Change:
    return Change(
        source=Source.AUDIT, action=action, time_ns=1, path=path, path_sure=sure, dev=1, inode=inode, parent_dev=1,
        parent_inode=parent,
    )  # fmt: skip


def test_a_file_in_a_folder_that_came_and_went_is_followed_behind_a_dirfd() -> None:
    scope = Scope(WatchSet([Watch(path=b"/w")]), {b"/w": ROOT})
    away = change(Action.UNLINKED, b"/f", 11, 10, sure=False)
    assert not scope.concerns(away)
    assert scope.concerns(change(Action.BORN, b"/w/d", 10, 2))
    assert scope.concerns(change(Action.BORN, b"/deep", 12, 10, sure=False))
    assert scope.concerns(change(Action.BORN, b"/deeper", 13, 12, sure=False))
    assert scope.concerns(away)
    assert not scope.concerns(change(Action.BORN, b"/elsewhere", 99, 98))


def test_a_call_that_says_nothing_of_its_file_may_have_been_for_any() -> None:
    scope = Scope(WatchSet([Watch(path=b"/w")]), {b"/w": ROOT})
    nameless = Change(source=Source.AUDIT, action=Action.LOST, time_ns=1)
    assert scope.concerns(nameless)


EVENTS = [event for log in LOGS for event in load_events([log])]
PLACES = sorted(
    {(item.dev, item.inode) for event in EVENTS for item in event.items if item.dev is not None and item.inode is not None}
)
NAMES = sorted({item.name for event in EVENTS for item in event.items if item.name is not None and item.name.startswith(b"/")})


def scope_of(roots: Iterable[bytes], places: Iterable[tuple[int | None, int | None]]) -> Scope:
    states = [
        FileState(path=b"/w/%d" % number, type=FileType.FILE, dev=place[0], inode=place[1]) for number, place in enumerate(places)
    ]
    return Scope(WatchSet([Watch(path=root) for root in roots]), {state.path: state for state in states})


def claims_of(reader: AuditChanges, scope: Scope, event: AuditEvent) -> list[Change]:
    return list(filter(scope.concerns, reader.changes_of(event)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
    st.lists(st.sampled_from(PLACES), max_size=5),
    st.randoms(use_true_random=False),
)
def test_what_is_passed_over_would_have_concerned_nothing(
    roots: list[bytes], places: list[tuple[int, int]], shuffler: random.Random
) -> None:
    events = shuffler.sample(EVENTS, 400)
    # lose a word here and there: no working directory, no name, no device, a record less
    for number in range(0, len(events), 5):
        event = events[number]
        items = tuple(shuffler.choice([item, item._replace(name=None), item._replace(dev=None)]) for item in event.items)
        events[number] = event._replace(cwd=shuffler.choice([None, event.cwd]), items=items[: shuffler.choice([None, -1])])
    all_of, some_of, all_scope, some_scope = AuditChanges(), AuditChanges(), scope_of(roots, places), scope_of(roots, places)
    for event in events:
        expected = claims_of(all_of, all_scope, event)
        if some_scope.may_concern(event):
            assert claims_of(some_of, some_scope, event) == expected
        else:
            some_of.pass_over(event)
            assert expected == []
    assert all_scope._learned == some_scope._learned


def test_a_log_gives_the_same_with_and_without_the_quick_look() -> None:
    for roots in ([b"/srv/fim/lab/tree"], [b"/etc"], [b"/"]):
        for log in LOGS:
            asked, plain = scope_of(roots, PLACES[:3]), scope_of(roots, PLACES[:3])
            quick = gather_audit([log], wanted=asked.concerns, worth=asked.may_concern, host="h")
            slow = gather_audit([log], wanted=plain.concerns, host="h")
            assert list(quick.changes) == list(slow.changes)
            assert replace(quick, changes=()) == replace(slow, changes=())


def test_most_events_elsewhere_are_passed_over() -> None:
    scope = scope_of([b"/nowhere"], [])
    passed = [event for event in EVENTS if event.syscall is not None and not scope.may_concern(event)]
    assert len(passed) > 0.9 * len([event for event in EVENTS if event.syscall is not None])
