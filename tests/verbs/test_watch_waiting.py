"""When a path is looked at: what was opened for writing has its bytes by then, and what comes later is not missed."""

import os
import time
from pathlib import Path

import pytest

from fimkit.correlate.picture import Snapshot
from fimkit.model.config import Tier, Watch
from fimkit.verbs.watch_looks import Looks
from fimkit.verbs.watch_waiting import (
    CRITICAL_REST_PART,
    CRITICAL_REST_S,
    LATE_HOLDS_S,
    LATER_S,
    LONGEST_REST_S,
    LONGEST_SETTLE_S,
    MOST_PATHS,
    MOST_WOKEN,
    QUIET_S,
    REST_S,
    SETTLE_S,
    WaitingPaths,
)


class Place:
    """A watched folder, and paths that wait, by a clock that goes on when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        watch = Watch(path=os.fsencode(folder), tier=Tier.CRITICAL)
        self.now_s = 1000.0
        self.looks = Looks([watch], Snapshot(), Snapshot())
        self.waiting = WaitingPaths(self.looks, lambda: self.now_s)

    def write(self, name: str, words: str) -> bytes:
        (self.folder / name).write_text(words)
        return os.fsencode(self.folder / name)

    def open(self, path: bytes, *, ago_s: float = 0.0) -> None:
        ago_s = ago_s or -1.0  # however slow the test is, the record is new
        opened_ns = time.time_ns() - int(ago_s * 1e9)
        self.waiting.mark(path, below=False, judge=True, settles=True, opened_ns=opened_ns)

    def look(self, path: bytes) -> None:
        state = self.looks._look(path)
        if state is None:
            self.looks.after.drop(path)
        else:
            self.looks.after.put(state)

    def after(self, seconds: float) -> set[bytes]:
        self.now_s += seconds
        return set(self.waiting.take())

    def after_late(self, seconds: float, late_s: float = 2.1) -> set[bytes]:
        """Have records come late all the while."""
        until_s, taken = self.now_s + seconds, set[bytes]()
        while self.now_s < until_s:
            self.waiting.late_s = late_s
            taken |= self.after(min(LATE_HOLDS_S / 2, until_s - self.now_s))
        self.waiting.late_s = late_s
        return taken

    def rest(self, name: str) -> bytes:
        """Have a file looked at while the records come late, and written again."""
        path = self.write(name, "bytes")
        self.waiting.late_s = 2.1
        self.open(path, ago_s=3.0)
        assert self.after(QUIET_S) == {path}
        self.look(path)
        assert self.after_late(LATER_S[-1]) == set()
        self.write(name, "more bytes")
        self.open(path, ago_s=3.0)
        assert self.after(0.0) == set() and len(self.waiting) == 1
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_file_with_bytes_is_looked_at_when_they_are_the_same_after_a_moment(place: Place) -> None:
    path = place.write("new", "bytes")
    place.open(path)
    assert place.after(0.0) == set()
    assert place.after(QUIET_S) == {path}


def test_empty_file_has_the_whole_time_to_settle(place: Place) -> None:
    path = place.write("new", "")
    place.open(path)
    assert place.after(QUIET_S) == set()
    assert place.after(SETTLE_S - 2 * QUIET_S) == set()
    assert place.after(QUIET_S) == {path}


def test_file_that_grows_is_waited_for_until_it_is_quiet_or_its_time_is_over(place: Place) -> None:
    path = place.write("new", "a")
    place.open(path)
    place.write("new", "ab")
    assert place.after(QUIET_S) == set()
    assert place.after(QUIET_S) == {path}
    place.open(path)
    for count in range(3, 9):
        place.write("new", "a" * count)
        assert place.after(QUIET_S) == set()
    assert place.after(SETTLE_S) == {path}


def test_file_that_is_as_it_was_may_be_about_to_change(place: Place) -> None:
    path = place.write("known", "bytes")
    place.look(path)
    place.open(path)
    assert place.after(QUIET_S) == set()
    place.write("known", "other bytes")
    assert place.after(QUIET_S) == set()  # seen for the first time
    assert place.after(QUIET_S) == {path}


def test_opening_after_opening_puts_a_path_off_only_so_long(place: Place) -> None:
    path = place.write("new", "")
    place.open(path)
    waited_s = 0.0
    while not place.after(QUIET_S):
        waited_s += QUIET_S
        place.open(path)
        assert waited_s < 2 * LONGEST_SETTLE_S
    assert waited_s > SETTLE_S


def test_old_record_is_of_a_file_that_has_settled(place: Place) -> None:
    path = place.write("new", "")
    place.open(path, ago_s=1.0)
    assert place.after(0.0) == {path}


def test_clock_that_was_set_back_makes_nobody_wait_longer(place: Place) -> None:
    path = place.write("new", "")
    place.open(path, ago_s=-86400.0)
    assert place.after(SETTLE_S) == {path}


def test_vanished_path_waits_for_the_record_of_that(place: Place) -> None:
    path = os.fsencode(place.folder / "gone")
    place.open(path)
    assert place.after(QUIET_S) == set()
    assert place.after(SETTLE_S) == {path}


def test_early_look_is_repeated_with_the_bytes_even_where_all_times_are_the_same(place: Place) -> None:
    path = place.write("new", "bytes")
    place.open(path)
    assert place.after(QUIET_S) == {path}
    place.look(path)
    assert place.after(LATER_S[0]) == {path}
    assert place.after(LATER_S[1]) == set()


def test_bytes_that_come_later_are_looked_at_without_a_record(place: Place) -> None:
    path = place.write("new", "")
    place.open(path)
    assert place.after(SETTLE_S) == {path}
    place.look(path)
    assert place.after(LATER_S[0]) == set()
    place.write("new", "late bytes")
    assert place.after(LATER_S[1]) == {path}


def test_path_that_waits_for_its_record_is_judged_when_a_record_comes(place: Place) -> None:
    path = place.write("new", "bytes")
    place.waiting.retry(path, 1.0, tries=3)
    assert place.after(0.1) == set()
    place.waiting.mark(path, below=False, judge=True, settles=False, opened_ns=time.time_ns())
    assert place.waiting.take()[path].tries == 3


def test_at_the_end_all_is_due(place: Place) -> None:
    path = place.write("new", "")
    place.open(path)
    assert set(place.waiting.take(everything=True)) == {path}
    assert place.waiting.take(everything=True) == {}


def test_many_are_taken_in_parts_and_none_is_left_out(place: Place) -> None:
    paths = {b"%s/%d" % (os.fsencode(place.folder), number) for number in range(MOST_PATHS + 7)}
    for path in paths:
        place.waiting.mark(path, below=False, judge=True, settles=False)
    assert place.waiting.next_s == place.now_s
    first, rest = place.after(0.0), place.after(0.0)
    assert (len(first), len(rest)) == (MOST_PATHS, 7)
    assert first | rest == paths


def test_many_that_are_not_due_yet_are_waited_for(place: Place) -> None:
    for number in range(MOST_PATHS):
        place.waiting.retry(b"/%d" % number, 1.0, tries=1)
    assert place.waiting.next_s == place.now_s + 1.0


def test_where_records_come_late_what_was_looked_at_rests_and_what_is_new_does_not(place: Place) -> None:
    hot, new = place.write("hot", "bytes"), place.write("new", "bytes")
    place.waiting.late_s = 2.1
    place.open(hot, ago_s=3.0)
    assert place.after(QUIET_S) == {hot}
    place.look(hot)
    for number in range(4):
        place.write("hot", f"other bytes {number}")
        place.open(hot, ago_s=3.0)
        assert place.after(1.0) == set()
        assert len(place.waiting) == 1
    place.open(new, ago_s=3.0)
    assert place.after(QUIET_S) == {new}
    place.look(new)
    assert place.after(REST_S - 4.0) == {hot}  # it is looked at as it is in the end
    place.look(hot)
    assert place.after(60.0) == set() and len(place.waiting) == 0


def test_where_records_come_in_time_again_nothing_rests_at_its_next_change(place: Place) -> None:
    hot = place.write("hot", "bytes")
    place.waiting.late_s = 2.1
    place.open(hot, ago_s=3.0)
    assert place.after(QUIET_S) == {hot}
    place.look(hot)
    place.open(hot, ago_s=3.0)
    assert place.after(1.0) == set()
    place.waiting.late_s = 0.0
    place.open(hot, ago_s=3.0)
    assert place.after(QUIET_S) == {hot}
    assert len(place.waiting) == 0


def test_at_the_end_what_rests_is_looked_at_too(place: Place) -> None:
    paths = {place.write(f"file-{number}", "bytes") for number in range(20)}
    place.waiting.late_s = 2.1
    for _ in range(2):
        for path in paths:
            place.open(path, ago_s=3.0)
        place.after(QUIET_S)
    assert len(place.waiting) == 20
    place.waiting.mark(min(paths), below=True, judge=True, settles=False)
    taken = place.waiting.take(everything=True)
    assert set(taken) == paths and taken[min(paths)].below
    assert len(place.waiting) == 0


def test_what_rests_wakes_nobody_before_its_time_however_many_they_are(place: Place) -> None:
    place.waiting.late_s = 2.1
    for _ in range(2):
        for number in range(MOST_PATHS + 500):
            place.waiting.mark(b"/%d" % number, below=False, judge=True, settles=False)
        while place.after(0.0):
            pass
    assert len(place.waiting) == MOST_PATHS + 500
    assert place.waiting.next_s == pytest.approx(1000.0 + REST_S)


def test_the_later_records_come_the_longer_what_was_looked_at_rests_but_not_for_ever(place: Place) -> None:
    for name, late_s, rest_s in (("a", 2.1, REST_S), ("b", 20.0, 40.0), ("c", 1e6, LONGEST_REST_S)):
        path = place.write(name, "bytes")
        place.waiting.late_s = late_s
        place.open(path, ago_s=3.0)
        assert place.after(QUIET_S) == {path}
        place.look(path)
        place.write(name, "more bytes")
        place.open(path, ago_s=3.0)
        assert place.after_late(rest_s - 0.01, late_s) == set()
        assert place.after_late(0.02, late_s) == {path}
        place.look(path)


@pytest.mark.parametrize(("late_s", "rest_s"), [(2.1, CRITICAL_REST_S), (12.0, 12.0 * CRITICAL_REST_PART), (60.0, REST_S)])
def test_what_may_come_to_be_critical_rests_for_a_moment_only(place: Place, late_s: float, rest_s: float) -> None:
    path = os.fsencode(place.folder / "hot")
    place.waiting.late_s = late_s
    place.waiting.mark(path, below=False, judge=True, settles=False, urgent=True)
    assert place.after(0.0) == {path}
    for _ in range(3):
        place.waiting.mark(path, below=False, judge=True, settles=False, urgent=True)
        assert place.after(0.0) == set()
    assert len(place.waiting) == 1
    assert place.waiting.next_s == pytest.approx(place.now_s + min(rest_s, LATE_HOLDS_S))
    place.waiting.late_s = late_s
    assert place.after(rest_s - 0.01) == set()
    assert place.after(0.02) == {path}
    assert len(place.waiting) == 0


@pytest.mark.parametrize(("rested_s", "left_s"), [(0.25, CRITICAL_REST_S - 0.25), (2 * CRITICAL_REST_S, 0.0)])
def test_what_rests_wakes_sooner_when_it_may_come_to_be_critical(place: Place, rested_s: float, left_s: float) -> None:
    path = place.rest("hot")
    assert place.after_late(rested_s) == set()
    place.waiting.mark(path, below=False, judge=True, settles=False, urgent=True)
    assert place.waiting.next_s == pytest.approx(place.now_s + left_s)
    assert place.after(left_s - 0.01) == set()
    assert place.after(0.02) == {path}
    assert len(place.waiting) == 0


def test_a_change_that_comes_in_time_wakes_what_rests_whatever_it_is(place: Place) -> None:
    path = place.rest("hot")
    place.waiting.late_s = 0.0
    place.waiting.mark(path, below=False, judge=True, settles=False, opened_ns=time.time_ns())  # a chmod
    assert place.after(0.0) == {path}
    assert len(place.waiting) == 0


def test_an_opening_that_comes_in_time_has_what_rested_settle_as_ever(place: Place) -> None:
    path = place.rest("hot")
    place.waiting.late_s = 0.0
    place.write("hot", "")  # as open(2) left it
    place.open(path)
    assert place.after(QUIET_S) == set()
    place.write("hot", "its bytes")
    assert place.after(QUIET_S) == set()  # seen for the first time
    assert place.after(QUIET_S) == {path}


def test_where_records_come_in_time_again_everything_wakes_by_and_by(place: Place) -> None:
    paths = {b"/%d" % number for number in range(2 * MOST_WOKEN + 7)}
    place.waiting.late_s = 2.1
    for _ in range(2):
        for path in paths:
            place.waiting.mark(path, below=False, judge=True, settles=False)
        place.after(0.0)
    assert len(place.waiting) == len(paths) and place.after(0.1) == set()
    place.waiting.late_s = 0.0
    taken: list[set[bytes]] = []
    while (next_s := place.waiting.next_s) is not None and next_s <= place.now_s:
        taken.append(place.after(0.0))
    assert list(map(len, taken)) == [MOST_WOKEN, MOST_WOKEN, 7] and set().union(*taken) == paths
    assert len(place.waiting) == 0 and place.waiting.next_s is None


def test_where_no_records_come_any_more_what_rests_wakes(place: Place) -> None:
    path = os.fsencode(place.folder / "hot")
    place.waiting.late_s = 20.0
    place.waiting.mark(path, below=False, judge=True, settles=False)
    assert place.after(0.0) == {path}
    place.waiting.mark(path, below=False, judge=True, settles=False)
    assert place.waiting.next_s == pytest.approx(place.now_s + LATE_HOLDS_S)
    assert place.after(LATE_HOLDS_S - 0.01) == set()
    assert place.waiting.late_s == 20.0
    assert place.after(0.02) == {path}
    assert place.waiting.late_s == 0.0 and len(place.waiting) == 0


def test_where_no_records_come_any_more_what_others_tell_of_does_not_rest(place: Place) -> None:
    path = place.write("hot", "bytes")
    place.waiting.late_s = 35.0
    place.now_s += LATE_HOLDS_S
    for _ in range(3):
        place.waiting.mark(path, below=False, judge=False, settles=False)
        assert place.after(0.0) == {path}


def test_bytes_that_come_after_a_rest_are_looked_at_without_a_record(place: Place) -> None:
    path = place.rest("hot")
    place.write("hot", "")  # as open(2) left it
    place.open(path, ago_s=3.0)
    place.waiting.late_s = 0.0
    assert place.after(0.0) == {path}
    place.look(path)
    place.write("hot", "by the open descriptor")
    assert place.after(LATER_S[0]) == {path}
    place.look(path)
    place.write("hot", "and more by it")
    assert place.after(LATER_S[1]) == {path}


def test_bytes_that_come_after_a_rest_while_records_come_late_are_looked_at_after_another_one(place: Place) -> None:
    path = place.rest("hot")
    for count in range(3):
        assert place.after_late(REST_S) == {path}
        place.look(path)
        place.write("hot", "by the open descriptor" * (count + 2))
        assert place.after_late(LATER_S[0]) == set()
        assert len(place.waiting) == 1
    assert place.after_late(REST_S) == {path}
    place.look(path)
    assert place.after_late(LONGEST_REST_S) == set() and len(place.waiting) == 0


def test_bytes_that_come_after_a_rest_and_may_be_critical_are_looked_at_at_once(place: Place) -> None:
    path = place.rest("hot")
    place.waiting.mark(path, below=False, judge=True, settles=False, urgent=True)
    assert place.after_late(CRITICAL_REST_S) == {path}
    place.look(path)
    place.write("hot", "by the open descriptor")
    assert place.after_late(LATER_S[0]) == {path}


def test_what_was_only_renamed_is_not_looked_at_later(place: Place) -> None:
    path = place.write("hot", "bytes")
    place.waiting.late_s = 2.1
    for _ in range(2):
        place.waiting.mark(path, below=False, judge=True, settles=False)
        place.after(0.0)
    assert place.after_late(REST_S) == {path}
    assert place.waiting.next_s is None


@pytest.mark.parametrize("is_late", [True, False])
def test_what_rests_and_is_tried_again_wakes_with_all_that_lies_in_it(place: Place, is_late: bool) -> None:
    path = os.fsencode(place.folder / "folder")
    place.waiting.late_s = 2.1
    place.waiting.mark(path, below=False, judge=False, settles=False)
    assert place.after(0.0) == {path}
    place.waiting.mark(path, below=True, judge=False, settles=False)
    place.waiting.retry(path, LONGEST_REST_S, tries=6)
    if is_late:
        assert place.after_late(REST_S - 0.01) == set()
        place.now_s += 0.02
    else:
        place.waiting.late_s = 0.0
        place.waiting.mark(path, below=False, judge=False, settles=False)
    taken = place.waiting.take()
    assert set(taken) == {path}
    assert (taken[path].below, taken[path].judge, taken[path].tries) == (True, True, 6)
    assert len(place.waiting) == 0
