"""A file that very many processes opened: a finding names some of them, and says so."""

from dataclasses import replace

import pytest

from fimkit.correlate.correlate import correlate
from fimkit.correlate.judge import MOST_NAMED
from fimkit.model.changes import Action, Change, StateDiff
from fimkit.model.config import Watch
from fimkit.model.findings import Attribution, Finding
from fimkit.model.watches import WatchSet
from tests.evidence.examples import NOW, a_change, a_state, an_actor

STEP_NS = 60_000_000_000


def opening(number: int, **attributes: object) -> Change:
    time_ns = NOW + number * STEP_NS
    actor = an_actor(pid=1000 + number, time_ns=time_ns, event=f"{number}.000:{number}")
    return replace(a_change(b"/w/status", time_ns=time_ns, serial=number, actor=actor), **attributes)


def find(changes: list[Change], **attributes: object) -> Finding:
    before = a_state(b"/w/status", ctime_ns=NOW - STEP_NS, mtime_ns=NOW - STEP_NS)
    last_ns = max(change.time_ns for change in changes)
    after = a_state(b"/w/status", sha256="cd" * 32, ctime_ns=last_ns, mtime_ns=last_ns, **attributes)
    (finding,) = correlate(
        host="web01", watches=WatchSet([Watch(path=b"/w")]), before={before.path: before}, after={after.path: after},
        diffs=[StateDiff(path=before.path, before=before, after=after, changed=("sha256", *attributes))], changes=changes,
        since_ns=NOW - STEP_NS, seen_ns=last_ns + STEP_NS,
    )  # fmt: skip
    return finding


def pids(finding: Finding) -> list[int | None]:
    return [actor.pid for actor in finding.actors]


def words_on_unnamed(finding: Finding) -> str:
    (words,) = (text for text in finding.reasons if "may have had a part" in text)
    return words


@pytest.mark.parametrize("writers", [2, MOST_NAMED])
def test_of_some_all_are_named(writers: int) -> None:
    finding = find([opening(number) for number in range(1, writers + 1)])
    assert finding.attribution is Attribution.AMBIGUOUS
    assert {actor.pid for actor in finding.actors} == {1000 + number for number in range(1, writers + 1)}
    assert not any("are named" in words for words in finding.reasons)


def test_of_very_many_the_likeliest_and_the_last_ones_are_named_and_how_many_there_are_is_said() -> None:
    finding = find([opening(number) for number in range(1, 5001)])
    assert (finding.attribution, finding.actors[0].pid) == (Attribution.AMBIGUOUS, 6000)
    assert len(finding.actors) <= MOST_NAMED and len(finding.evidence) <= MOST_NAMED
    assert finding.actors[0].event in finding.evidence
    assert {actor.pid for actor in finding.actors} <= set(range(6001 - MOST_NAMED, 6001))
    assert {actor.event for actor in finding.actors} == set(finding.evidence)
    assert words_on_unnamed(finding) == (
        "5000 processes may have had a part in it: of the 5000 that can explain it the likeliest one and 31 of the last are named,"
        " 4968 are left out"
    )


def test_all_who_had_a_part_are_named_where_it_is_sure() -> None:
    own = an_actor(pid=7)
    changes = [opening(number, action=Action.TIMES) for number in range(1, 300)]
    finding = find([*changes, replace(opening(300), actor=replace(own, time_ns=NOW + 300 * STEP_NS, event="300.000:300"))])
    assert (finding.attribution, finding.actors[0].pid) == (Attribution.EXACT, 7)
    assert {actor.pid for actor in finding.actors} == {7, *range(1001, 1300)}


@pytest.mark.parametrize("what", [{"action": Action.DENIED, "error": "EACCES"}, {"action": Action.XATTRS}])
def test_who_can_have_done_it_is_named_before_all_who_cannot(what: dict[str, object]) -> None:
    finding = find([opening(1), opening(2), *(opening(number, **what) for number in range(3, 43))])
    assert finding.attribution is Attribution.AMBIGUOUS
    assert pids(finding) == [1002, 1001, *range(1013, 1043)]
    assert {"1.000:1", "2.000:2"} <= set(finding.evidence)
    assert words_on_unnamed(finding) == (
        "42 processes may have had a part in it: the 2 that can explain it and the last 30 of the others are named, 10 are left out"
    )


def test_nobody_else_is_named_where_those_who_can_have_done_it_are_too_many() -> None:
    writers = [opening(number) for number in range(1, 34)]
    finding = find([*writers, *(opening(number, action=Action.DENIED, error="EPERM") for number in range(40, 80))])
    assert set(pids(finding)) == set(range(1002, 1034))
    assert words_on_unnamed(finding) == (
        "73 processes may have had a part in it: of the 33 that can explain it the likeliest one and 31 of the last are named,"
        " 41 are left out"
    )


def test_one_that_is_left_out_is_one() -> None:
    assert words_on_unnamed(find([opening(number) for number in range(1, 34)])).endswith(", 1 is left out")


def test_neither_many_writers_nor_denied_tries_crowd_out_who_set_the_mode_before() -> None:
    chmod = opening(1, action=Action.MODE, new_mode=0o4755)
    others = [opening(number, action=Action.DENIED, error="EPERM") for number in range(100, 140)]
    finding = find([chmod, *(opening(number) for number in range(2, 100)), *others], mode=0o4755)
    assert finding.attribution is Attribution.AMBIGUOUS
    assert 1001 in pids(finding) and "1.000:1" in finding.evidence


def test_the_evidence_has_all_that_a_named_process_did_under_another_program() -> None:
    own = an_actor(pid=66, ppid=40, exe=b"/bin/sh")
    first, last = opening(1), opening(50)
    assert first.actor is not None and last.actor is not None
    by_shell = replace(first, actor=replace(own, time_ns=first.time_ns, event=first.actor.event))
    by_other = replace(last, actor=replace(own, exe=b"/usr/bin/tee", time_ns=last.time_ns, event=last.actor.event))
    finding = find([by_shell, *(opening(number) for number in range(2, 50)), by_other])
    assert pids(finding)[0] == 66 and pids(finding).count(66) == 1
    assert {"1.000:1", "50.000:50"} <= set(finding.evidence)
    assert "2.000:2" not in finding.evidence
