"""Gaps and intervals as objects for JSON. Pure."""

from typing import Any

from fimkit.model.coverage import Gap, Interval
from fimkit.model.paths import render_path
from fimkit.model.time import render_time

__all__ = ["render_gap_row", "render_interval"]


def render_gap_row(gap: Gap) -> dict[str, Any]:
    """Give a gap's object; ``to`` is null while it lasts, ``path`` where it is about everything."""
    return {
        "from": render_time(gap.from_ns), "to": None if gap.to_ns is None else render_time(gap.to_ns), "source": gap.source.value,
        "cause": gap.cause.value, "path": None if gap.path is None else render_path(gap.path), "words": gap.words, "lost": gap.lost,
        "evidence": list(gap.evidence),
    }  # fmt: skip


def render_interval(interval: Interval) -> dict[str, Any]:
    """Give an interval's object: when, which sources saw all of it, and what kept the others from it."""
    return {
        "from": render_time(interval.from_ns), "to": render_time(interval.to_ns), "saw": [one.value for one in interval.saw],
        "gaps": [render_gap_row(gap) for gap in interval.gaps],
    }  # fmt: skip
