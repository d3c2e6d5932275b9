"""Rows on a terminal: inside its width, nothing lost in silence, nothing of the host's text in control of it."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from fimkit.report.rows import render_cell, render_rows
from fimkit.report.text import display_width

__all__: list[str] = []

KINDS = st.sampled_from(["TEXT", "INTEGER", "DOUBLE", "UNKNOWN"])


def test_numbers_stand_to_the_right_and_texts_to_the_left() -> None:
    rows = [{"pid": "1", "name": "init"}, {"pid": "4711", "name": "설정"}]
    assert list(render_rows([("pid", "BIGINT"), ("name", "TEXT")], rows)) == [" pid  name", "   1  init", "4711  설정"]


def test_a_long_value_is_shortened_in_its_middle() -> None:
    lines = list(render_rows([("pid", "BIGINT"), ("path", "TEXT")], [{"pid": "1", "path": "/usr/" + "x" * 90 + "/end"}], width=40))
    assert lines[1].startswith("  1  /usr/x") and lines[1].endswith("/end") and "…" in lines[1]


def test_columns_that_do_not_fit_stand_one_under_the_other_and_are_folded_whole() -> None:
    columns = [(f"column_{number}", "TEXT") for number in range(9)]
    rows = [{name: name[-1] * 50 for name, _ in columns}]
    lines = list(render_rows(columns, rows, width=40))
    assert lines[0] == "--- 1"
    assert "".join(line[10:] for line in lines[1:]) == "".join(rows[0][name] for name, _ in columns)


def test_a_name_is_never_cut_in_a_table() -> None:
    columns = [(f"remote_address_{number}", "TEXT") for number in range(6)]
    lines = list(render_rows(columns, [{name: "192.0.2.1" for name, _ in columns}]))
    assert lines[0] == "--- 1"


def test_what_could_deceive_is_escaped() -> None:
    assert render_cell("a\x1b]0;x\x07\u202eb\udcff%") == "a%1B]0;x%07%E2%80%AEb%FF%25"


def test_no_rows_are_a_heading() -> None:
    assert list(render_rows([("a", "TEXT"), ("b", "TEXT")], [])) == ["a  b"]


@given(
    columns=st.lists(st.tuples(st.text(max_size=12), KINDS), min_size=1, max_size=8, unique_by=lambda column: column[0]),
    values=st.lists(st.lists(st.text(), min_size=8, max_size=8), max_size=4),
    width=st.integers(40, 120),
)
def test_no_line_is_wider_than_the_terminal_or_moves_it(
    columns: list[tuple[str, str]], values: list[list[str]], width: int
) -> None:
    rows = [{name: value for (name, _), value in zip(columns, row, strict=False)} for row in values]
    for line in render_rows(columns, rows, width=width):
        assert display_width(line) <= width
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in line)
