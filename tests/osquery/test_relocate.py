"""Rows under a renamed folder's old name are told of the file where it is."""

from dataclasses import replace

from fimkit.model.changes import Action, Change, Source
from fimkit.model.states import FileState, FileType
from fimkit.osquery.relocate import relocate_rows

SECOND = 1_000_000_000


def folder(path: bytes, inode: int) -> FileState:
    return FileState(path, FileType.DIRECTORY, inode=inode, dev=1)


def file(path: bytes, inode: int) -> FileState:
    return FileState(path, FileType.FILE, inode=inode, dev=1, sha256="ab" * 32)


def states(*rows: FileState) -> dict[bytes, FileState]:
    return {row.path: row for row in rows}


def row(action: Action, path: bytes, at_s: int = 105, **more: object) -> Change:
    plain = Change(source=Source.OSQUERY, action=action, time_ns=at_s * SECOND, serial=at_s, path=path, node="web01")
    return replace(plain, **more)  # type: ignore[arg-type]


MOVE = [row(Action.MOVED_FROM, b"/w/old", 100, cookie="5"), row(Action.MOVED_TO, b"/w/new", 100, cookie="5", inode=10)]
BEFORE = states(folder(b"/w/old", 10), file(b"/w/old/f", 11))
AFTER = states(folder(b"/w/new", 10), file(b"/w/new/f", 11), file(b"/w/new/made", 12))


def told(*rows: Change, before: dict[bytes, FileState] = BEFORE, after: dict[bytes, FileState] = AFTER) -> list[Change]:
    return relocate_rows(rows, before=before, after=after).changes


def test_a_known_file_is_told_under_its_new_name_with_its_inode() -> None:
    changes = told(*MOVE, row(Action.UPDATED, b"/w/old/f"))
    assert (changes[-1].path, changes[-1].inode) == (b"/w/new/f", 11)
    assert changes[:2] == MOVE


def test_a_file_made_after_the_rename_is_told_too_but_its_inode_is_not_known() -> None:
    changes = told(*MOVE, row(Action.BORN, b"/w/old/made"), row(Action.UNLINKED, b"/w/old/passing"))
    assert [(change.path, change.inode) for change in changes[2:]] == [(b"/w/new/made", None), (b"/w/new/passing", None)]


def test_the_words_name_both_folders_and_count() -> None:
    rows = [*MOVE, row(Action.UPDATED, b"/w/old/f"), row(Action.BORN, b"/w/old/made")]
    words = relocate_rows(rows, before=BEFORE, after=AFTER).words
    assert words == ["osquery names /w/new by its old name /w/old: changes told under the new one: 2"]


def test_a_rename_that_was_read_earlier_still_counts() -> None:
    late = row(Action.UPDATED, b"/w/old/f", 90_000)
    assert relocate_rows([late], before=BEFORE, after=AFTER, earlier=MOVE).changes[0].path == b"/w/new/f"


def test_snapshots_alone_tell_of_the_file_that_is_in_both_and_of_no_other() -> None:
    changes = told(row(Action.UPDATED, b"/w/old/f"), row(Action.BORN, b"/w/old/made"))
    assert [change.path for change in changes] == [b"/w/new/f", b"/w/old/made"]


def test_what_happened_before_the_rename_stays_where_it_was() -> None:
    early = row(Action.UNLINKED, b"/w/old/gone", 99)
    assert told(*MOVE, early)[-1] == early


def test_a_folder_of_the_old_name_that_was_made_anew_keeps_its_own() -> None:
    rows = [*MOVE, row(Action.BORN, b"/w/old", 103), row(Action.UNLINKED, b"/w/old/x", 105)]
    assert told(*rows) == rows


def test_a_row_with_a_stat_or_a_process_is_right_as_it_is() -> None:
    rows = [*MOVE, row(Action.UPDATED, b"/w/old/f", inode=11), row(Action.UPDATED, b"/w/old/f", sha256="cd" * 32)]
    assert told(*rows) == rows


def test_a_file_that_is_under_its_name_after_all_stays() -> None:
    after = {**AFTER, **states(folder(b"/w/old", 20), file(b"/w/old/f", 21))}
    rows = [*MOVE, row(Action.UPDATED, b"/w/old/f")]
    assert told(*rows, after=after) == rows


def test_renames_one_after_the_other_are_all_followed() -> None:
    second = [row(Action.MOVED_FROM, b"/w/new", 101, cookie="6"), row(Action.MOVED_TO, b"/w/last", 101, cookie="6", inode=10)]
    after = states(folder(b"/w/last", 10), file(b"/w/last/f", 11))
    changes = told(*MOVE, *second, row(Action.UPDATED, b"/w/old/f"), after=after)
    assert (changes[-1].path, changes[-1].inode) == (b"/w/last/f", 11)


def test_another_file_in_the_files_place_gets_the_path_and_no_inode() -> None:
    after = states(folder(b"/w/new", 10), file(b"/w/new/f", 99))
    changes = told(*MOVE, row(Action.UPDATED, b"/w/old/f"), after=after)
    assert (changes[-1].path, changes[-1].inode) == (b"/w/new/f", None)


def test_a_renamed_file_is_no_folder() -> None:
    before, after = states(file(b"/w/old", 10)), states(file(b"/w/new", 10))
    rows = [*MOVE, row(Action.UPDATED, b"/w/old/f")]
    assert told(*rows, before=before, after=after) == rows


def test_nothing_comes_of_nothing() -> None:
    assert told(before={}, after={}) == []
