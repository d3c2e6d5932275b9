"""The lines that the stand-in writes have the bytes of lines that a real osqueryd wrote."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.osquery.results import unescape_name
from fimkit.testing.osqueryd.results import Difference, LineForm, diff_rows, escape_text, render_results, render_snapshot

DATA = Path(__file__).parent.parent.parent / "data" / "osquery"


def _form(line: dict[str, object]) -> LineForm:
    return LineForm(
        host=str(line["hostIdentifier"]),
        epoch=int(str(line["epoch"])),
        numerics=bool(line["numerics"]),
        events="diffResults" not in line,
        decorations=line.get("decorations", {}),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", ["results-fileops.log", "snapshots.log", "batch.txt"])
def test_real_lines_are_written_again_byte_for_byte(name: str) -> None:
    lines = [line for line in (DATA / name).read_bytes().splitlines(keepends=True) if line.startswith(b"{")]
    assert lines
    for text in lines:
        line = json.loads(text)
        head = (line["name"], line["counter"], line["unixTime"], _form(line))
        if "snapshot" in line:
            written = list(render_snapshot(head[0], line["snapshot"], head[2], head[3]))
        elif "diffResults" in line:
            written = list(render_results(head[0], Difference(**line["diffResults"]), *head[1:]))
        else:
            rows = {which: [line["columns"]] if which == line["action"] else [] for which in ("removed", "added")}
            written = list(render_results(head[0], Difference(**rows), *head[1:]))
        # What was escaped once is plain text here: rows with a backslash cannot be told apart, and there are none.
        assert written == [text]


@given(st.binary())
def test_names_come_back_from_what_is_written(name: bytes) -> None:
    if b"\\x" not in name:
        assert unescape_name(escape_text(name.decode("utf-8", "surrogateescape"))) == name


_ROWS = st.lists(st.fixed_dictionaries({"a": st.integers(0, 3)}))


@given(_ROWS, _ROWS)
def test_a_difference_leads_from_one_to_the_other(before: list[dict[str, int]], now: list[dict[str, int]]) -> None:
    difference = diff_rows(before, now)
    assert sorted([*now, *difference.removed], key=str) == sorted([*before, *difference.added], key=str)
    assert not [row for row in difference.removed if row in difference.added]
