"""Gaps in the records: pairs of notes, what was lost between two records, and what nothing has ended."""

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.changes import Note, NoteKind, Source
from fimkit.report.html_blind import find_blind
from fimkit.verbs.watch_records import Blind as WatchBlind

S = 1_000_000_000


def note(kind: NoteKind, seconds: int, text: str = "") -> Note:
    return Note(source=Source.AUDIT, kind=kind, time_ns=seconds * S, text=text)


def spans(*notes: Note, until: int = 1000) -> list[tuple[int, int]]:
    return [(one.from_ns // S, one.to_ns // S) for one in find_blind(notes, until_ns=until * S)]


def test_auditing_switched_off_and_on_again_is_a_gap() -> None:
    assert spans(note(NoteKind.AUDIT_ENABLED, 30), note(NoteKind.AUDIT_DISABLED, 10)) == [(10, 30)]


def test_switched_off_twice_is_one_gap() -> None:
    assert spans(*(note(NoteKind.AUDIT_DISABLED, second) for second in (10, 20)), note(NoteKind.AUDIT_ENABLED, 30)) == [(10, 30)]


def test_a_stopped_auditd_is_a_gap_until_it_starts() -> None:
    assert spans(note(NoteKind.LOG_ENDED, 10), note(NoteKind.LOG_STARTED, 12), note(NoteKind.LOG_STARTED, 50)) == [(10, 12)]


def test_a_gap_that_nothing_ends_lasts_and_says_so() -> None:
    gaps = find_blind([note(NoteKind.AUDIT_DISABLED, 10)], until_ns=99 * S)
    assert [(gap.from_ns // S, gap.to_ns // S) for gap in gaps] == [(10, 99)]
    assert "nothing says that this is over" in gaps[0].why


def test_a_log_that_ends_after_all_that_is_asked_for_has_no_gap() -> None:
    assert spans(note(NoteKind.LOG_ENDED, 100), until=100) == []


def test_what_a_watch_lost_has_the_times_that_it_said() -> None:
    for lost in (0, 7):
        watched = WatchBlind(from_ns=20 * S, to_ns=25 * S, lost=lost, source="the kernel")
        gaps = find_blind([watched.note()], until_ns=1000 * S)
        assert [(gap.from_ns, gap.to_ns) for gap in gaps] == [(20 * S, 25 * S)]
        assert "the kernel" in gaps[0].why
        assert "between" not in gaps[0].why


def test_a_loss_without_its_beginning_is_a_moment() -> None:
    assert spans(note(NoteKind.RECORDS_LOST, 40, "audit: backlog limit exceeded")) == [(40, 40)]
    assert spans(note(NoteKind.RECORDS_LOST, 40, "between xZ and yZ")) == [(40, 40)]


@given(st.lists(st.builds(note, st.sampled_from(NoteKind), st.integers(0, 10**9), st.text(max_size=30))))
def test_no_gap_ends_before_it_begins(notes: list[Note]) -> None:
    gaps = find_blind(notes, until_ns=10**9 * S)
    assert all(gap.from_ns <= gap.to_ns for gap in gaps)
    assert list(gaps) == sorted(gaps, key=lambda gap: (gap.from_ns, gap.to_ns))
