"""dpkg's passing second names: expected by what was recorded of them, and by nothing else."""

import dataclasses
from typing import Any

import pytest

from fimkit.model.changes import Action, Change, Source
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType
from fimkit.verbs.package_backups import explain_backups

__all__: list[str] = []

OLD = FileState(b"/usr/bin/x", FileType.FILE, mode=0o4755, inode=7, dev=1, sha256="0" * 64)
NEW = OLD._replace(inode=8, sha256="1" * 64)
LINK = FileState(b"/usr/bin/x", FileType.SYMLINK, inode=7, dev=1, target=b"y")


def finding(path: bytes, kind: Kind, verdict: Verdict, before: FileState | None, after: FileState | None) -> Finding:
    return Finding(
        id=repr((path, kind)), host="h", path=path, kind=kind, tier=Tier.CRITICAL, severity=Severity.HIGH, verdict=verdict,
        changed=(), before=before, after=after, moved_to=None, actors=(), attribution=Attribution.EXACT, reasons=("first",),
        sources=(Source.AUDIT,), first_seen_ns=0, last_seen_ns=0,
    )  # fmt: skip


REPLACED = finding(b"/usr/bin/x", Kind.MODIFIED, Verdict.EXPECTED, OLD, NEW)
PASSING = finding(b"/usr/bin/x.dpkg-tmp", Kind.TRANSIENT, Verdict.UNEXPLAINED, None, None)


def told(action: Action, **more: Any) -> Change:
    return Change(**{"source": Source.AUDIT, "action": action, "time_ns": 1, "path": PASSING.path, "dev": 1, "inode": 7} | more)


GOOD = [told(Action.LINKED), told(Action.UNLINKED)]


def judged(changes: list[Change], stem: Finding = REPLACED, passing: Finding = PASSING, *was_open: Finding) -> Finding:
    return explain_backups([stem, passing], changes, was_open)[1]


def test_a_link_to_the_replaced_file_itself_is_expected() -> None:
    one = judged(GOOD)
    assert (one.verdict, one.severity) == (Verdict.EXPECTED, Severity.INFO)
    assert "dpkg's second name" in one.reasons[0]
    assert one.reasons[1] == "first"


def test_the_file_may_have_been_replaced_in_an_earlier_look() -> None:
    assert explain_backups([PASSING], GOOD, [REPLACED])[0].verdict is Verdict.EXPECTED


def test_a_symlink_beside_a_replaced_symlink_is_expected() -> None:
    stem = dataclasses.replace(REPLACED, before=LINK, after=LINK._replace(inode=9, target=b"z"))
    copied = [told(action, inode=99, mode=0o120777) for action in (Action.BORN, Action.OWNER, Action.UNLINKED)]
    assert judged(copied, stem).verdict is Verdict.EXPECTED
    assert judged([told(Action.BORN, inode=99, mode=0o100755)], stem).verdict is Verdict.UNEXPLAINED


def test_rights_taken_from_a_set_id_program_before_it_goes_are_expected_and_given_ones_are_not() -> None:
    assert judged([*GOOD, told(Action.MODE, new_mode=0o600)]).verdict is Verdict.EXPECTED
    for mode in (0o6755, 0o4777, None):
        assert judged([*GOOD, told(Action.MODE, new_mode=mode)]).verdict is Verdict.UNEXPLAINED


@pytest.mark.parametrize(
    "change",
    [
        told(Action.BORN), told(Action.OPENED), told(Action.OWNER), told(Action.XATTRS), told(Action.MOVED_TO),
        told(Action.LINKED, inode=99), told(Action.LINKED, inode=None), told(Action.LOST),
        told(Action.BORN, source=Source.OSQUERY, sha256="e" * 64),
    ],
)  # fmt: skip
def test_another_inode_or_anything_done_through_the_name_is_not(change: Change) -> None:
    assert judged([*GOOD, change]).verdict is Verdict.UNEXPLAINED


def test_osquery_seeing_the_old_bytes_changes_nothing() -> None:
    assert judged([*GOOD, told(Action.BORN, source=Source.OSQUERY, sha256=OLD.sha256)]).verdict is Verdict.EXPECTED


def test_without_records_or_without_a_proof_of_the_replacement_nothing_is_expected() -> None:
    assert judged([]).verdict is Verdict.UNEXPLAINED
    assert judged([told(Action.BORN, source=Source.OSQUERY)]).verdict is Verdict.UNEXPLAINED
    assert judged(GOOD, dataclasses.replace(REPLACED, verdict=Verdict.UNEXPLAINED)).verdict is Verdict.UNEXPLAINED
    assert judged(GOOD, dataclasses.replace(REPLACED, path=b"/usr/bin/other")).verdict is Verdict.UNEXPLAINED


def test_other_names_and_other_kinds_are_left_alone() -> None:
    for passing in (
        dataclasses.replace(PASSING, path=b"/usr/bin/x.tmp"),
        dataclasses.replace(PASSING, kind=Kind.CREATED),
    ):
        assert judged([dataclasses.replace(one, path=passing.path) for one in GOOD], REPLACED, passing) == passing
