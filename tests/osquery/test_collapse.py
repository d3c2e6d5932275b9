"""Rows that say the same are one change; what differs in anything stays apart."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.changes import Action, Change, Source
from fimkit.osquery.collapse import WINDOW_NS, collapse_rows
from fimkit.osquery.results import OsqueryResults
from fimkit.osquery.rows import parse_process_event
from tests.osquery.result_rows import PROCESS_ROW

SECOND = 1_000_000_000
LOG = Path(__file__).parent.parent / "data/incident-01/osqueryd.results.log"


def row(action: Action, at_s: int = 100, *, serial: int = 1, path: bytes = b"/a", **more: object) -> Change:
    plain = Change(
        source=Source.OSQUERY, action=action, time_ns=at_s * SECOND, serial=serial, path=path, inode=7, size=3, sha256="ab" * 32,
        new_mode=0o644, uid=0, gid=0, mtime_ns=100 * SECOND, node="web01",
    )  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]


def test_created_updated_updated_of_one_write_is_one_creation_with_both_times() -> None:
    rows = [row(Action.BORN), row(Action.UPDATED, 101, serial=2), row(Action.UPDATED, 102, serial=3)]
    assert collapse_rows(rows) == [replace(rows[0], last_ns=102 * SECOND)]


def test_a_write_that_two_query_runs_tell_of_is_one() -> None:
    assert len(collapse_rows([row(Action.UPDATED), row(Action.UPDATED, 105, serial=50)])) == 1


@pytest.mark.parametrize(
    "differs",
    [{"sha256": "cd" * 32}, {"inode": 8}, {"size": 4}, {"new_mode": 0o600}, {"uid": 1}, {"gid": 1}, {"mtime_ns": 101 * SECOND},
     {"node": "db01"}, {"path": b"/b"}, {"hash_late": True}, {"sha256": None}],
)  # fmt: skip
def test_what_differs_in_anything_stays_apart(differs: dict[str, object]) -> None:
    rows = [row(Action.UPDATED), row(Action.UPDATED, serial=2, **differs)]
    assert collapse_rows(rows) == rows


def test_the_empty_file_and_its_bytes_are_two() -> None:
    rows = [row(Action.BORN, sha256="e3" * 32, size=0), row(Action.UPDATED, serial=2), row(Action.UPDATED, serial=3)]
    assert [change.sha256 for change in collapse_rows(rows)] == ["e3" * 32, "ab" * 32]


@pytest.mark.parametrize("between", [Action.UNLINKED, Action.MOVED_FROM, Action.ATTRIBUTES])
def test_something_else_of_the_path_in_between_parts_them(between: Action) -> None:
    rows = [row(Action.UPDATED), row(between, serial=2), row(Action.UPDATED, serial=3)]
    assert collapse_rows(rows) == rows


def test_another_path_in_between_does_not() -> None:
    rows = [row(Action.UPDATED), row(Action.UPDATED, serial=2, path=b"/b"), row(Action.UPDATED, serial=3)]
    assert [change.path for change in collapse_rows(rows)] == [b"/a", b"/b"]


def test_a_creation_is_not_taken_by_a_write_before_it() -> None:
    rows = [row(Action.UPDATED), row(Action.BORN, serial=2)]
    assert collapse_rows(rows) == rows


def test_far_apart_are_two_and_a_long_row_of_near_ones_is_one() -> None:
    window_s = WINDOW_NS // SECOND
    assert len(collapse_rows([row(Action.UPDATED), row(Action.UPDATED, 101 + window_s)])) == 2
    near = [row(Action.UPDATED, 100 + window_s * number) for number in range(5)]
    assert [(change.time_ns, change.last_ns) for change in collapse_rows(near)] == [(near[0].time_ns, near[-1].time_ns)]


def test_rows_that_name_a_process_are_never_made_one() -> None:
    rows = [*parse_process_event(PROCESS_ROW, node=None), *parse_process_event(PROCESS_ROW, node=None)]
    assert collapse_rows(rows) == rows


def test_the_incident_has_a_row_a_change() -> None:
    found = OsqueryResults().changes_of(LOG.read_bytes().split(b"\n"), file="r.log")
    by_path: dict[bytes, list[Action]] = defaultdict(list)
    for change in collapse_rows(found):
        by_path[(change.path or b"").removeprefix(b"/srv/fim/tree/")].append(change.action)
    assert by_path[b"etc/app1.conf"] == [Action.UPDATED]
    assert by_path[b"www/html/uploads/test3.php"] == [Action.BORN]
    assert by_path[b"etc/blink"] == [Action.BORN, Action.UNLINKED]
    assert by_path[b"etc/with space.conf"] == [Action.BORN, Action.UPDATED]  # the empty file's hash, then the bytes'
    assert by_path[b"etc/app16.conf"] == [Action.UPDATED, Action.UPDATED]  # two writes
    assert by_path[b"home/alice/sh"] == [Action.BORN, Action.ATTRIBUTES]


ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from([Action.BORN, Action.UPDATED, Action.UNLINKED, Action.ATTRIBUTES]),
        st.integers(100, 140),
        serial=st.integers(1, 9),
        path=st.sampled_from([b"/a", b"/b"]),
        sha256=st.sampled_from(["ab" * 32, None]),
    ),
    max_size=12,
)


@given(ROWS)
def test_nothing_that_was_said_is_lost_and_nothing_is_added(rows: list[Change]) -> None:
    kept = collapse_rows(rows)
    said = {(change.path, change.sha256) for change in rows}
    assert {(change.path, change.sha256) for change in kept} == said
    for path in (b"/a", b"/b"):
        times = [change.time_ns for change in rows if change.path == path]
        mine = [change for change in kept if change.path == path]
        assert {min(times, default=0), max(times, default=0)} <= {
            0, *(change.time_ns for change in mine), *(change.last_ns or 0 for change in mine)
        }  # fmt: skip
    assert collapse_rows(kept) == kept
    assert collapse_rows(reversed(rows)) == kept or len({(change.time_ns, change.serial) for change in rows}) < len(rows)
