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


def find(changes: list[Change]) -> Finding:
    before = a_state(b"/w/status", ctime_ns=NOW - STEP_NS, mtime_ns=NOW - STEP_NS)
    last_ns = max(change.time_ns for change in changes)
    after = a_state(b"/w/status", sha256="cd" * 32, ctime_ns=last_ns, mtime_ns=last_ns)
    (finding,) = correlate(
        host="web01", watches=WatchSet([Watch(path=b"/w")]), before={before.path: before}, after={after.path: after},
        diffs=[StateDiff(path=before.path, before=before, after=after, changed=("sha256",))], changes=changes,
        since_ns=NOW - STEP_NS, seen_ns=last_ns + STEP_NS,
    )  # fmt: skip
    return finding


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
    assert f"5000 processes may have had a part in it; the likeliest one and the last {MOST_NAMED - 1} are named" in finding.reasons


def test_all_who_had_a_part_are_named_where_it_is_sure() -> None:
    own = an_actor(pid=7)
    changes = [opening(number, action=Action.TIMES) for number in range(1, 300)]
    finding = find([*changes, replace(opening(300), actor=replace(own, time_ns=NOW + 300 * STEP_NS, event="300.000:300"))])
    assert (finding.attribution, finding.actors[0].pid) == (Attribution.EXACT, 7)
    assert {actor.pid for actor in finding.actors} == {7, *range(1001, 1300)}
