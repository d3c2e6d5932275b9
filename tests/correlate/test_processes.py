"""Which steps are one process's, and in which order changes stand: the quick ways give what the plain definitions give."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fimkit.correlate.causes import distinct_processes
from fimkit.correlate.frames import in_order
from fimkit.correlate.lives import Step
from fimkit.model.changes import Action, Actor, Change
from tests.evidence.examples import NOW, a_change

FEW = st.sampled_from([None, 1, 2])
WHO = st.tuples(FEW, FEW, FEW, FEW, st.sampled_from([None, b"/bin/a", b"/bin/b"]))
CLAIM = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([Action.OPENED, Action.MODE]), st.sampled_from(["c", "d"]))


def actor(pid: int | None, auid: int | None, ses: int | None, ppid: int | None, exe: bytes | None) -> Actor:
    made = a_change().actor
    assert made is not None
    return replace(made, pid=pid, auid=auid, ses=ses, ppid=ppid, exe=exe)


def same_process(one: Actor, other: Actor) -> bool:
    """Say it as it is meant: a pid is given again, so login and session agree, and program or parent."""
    return (one.pid, one.auid, one.ses) == (other.pid, other.auid, other.ses) and (one.exe == other.exe or one.ppid == other.ppid)


@given(st.lists(st.none() | st.builds(lambda who: actor(*who), WHO), max_size=20))
def test_each_process_is_given_once_by_its_first_step(actors: list[Actor | None]) -> None:
    expected: list[Actor] = []
    for one in actors:
        if one is not None and not any(same_process(one, other) for other in expected):
            expected.append(one)
    steps = [Step(order=row, change=a_change(actor=one), path=b"/etc/x") for row, one in enumerate(actors)]
    found = distinct_processes(steps)
    assert found == expected


@given(st.lists(CLAIM, max_size=20))
def test_changes_stand_in_their_order_and_what_is_told_twice_stands_once(claims: list[tuple[int, int, Action, str]]) -> None:
    changes = [a_change(time_ns=NOW + time, serial=serial, action=action, cookie=cookie) for time, serial, action, cookie in claims]
    kept = in_order(changes)
    assert set(kept) == set(changes)
    assert len(kept) == len(set(changes))
    assert sorted(kept, key=place_of) == kept


def place_of(change: Change) -> tuple[int, int, int, str]:
    return change.time_ns, change.serial, change.item, change.action
