"""Changes that are not at hand: they make it unsure who did what they may have had a part in, and nothing else."""

import pytest

from fimkit.correlate.correlate import correlate
from fimkit.correlate.reasons import LEFT_OUT
from fimkit.model.changes import Action, Change, StateDiff, left_out
from fimkit.model.config import Watch
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.states import FileKey, FileState
from fimkit.model.watches import WatchSet
from tests.evidence.examples import NOW, a_change, a_state, an_actor

PATH, NUMBER = b"/w/status", 77
SECOND = 1_000_000_000
OWN = FileKey(65024, NUMBER)


def change(action: Action, at_s: float, path: bytes = PATH, pid: int = 7) -> Change:
    time_ns = NOW + int(at_s * SECOND)
    actor = an_actor(pid=pid, time_ns=time_ns, event=f"{time_ns}:1")
    return a_change(path, time_ns=time_ns, serial=1, action=action, actor=actor)


def state(at_s: float, path: bytes = PATH, **attributes: object) -> FileState:
    return a_state(path, mtime_ns=NOW + int(at_s * SECOND), ctime_ns=NOW + int(at_s * SECOND), **attributes)


def gap(first_s: float, last_s: float, key: FileKey | None = None) -> Change:
    return left_out(NOW + int(first_s * SECOND), NOW + int(last_s * SECOND), key)


def find(changes: list[Change], before: list[FileState], after: list[FileState], kind: Kind) -> Finding:
    """Give the one finding of that kind at the path."""
    was, now = ({one.path: one for one in states} for states in (before, after))
    diffs = [
        StateDiff(path=path, before=was.get(path), after=now.get(path), changed=("sha256",) if path in was and path in now else ())
        for path in {**was, **now}
    ]
    found = correlate(
        host="web01", watches=WatchSet([Watch(path=b"/w")]), before=was, after=now, diffs=diffs, changes=changes, since_ns=NOW,
        seen_ns=NOW + 100 * SECOND,
    )  # fmt: skip
    (finding,) = (one for one in found if one.path == PATH and one.kind is kind)
    return finding


def judge(finding: Finding) -> bool:
    """Tell whether it is unsure who did it for what is left out, and that alone."""
    said = LEFT_OUT in finding.reasons
    assert finding.attribution is (Attribution.AMBIGUOUS if said else Attribution.EXACT)
    assert [actor.pid for actor in finding.actors] == [7]
    return said


@pytest.mark.parametrize(
    ("missing", "unsure"),
    [
        (gap(1, 9.995), True),  # a call's record is stamped a little before what it does
        (gap(1, 9.9), False),
        (gap(1, 9.9, OWN), False),
        (gap(10.1, 12, OWN), True),
        (gap(10.1, 12, FileKey(65024, 78)), False),
        (gap(15, 18, OWN), False),  # its last change was before
    ],
)
def test_a_file_that_came_is_unsure_from_its_birth_to_its_last_change(missing: Change, unsure: bool) -> None:
    made = [change(Action.BORN, 10), change(Action.OPENED, 12), missing]
    assert judge(find(made, [], [state(12)], Kind.CREATED)) is unsure


@pytest.mark.parametrize(("missing", "unsure"), [(gap(1, 5), True), (gap(1, 5, OWN), False), (gap(10.1, 12, OWN), True)])
def test_what_is_left_out_of_a_number_given_again_is_of_the_file_before(missing: Change, unsure: bool) -> None:
    made = [change(Action.UNLINKED, 9), change(Action.BORN, 10), change(Action.OPENED, 12), missing]
    after = [state(12, sha256="cd" * 32)]
    assert judge(find(made, [state(0)], after, Kind.MODIFIED)) is unsure


@pytest.mark.parametrize(("missing", "unsure"), [(gap(1, 5, OWN), True), (gap(12, 14, OWN), False), (gap(12, 14), True)])
def test_a_deleted_file_is_unsure_until_its_end(missing: Change, unsure: bool) -> None:
    other = change(Action.BORN, 20, b"/w/other", pid=8)
    assert judge(find([change(Action.UNLINKED, 10), other, missing], [state(0)], [state(20, b"/w/other")], Kind.DELETED)) is unsure


@pytest.mark.parametrize(("missing", "unsure"), [(gap(1, 5, OWN), False), (gap(10.5, 11, OWN), True), (gap(13, 18, OWN), False)])
def test_a_passing_file_is_unsure_as_long_as_it_was(missing: Change, unsure: bool) -> None:
    passing = [change(Action.BORN, 10), change(Action.UNLINKED, 12), change(Action.BORN, 20, b"/w/other", pid=8), missing]
    assert judge(find(passing, [], [state(20, b"/w/other")], Kind.TRANSIENT)) is unsure
