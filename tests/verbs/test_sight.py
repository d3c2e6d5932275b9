"""What a scan could not see says nothing: neither that something is gone, nor that it is back, nor that it differs."""

import os
from pathlib import Path

import pytest

from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.model.findings import Finding, Kind
from fimkit.model.states import FileState, FileType
from fimkit.verbs.sight import Sight, recall_states
from tests.evidence.examples import a_finding, a_state

UNREAD = "cannot be read: Input/output error"


class _Scan:
    """A finished scan: what it says of itself."""

    def __init__(self, *, mounts: list[bytes] | None = None) -> None:
        self.problems: list[object] = []
        self.mounts = mounts or []


def sight_of(*states: FileState, roots: tuple[bytes, ...] = (b"/t",), mounts: tuple[bytes, ...] = ()) -> Sight:
    watches = [Watch(path=root) for root in roots]
    return Sight(watches, _Scan(mounts=list(mounts)), {state.path: state for state in states})  # type: ignore[arg-type]


def test_below_a_mount_and_an_unlisted_folder_nothing_is_known_and_beside_them_all() -> None:
    folder = FileState(b"/t/shut", FileType.DIRECTORY, mode=0o700, problem="what lies in it is not known, it cannot be opened")
    sight = sight_of(folder, mounts=(b"/t/mnt",))
    hidden = [path for path in (b"/t/mnt", b"/t/mnt/x", b"/t/mnt/d/x", b"/t/mnt2", b"/t/shut", b"/t/shut/x", b"/t")
              if sight.is_hidden(path)]  # fmt: skip
    assert hidden == [b"/t/mnt/x", b"/t/mnt/d/x", b"/t/shut/x"]


def test_configured_path_below_a_mount_is_seen_by_its_own_walk() -> None:
    sight = sight_of(roots=(b"/t", b"/t/mnt/own"), mounts=(b"/t/mnt",))
    assert [sight.is_hidden(path) for path in (b"/t/mnt/own", b"/t/mnt/own/x", b"/t/mnt/other")] == [False, False, True]


def test_row_that_says_nothing_is_no_difference_of_type() -> None:
    bare = FileState(b"/t/d", FileType.FILE, problem="cannot be looked at: Permission denied")
    before = {b"/t/d": FileState(b"/t/d", FileType.DIRECTORY, mode=0o755)}
    diffs = diff_states(before, {b"/t/d": bare})
    assert [diff.changed for diff in diffs] == [("type",)]
    assert sight_of(bare).visible(diffs) == []


def test_new_name_is_told_though_nothing_is_known_of_it() -> None:
    bare = FileState(b"/t/new", FileType.FILE, problem="cannot be looked at: Permission denied")
    assert [diff.path for diff in sight_of(bare).visible(diff_states({}, {b"/t/new": bare}))] == [b"/t/new"]


@pytest.mark.parametrize(
    ("finding", "state", "undone"),
    [
        (a_finding(path=b"/t/x"), None, True),
        (a_finding(path=b"/t/x"), a_state(b"/t/x"), True),
        (a_finding(path=b"/t/x"), a_state(b"/t/x", sha256=None, problem=UNREAD), False),
        (a_finding(path=b"/t/x", changed=("mode",)), a_state(b"/t/x", sha256=None, problem=UNREAD), True),
        (a_finding(path=b"/t/x", kind=Kind.DELETED, changed=()), a_state(b"/t/x", sha256=None, problem=UNREAD), False),
        (a_finding(path=b"/t/x", moved_to=b"/t/mnt/x"), a_state(b"/t/x"), False),
        (a_finding(path=b"/t/x"), FileState(b"/t/x", FileType.FILE, problem="vanished while it was read"), True),
    ],
)
def test_difference_is_undone_only_where_what_differed_was_seen(finding: Finding, state: FileState | None, undone: bool) -> None:
    states = () if state is None else (state,)
    assert sight_of(*states, mounts=(b"/t/mnt",)).is_undone(finding) is undone


def test_bytes_that_cannot_be_read_are_those_of_the_finding_while_its_change_time_stands() -> None:
    known = a_finding(path=b"/t/x", after=a_state(b"/t/x", sha256="cd" * 32))
    unread = a_state(b"/t/x", sha256=None, problem=UNREAD)
    after = {b"/t/x": unread}
    recall_states(after, [known])
    assert after == {b"/t/x": a_state(b"/t/x", sha256="cd" * 32, problem=UNREAD)}
    later = {b"/t/x": unread._replace(ctime_ns=unread.ctime_ns + 1)}
    recall_states(later, [known])
    assert later[b"/t/x"].sha256 is None


def test_configured_path_that_is_absent_is_gone_with_all_in_it(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "none")
    scan = scan_watches([Watch(path=root)])
    assert list(scan) == []
    sight = Sight([Watch(path=root)], scan, {})
    assert not sight.is_hidden(root) and not sight.is_hidden(root + b"/x")
