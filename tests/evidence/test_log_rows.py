"""Positions, notes and bad lines."""

from fimkit.evidence.log_rows import KEPT_PER_FILE
from fimkit.evidence.store import Store
from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.records import BadLine
from tests.evidence.examples import NOW


def a_note(time_ns: int = NOW, text: str = "auditing began") -> Note:
    return Note(source=Source.AUDIT, kind=NoteKind.AUDIT_ENABLED, time_ns=time_ns, text=text)


def bad(line: int, file: str = "/var/log/audit/audit.log") -> BadLine:
    return BadLine(file=file, line=line, text=b"\xff\x00garbage", error="no audit stamp in \udcff")


def test_cursor_is_by_source_and_file_and_the_last_counts(store: Store) -> None:
    assert store.cursor("audit", b"/log") is None
    store.set_cursor("audit", b"/log", {"offset": 1, "seen": ["a"]})
    store.set_cursor("audit", b"/log", {"offset": 2})
    store.set_cursor("osquery", b"/log", {"offset": 3})
    assert store.cursor("audit", b"/log") == {"offset": 2}
    assert store.cursor("osquery", b"/log") == {"offset": 3}


def test_note_given_twice_is_stored_once(store: Store) -> None:
    store.add_notes([a_note(), a_note(NOW - 1, "half a pair \udcff")])
    store.add_notes([a_note()])
    assert list(store.notes()) == [a_note(NOW - 1, "half a pair \udcff"), a_note()]
    assert list(store.notes(NOW)) == [a_note()]


def test_bad_lines_keep_file_line_text_and_error(store: Store) -> None:
    store.add_bad_lines([bad(3), bad(7, "other\udcff.log")], time_ns=NOW)
    assert list(store.bad_lines()) == [bad(3), bad(7, "other\udcff.log")]
    assert store.bad_line_counts() == {"/var/log/audit/audit.log": 1, "other\udcff.log": 1}


def test_all_bad_lines_count_and_the_first_keep_their_text(store: Store) -> None:
    store.add_bad_lines((bad(number) for number in range(KEPT_PER_FILE - 1)), time_ns=NOW)
    store.add_bad_lines([bad(5000), bad(5001)], time_ns=NOW, uncounted={"/var/log/audit/audit.log": 40, "gone.log": 2})
    assert store.bad_line_counts() == {"/var/log/audit/audit.log": KEPT_PER_FILE + 41, "gone.log": 2}
    kept = [line.line for line in store.bad_lines()]
    assert len(kept) == KEPT_PER_FILE
    assert kept[-1] == 5000
