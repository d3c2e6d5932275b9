"""A file that one process opens again and again: what is held and named of it stays small, and says as much."""

from dataclasses import replace

from fimkit.correlate.causes import steps_within, thin_openings
from fimkit.correlate.frames import in_order
from fimkit.correlate.lives import Step
from fimkit.correlate.picture import LAST_OPENINGS, ChangeIndex
from fimkit.model.changes import Action, Change
from fimkit.model.states import FileKey
from tests.evidence.examples import NOW, a_change


def opening(number: int, **attributes: object) -> Change:
    return a_change(serial=number, time_ns=NOW + number * 1_000_000, **attributes)


def held(index: ChangeIndex) -> list[int]:
    return [index[row].serial for row in index.at_path(b"/etc/x")]


def add(index: ChangeIndex, change: Change) -> None:
    """Take in a change that is stored at once."""
    index.add(change, is_odd=False)
    index.note_stored()


def spans(index: ChangeIndex) -> list[tuple[int, int]]:
    """Give what stands for several, as the numbers of the first and the last of them."""
    changes = (index[row] for row in index.at_path(b"/etc/x"))
    return [tuple((one - NOW) // 1_000_000 for one in (change.time_ns, change.last_ns)) for change in changes if change.last_ns]


def test_the_first_and_the_last_openings_by_one_process_are_held() -> None:
    index = ChangeIndex()
    for number in range(100):
        index.add(opening(number), is_odd=False)
    assert held(index) == [0, 1, *range(100 - LAST_OPENINGS, 100)]
    assert spans(index) == [(1, 100 - LAST_OPENINGS - 1)]
    assert len(index) == LAST_OPENINGS + 2
    assert [index[row].serial for row in index.of_key(FileKey(65024, 77))] == held(index)
    assert index.forgotten == 0


def test_one_that_comes_late_takes_its_place_by_its_time() -> None:
    index = ChangeIndex()
    for number in (10, 20, 30, 40, 5, 15, 50):
        index.add(opening(number), is_odd=False)
    assert sorted(held(index)) == [5, 10, 30, 40, 50]
    assert spans(index) == [(10, 20)]


def test_other_processes_files_and_actions_are_held_apart() -> None:
    index, other = ChangeIndex(), opening(0).actor
    assert other is not None
    for number in range(20):
        index.add(opening(number), is_odd=False)
        index.add(replace(opening(100 + number), actor=replace(other, pid=7)), is_odd=False)
        index.add(opening(200 + number, inode=78), is_odd=False)
        index.add(opening(300 + number, action=Action.MODE), is_odd=False)
    assert len(index) == 3 * (LAST_OPENINGS + 2) + 20


def test_what_is_thinned_stays_so_when_the_oldest_half_is_forgotten() -> None:
    index = ChangeIndex(most=10)
    for number in range(9):
        add(index, opening(number, path=b"/etc/%d" % number))
    for number in range(10, 60):
        add(index, opening(number))
    assert held(index)[-LAST_OPENINGS:] == [57, 58, 59]
    assert len(index) <= 10


def test_a_finding_names_the_first_and_the_last_openings() -> None:
    steps = [Step(order=number, change=opening(number), path=b"/etc/x") for number in range(50)]
    assert [step.order for step in thin_openings(steps)] == [0, 47, 48, 49]


def test_what_bears_on_other_names_stays_when_the_oldest_half_is_forgotten() -> None:
    index = ChangeIndex(most=20)
    renamed = a_change(b"/etc/d", action=Action.MOVED_TO, mode=0o040755, inode=5, serial=1)
    lost = a_change(b"/etc", action=Action.LOST, inode=None, dev=None, parent_dev=65024, parent_inode=6, serial=2)
    for change in (renamed, lost, a_change(b"/etc/file", action=Action.MOVED_TO, mode=0o100644, serial=3)):
        add(index, change)
    for number in range(10, 200):
        add(index, opening(number, path=b"/etc/%d" % number))
    assert [index[row] for row in index.at_path(b"/etc/d")] == [renamed]
    assert [index[row] for row in index.lost_in(FileKey(65024, 6))] == [lost]
    assert index.at_path(b"/etc/file") == []
    assert index.forgotten + len(index) == 193


def test_of_very_many_that_bear_on_others_the_last_ones_stay() -> None:
    index = ChangeIndex(most=20)
    for number in range(500):
        add(index, opening(number, path=b"/etc/%d" % number, mode=0o040755, action=Action.BORN))
    assert len(index) <= 20
    assert index.at_path(b"/etc/499") and not index.at_path(b"/etc/400")


def test_openings_of_a_number_that_was_given_again_do_not_become_one() -> None:
    index = ChangeIndex()
    for number in range(10):
        index.add(opening(number), is_odd=False)
    index.add(opening(10, action=Action.UNLINKED), is_odd=False)
    index.add(opening(11, action=Action.BORN), is_odd=False)
    for number in range(12, 30):
        index.add(opening(number), is_odd=False)
    assert spans(index) == [(1, 9), (12, 26)]


def test_what_stands_for_several_is_of_all_the_time_between_them() -> None:
    change = replace(opening(10), last_ns=NOW + 20_000_000)
    step = Step(order=0, change=change, path=b"/etc/x")
    low, high = NOW + 15_000_000, NOW + 18_000_000
    assert steps_within([step], low, high) == steps_within([step], high, None) == steps_within([step], None, low) == [step]
    assert steps_within([step], None, NOW) == steps_within([step], NOW + 21_000_000, None) == []


def test_only_what_is_stored_is_forgotten() -> None:
    index = ChangeIndex(most=20)
    for number in range(100):
        index.add(opening(number, path=b"/etc/%d" % number), is_odd=False)
    assert len(index) == 100 and not index.forgotten
    index.note_stored()
    index.add(opening(100, path=b"/etc/100"), is_odd=False)
    assert len(index) == 51 and index.forgotten == 50


def test_what_is_put_back_stands_before_what_is_later_and_goes_first() -> None:
    index = ChangeIndex(most=20)
    for number in range(30):
        add(index, opening(number, path=b"/etc/%d" % number))
    index.add(opening(40, action=Action.MODE), is_odd=False)
    index.note_stored()
    for number in (35, 33, 34):
        index.add(opening(number, action=Action.MODE), is_odd=False, back=True)
    assert held(index) == [33, 34, 35, 40]
    had = index.forgotten
    for number in range(50, 60):
        add(index, opening(number, path=b"/etc/%d" % number))
    assert held(index) == [40] and index.forgotten > had


def test_where_calls_without_names_are_forgotten_one_stands_for_them() -> None:
    index = ChangeIndex(most=20)
    for number in range(100):
        add(index, opening(number, path=None, action=Action.LOST, inode=number))
    (row,) = index.lost_in(None)
    assert index[row].time_ns == NOW and index[row].last_ns is not None
    held_calls = [number for number in range(100) if index.lost_in(FileKey(65024, number))]
    assert held_calls == list(range(held_calls[0], 100)) and index[row].last_ns == NOW + (held_calls[0] - 1) * 1_000_000
    assert len(index) <= 20


def test_what_stands_for_several_is_not_the_same_as_the_first_of_them() -> None:
    one = opening(1)
    several = replace(one, last_ns=NOW + 9_000_000)
    assert in_order([one, several, one]) == [one, several]
    assert set(in_order([several, one])) == {one, several}
