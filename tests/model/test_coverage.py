"""Gaps: what notes say, how they are chosen by time and path, and how they cut a time into intervals."""

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.coverage import Cause, Gap, Sense, cut_intervals, gaps_of_notes, render_gap, say_gaps, select_gaps, unseen_ns
from fimkit.model.coverage_json import render_gap_row, render_interval

S = 1_000_000_000


def note(kind: NoteKind, seconds: int, text: str = "") -> Note:
    return Note(source=Source.AUDIT, kind=kind, time_ns=seconds * S, text=text)


def rule(seconds: int, verb: str, key: str = "fimkit", by: str = "") -> Note:
    return note(NoteKind.RULES_CHANGED, seconds, f"an audit rule with key {key} was {verb}{by} (event {seconds}.000:{seconds})")


def gap(from_ns: int, to_ns: int | None, *, source: Sense = Sense.AUDIT, path: bytes | None = None, words: str = "x") -> Gap:
    return Gap(from_ns=from_ns, to_ns=to_ns, source=source, cause=Cause.LOST, words=words, path=path)


def of(*notes: Note, until: int = 1000) -> list[Gap]:
    return list(gaps_of_notes(notes, until_ns=until * S))


def test_rules_that_are_taken_out_are_a_gap_until_as_many_are_back_and_it_says_who() -> None:
    (one,) = of(rule(10, "removed", by=" by auid 1000 (eve)"), rule(11, "removed"), rule(20, "added"), rule(30, "added"))
    assert (one.from_ns, one.to_ns, one.lost, one.cause) == (10 * S, 30 * S, 2, Cause.RULES)
    assert one.words == "audit rules of fimkit's were taken out by auid 1000 (eve)"
    assert one.evidence == ("10.000:10", "11.000:11")


def test_rules_of_others_are_no_gap_of_ours() -> None:
    assert of(rule(10, "removed", key="other")) == []


def test_who_switched_auditing_off_is_in_the_words() -> None:
    text = "auditing was switched off by auid 1000 (eve), /usr/sbin/auditctl, pid 7 (event 1.000:3)"
    (one,) = of(note(NoteKind.AUDIT_DISABLED, 10, text))
    assert (one.to_ns, one.words) == (None, "auditing was switched off, by auid 1000 (eve), /usr/sbin/auditctl, pid 7")
    assert one.evidence == ("1.000:3",)


def test_incomplete_events_that_follow_closely_are_one_gap_with_their_count() -> None:
    words = "event {0}.000:{0} has 1 of 2 PATH records"
    lacking = [note(NoteKind.INCOMPLETE, second, words.format(second)) for second in (1, 2, 50, 900)]
    assert [(one.from_ns // S, (one.to_ns or 0) // S, one.lost) for one in of(*lacking)] == [(1, 50, 3), (900, 900, 1)]


def test_a_step_of_the_clock_is_a_moment() -> None:
    assert [(one.cause, one.words) for one in of(note(NoteKind.CLOCK_STEPPED, 5, "the clock was set by auid 0"))] == [
        (Cause.CLOCK, "the clock was set by auid 0")
    ]


def test_a_loss_that_the_ledger_has_is_not_told_twice() -> None:
    lost = note(NoteKind.RECORDS_LOST, 9, "the kernel lost records")
    assert of(lost) != []
    assert gaps_of_notes([lost], until_ns=1000 * S, told=[gap(1, 9 * S)]) == ()


def test_a_path_is_touched_by_what_is_above_it_below_it_and_by_everything() -> None:
    gaps = [gap(1, 2, path=path, words=str(path)) for path in (None, b"/srv", b"/srv/www/a", b"/etc")]
    assert [one.path for one in select_gaps(gaps, since_ns=0, until_ns=9, path=b"/srv/www")] == [None, b"/srv", b"/srv/www/a"]


def test_no_gap_is_no_clause_and_what_lasts_comes_first() -> None:
    assert say_gaps([]) == ""
    words = say_gaps([gap(1, 2, words="over"), gap(5 * S, None, words="lasts"), gap(1, 3, words="third")])
    assert words.startswith("not all was seen: lasts (audit, since ")
    assert "and 1 more gap" in words


def test_names_and_words_of_an_attacker_reach_no_terminal() -> None:
    text = render_gap(gap(1, 2, path=b"/srv/\x1b[2J\n", words="a\x1b]0;x\x07"))
    assert "\x1b" not in text and "\n" not in text and "\x07" not in text
    assert "\x1b" not in say_gaps([gap(1, 2, path=b"/\x1b[2J", words="\x1b[31m")])
    assert render_gap_row(gap(1, 2, path=b"/\x1b"))["path"] == "/%1B"


def test_an_interval_says_which_sources_saw() -> None:
    gaps = [gap(10, 30), gap(20, 40, source=Sense.SCAN, path=b"/a")]
    rows = [render_interval(one) for one in cut_intervals(gaps, [Sense.SCAN, Sense.AUDIT], since_ns=0, until_ns=50)]
    assert [row["saw"] for row in rows] == [["scan", "audit"], ["scan"], [], ["audit"], ["scan", "audit"]]
    assert [len(row["gaps"]) for row in rows] == [0, 1, 2, 1, 0]


spans = st.tuples(st.integers(0, 100), st.none() | st.integers(0, 50)).map(
    lambda pair: gap(pair[0], None if pair[1] is None else pair[0] + pair[1])
)


@given(st.lists(spans, max_size=20), st.integers(0, 60), st.integers(61, 160))
def test_intervals_are_without_holes_and_break_just_where_a_gap_is(gaps: list[Gap], since: int, until: int) -> None:
    chosen = select_gaps(gaps, since_ns=since, until_ns=until)
    cut = list(cut_intervals(chosen, [Sense.AUDIT], since_ns=since, until_ns=until))
    assert [one.to_ns for one in cut[:-1]] == [one.from_ns for one in cut[1:]]
    assert (cut[0].from_ns, cut[-1].to_ns) == (since, until)
    blind = sum(one.to_ns - one.from_ns for one in cut if not one.saw)
    assert blind >= unseen_ns(chosen, since_ns=since, until_ns=until)
    for one in cut:
        assert bool(one.saw) == (not one.gaps)
        assert all(each.from_ns <= one.from_ns for each in one.gaps)


@given(st.lists(st.builds(note, st.sampled_from(NoteKind), st.integers(0, 10**9), st.text(max_size=40))))
def test_any_notes_give_gaps_that_do_not_end_before_they_begin(notes: list[Note]) -> None:
    assert all(one.to_ns is None or one.from_ns <= one.to_ns for one in gaps_of_notes(notes, until_ns=10**9 * S))
