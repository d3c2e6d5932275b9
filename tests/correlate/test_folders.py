"""The two ways of finding a folder's path as of a record give the same."""

from types import SimpleNamespace

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fimkit.correlate.folders import join_few, join_many

ROW = st.tuples(st.integers(0, 3), st.integers(-1, 12), st.sampled_from([b"/a", b"/b", b"/c"]))


@given(st.lists(st.integers(-1, 4), max_size=12), st.lists(ROW, max_size=10))
def test_few_rows_are_joined_as_many_are(parents: list[int], rows: list[tuple[int, int, bytes]]) -> None:
    frame = pd.DataFrame({"order": range(len(parents)), "parent": parents}).astype("int64")
    assert join_few(parents, rows) == join_many(frame, rows)


def test_a_rename_takes_effect_after_the_record_that_tells_of_it() -> None:
    world = SimpleNamespace(parents=[7, 7, 7], rows=[(7, -1, b"/old"), (7, 1, b"/new")])
    assert join_few(world.parents, world.rows) == [b"/old", b"/old", b"/new"]
