"""What rests where records come late, by the whole engine: nothing that may become an alarm, and nothing for longer than that."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.changes import Action, Change
from fimkit.model.config import Config, Host, Tier, Watch
from fimkit.model.findings import Finding, Severity, Verdict
from fimkit.verbs.watch_waiting import LATE_HOLDS_S, LATER_S, LONGEST_REST_S, REST_S
from tests.evidence.examples import a_change
from tests.verbs.test_watch_engine import Place

LATE = 2 * LONGEST_REST_S  # everything rests for as long as it may
IN_TIME = -60.0  # however slow the test is
STEP_S = 0.25


class LatePlace(Place):
    """Two files of a critical folder, whose records come late, by a clock that goes on when it is told to."""

    def hear(self, *changes: Change, late_s: float = LATE) -> None:
        """Take records in; the last one is of a file that concerns nobody, and so late."""
        last_ns = time.time_ns() - int(late_s * 1e9)
        self.engine.take([*changes, replace(a_change(b"/elsewhere", time_ns=last_ns), inode=None, dev=None)])

    def after(self, seconds: float, *, late_s: float | None = LATE) -> list[Finding]:
        """Give what is found in a time while records come so late, or none come."""
        found: list[Finding] = []
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            if late_s is not None:
                self.hear(late_s=late_s)
            self.now_s += STEP_S
            found += self.engine.step().new
        return found

    def told_after(self, *, late_s: float | None = LATE) -> tuple[float, Severity]:
        """Give after how long something is found, and how severe it is."""
        began_s = self.now_s
        while self.now_s < began_s + 2 * LONGEST_REST_S:
            if found := self.after(STEP_S, late_s=late_s):
                return self.now_s - began_s, found[0].severity
        raise AssertionError("nothing was found")

    def touch(self, name: str, serial: int) -> Change:
        """Set a file's times as a process would be recorded to."""
        os.utime(self.folder / name, (1e9, 1e9))
        return replace(self.record(self.folder / name, serial, pid=41), action=Action.TIMES)

    def chmod(self, name: str, mode: int, serial: int) -> Change:
        """Set a file's mode as a process would be recorded to."""
        (self.folder / name).chmod(mode)
        return replace(self.record(self.folder / name, serial, pid=66), action=Action.MODE, new_mode=mode)

    def rename_over(self, name: str, serial: int) -> Change:
        """Have a set-uid file renamed over a file."""
        evil = self.folder / "evil"
        evil.write_text("evil")
        evil.chmod(0o4755)
        evil.rename(self.folder / name)
        return replace(self.record(self.folder / name, serial, pid=66), action=Action.MOVED_TO, mode=0o104755)

    def watch(self, *watches: tuple[str, Tier]) -> None:
        """Watch other folders from now on."""
        entries = tuple(Watch(path=os.fsencode(self.folder / name), tier=tier) for name, tier in watches)
        self.engine.reconfigure(Config(host=Host(name="web01"), paths=entries), entries)
        self.after(STEP_S, late_s=None)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LatePlace]:
    (tmp_path / "watched").mkdir()
    with open_store(os.fsencode(tmp_path / "state"), create=True) as store:
        place = LatePlace(tmp_path / "watched", store)
        place.engine.has_records = False  # nothing waits for a record of its own
        yield place
        place.engine.close()


def test_what_is_critical_is_told_soon_after_a_look_that_found_nothing_critical(place: LatePlace) -> None:
    place.hear(place.touch("one", 1))
    assert [finding.severity for finding in place.after(STEP_S)] == [Severity.INFO]
    place.hear(place.rename_over("one", 2))
    after_s, severity = place.told_after()
    assert severity is Severity.CRITICAL and after_s <= REST_S + STEP_S


def test_a_file_that_was_told_of_as_critical_rests_like_others(place: LatePlace) -> None:
    place.hear(place.write("one", 1, pid=41))
    assert [finding.severity for finding in place.after(STEP_S)] == [Severity.CRITICAL]
    place.after(LATER_S[-1])
    place.hear(place.rename_over("one", 2), place.touch("other", 3))
    assert [os.path.basename(finding.path) for finding in place.after(STEP_S)] == [b"other"]
    assert place.told_after() == (LONGEST_REST_S - STEP_S, Severity.CRITICAL)


def test_an_alarm_that_is_over_has_nothing_rest_long(place: LatePlace) -> None:
    place.hear(place.chmod("one", 0o755, 1))
    assert [finding.severity for finding in place.after(STEP_S)] == [Severity.CRITICAL]
    place.hear(place.chmod("one", 0o644, 2))
    place.after(LONGEST_REST_S + STEP_S)  # its times are all that is another by now
    place.hear(place.rename_over("one", 3))
    after_s, severity = place.told_after()
    assert severity is Severity.CRITICAL and after_s <= REST_S + STEP_S


def test_what_is_not_critical_rests(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH))
    place.hear(place.touch("one", 1))
    place.after(STEP_S)
    place.hear(place.rename_over("one", 2))
    assert place.told_after() == (LONGEST_REST_S, Severity.HIGH)


def test_a_folder_with_a_critical_one_in_it_rests_for_a_moment_only(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH), ("sub", Tier.CRITICAL))
    place.hear()
    place.engine.mark_dirty(os.fsencode(place.folder))
    place.after(STEP_S)
    place.rename_over("sub/file", 1)
    place.engine.mark_dirty(os.fsencode(place.folder), below=True)
    after_s, severity = place.told_after()
    assert severity is Severity.CRITICAL and after_s <= REST_S + STEP_S


def test_a_change_of_what_rests_is_told_at_once_where_its_record_comes_in_time(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH))
    place.hear(place.write("one", 1, pid=41))
    place.after(STEP_S)
    place.hear(place.write("one", 2, pid=41))
    assert place.after(STEP_S) == [] and place.engine.waiting == 1
    place.hear(place.chmod("one", 0o4755, 3), late_s=IN_TIME)
    assert len(place.after(STEP_S, late_s=IN_TIME)) == 1
    assert place.engine.waiting == 0


def test_what_rests_is_told_when_the_records_come_in_time_again(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH))
    place.hear(place.touch("one", 1))
    place.after(STEP_S)
    place.hear(place.rename_over("one", 2))
    assert place.after(STEP_S) == []
    place.hear(late_s=IN_TIME)
    assert place.engine.next_s is not None and place.engine.next_s <= place.now_s
    assert len(place.after(STEP_S, late_s=None)) == 1
    assert place.engine.waiting == 0


def test_what_rests_is_told_when_no_records_come_any_more(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH))
    place.hear(place.touch("one", 1))
    place.after(STEP_S)
    place.hear(place.rename_over("one", 2))
    assert place.engine.next_s == place.now_s + LATE_HOLDS_S
    assert place.told_after(late_s=None)[0] == LATE_HOLDS_S
    place.write("one", 3, pid=41)  # recorded by nobody: inotify tells of it
    place.engine.mark_dirty(os.fsencode(place.folder / "one"))
    assert place.engine.waiting == 1
    place.now_s += STEP_S
    assert place.engine.step().looked == 1


def test_bytes_that_come_after_a_rest_are_found(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH))
    place.hear(replace(place.write("one", 1, pid=41), mode=0o100644))
    place.after(LATER_S[-1] + STEP_S)
    place.hear(replace(place.write("one", 2, pid=41), mode=0o100644))
    assert place.told_after()[0] == LONGEST_REST_S
    (place.folder / "one").write_text("by the descriptor that is open still")
    place.after(LONGEST_REST_S + LATER_S[-1])
    state = place.engine.looks.after.get(os.fsencode(place.folder / "one"))
    assert state == place.look(os.fsencode(place.folder / "one"))


def test_a_folder_that_came_while_it_rested_is_looked_through(place: LatePlace) -> None:
    place.watch(("", Tier.WATCH))
    folder = os.fsencode(place.folder / "sub")
    place.hear()
    place.engine.mark_dirty(folder, judge=True)
    place.after(STEP_S)
    place.rename_over("sub/file", 1)
    place.engine.mark_dirty(folder, below=True)
    place.engine._waiting.retry(folder, 2 * LONGEST_REST_S, tries=6)  # as after a store that refused
    assert [finding.path for finding in place.after(LONGEST_REST_S)] == [os.path.join(folder, b"file")]


def test_what_packages_explained_rests_for_a_moment_only(place: LatePlace) -> None:
    place.hear(place.chmod("one", 0o755, 1))
    (found,) = place.after(STEP_S)
    place.engine.note_explained([replace(found, verdict=Verdict.EXPECTED, severity=Severity.INFO)])
    place.after(LONGEST_REST_S + STEP_S)
    place.hear(place.touch("one", 2))
    place.after(REST_S + STEP_S)
    place.hear(place.rename_over("one", 3))
    after_s, severity = place.told_after()
    assert severity is Severity.CRITICAL and after_s <= REST_S + STEP_S
