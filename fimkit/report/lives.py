"""The lives of findings in a frame: one that came again is in it more than once. Pure."""

import pandas as pd

from fimkit.report.html_verdict import render_when

__all__ = ["closed_words", "latest_lives"]


def latest_lives(frame: pd.DataFrame) -> pd.DataFrame:
    """Take each finding once.

    Args:
        frame: FINDINGS.

    Returns:
        At most n rows, in their order: the open life before the closed ones, of those the last; what another finding took the
        place of is part of that one, and left out.
    """
    known = frame[frame["status"].astype("str") != "superseded"]
    keys = known.assign(is_open=known["status"].astype("str") == "open", place=range(len(known)))
    ranked = keys.sort_values(["is_open", "closed", "place"], na_position="first", kind="stable")
    return known.iloc[sorted(ranked.drop_duplicates(["host", "id"], keep="last")["place"])]


def closed_words(frame: pd.DataFrame) -> dict[str, str]:
    """Say by id what became of the findings that are not open any more."""
    closed = frame[frame["status"].astype("str") != "open"]
    rows = zip(closed["id"], closed["status"].astype("str"), closed["closed"], strict=True)
    return {number: status if pd.isna(when) else f"{status} {render_when(when.value)}" for number, status, when in rows}
