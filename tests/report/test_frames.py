"""Frames: their schema holds for any value, nothing is dropped in silence, and findings come back as they went in."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fimkit.report.accessor  # noqa: F401  # frame.fim
from fimkit.model.changes import Change
from fimkit.model.errors import UsageError
from fimkit.model.findings import ContentMark, Kind, Tier
from fimkit.model.states import FileState
from fimkit.report.change_frames import changes_frame
from fimkit.report.frame_schema import BASELINE, CHANGES, EVENTS, FINDINGS, SCHEMAS, Schema
from fimkit.report.frames import (
    Frame,
    baseline_frame,
    event_of_change,
    events_frame,
    findings_frame,
    findings_of,
)
from tests.evidence.examples import NOW, a_change, a_finding, a_state, changes, states


def _holds(frame: pd.DataFrame, schema: Schema) -> None:
    assert tuple(frame.columns) == schema.names
    for field in schema.fields:
        assert str(frame[field.name].dtype) == field.dtype, field.name
    assert frame.attrs["schema"] == schema.name


def _findings(*findings: Any) -> Frame:
    return findings_frame((finding, "open", None) for finding in findings)


def test_an_empty_frame_has_the_whole_schema() -> None:
    for frame, schema in (
        (findings_frame([]), FINDINGS), (changes_frame([]), CHANGES), (events_frame([]), EVENTS), (baseline_frame([]), BASELINE),
    ):  # fmt: skip
        _holds(frame, schema)
        assert frame.empty
        assert "0 rows" in frame._repr_html_()


@settings(max_examples=40)
@given(st.lists(changes, max_size=4))
def test_any_change_fits_the_schema_and_what_does_not_fit_is_said(some: list[Change]) -> None:
    frame = changes_frame([("web01", Tier.WATCH, change) for change in some])
    _holds(frame, CHANGES)
    assert len(frame) == len(some)
    too_big = sum(change.actor is not None and change.actor.pid is not None and abs(change.actor.pid) >= 2**63 for change in some)
    assert any(note.startswith("pid: ") for note in frame.attrs["notes"]) == bool(too_big)
    frame._repr_html_().encode()
    events = events_frame([event_of_change("web01", [change]) for change in some])
    _holds(events, EVENTS)


@settings(max_examples=40)
@given(st.lists(states, max_size=4))
def test_any_state_fits_the_schema(some: list[FileState]) -> None:
    frame = baseline_frame([("web01", None, state) for state in some])
    _holds(frame, BASELINE)
    assert sorted(frame["inode"].dropna()) == sorted(state.inode for state in some if state.inode is not None)
    frame._repr_html_().encode()


def test_findings_come_back_as_they_went_in() -> None:
    marks = (ContentMark(rule="php_eval", severity="high", line=3, text="eval(", attack="T1505.003"),)
    some = [
        a_finding("a1", b"/etc/bad\xff\n"),
        a_finding("a2", b"/etc/y", kind=Kind.MOVED, moved_to=b"/etc/z%", content=marks),
        a_finding("a3", b"/etc/z", kind=Kind.CREATED, before=None, actors=(), content=()),
        a_finding("a4", b"/etc/zz", kind=Kind.DELETED, after=None, changed=()),
    ]
    assert findings_of(_findings(*some)) == some


def test_a_frame_that_lacks_columns_gives_no_findings() -> None:
    with pytest.raises(UsageError, match="actors"):
        findings_of(_findings(a_finding())[["id", "host"]])


def test_severities_have_their_order() -> None:
    frame = findings_frame([(a_finding("a1"), "gone", NOW)])
    assert len(frame[frame["severity"] >= "high"]) == 1
    assert frame["closed"].iloc[0] == pd.Timestamp(NOW, tz="UTC")


def test_times_are_aware_and_exact_to_the_nanosecond() -> None:
    frame = baseline_frame([("web01", None, a_state(b"/a", mtime_ns=NOW + 1))])
    assert frame["mtime"].iloc[0].value == NOW + 1
    assert str(frame["mtime"].dt.tz) == "UTC"


def test_a_year_that_no_clock_had_is_left_out_and_said() -> None:
    frame = baseline_frame([("web01", None, a_state(b"/a", mtime_ns=2**65))])
    assert frame["mtime"].isna().all()
    assert frame.attrs["notes"] == ["mtime: 1 times before 1678 or after 2261 are left out"]
    assert "mtime: 1 times" in frame._repr_html_()


def test_every_column_is_explained() -> None:
    for schema in SCHEMAS.values():
        assert all(field.words for field in schema.fields)
        assert set(schema.shown) <= set(schema.names)
    assert set(changes_frame([("h", None, a_change())]).fim.columns()["column"]) == set(CHANGES.names)
