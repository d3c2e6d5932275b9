"""Counts by time as a small drawing for a notebook: SVG, no script, every word escaped. Pure."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fimkit.model.paths import render_terminal

__all__ = ["render_counts"]

_WIDTH, _HEIGHT, _FOOT, _LEFT = 860, 130, 20, 36
_PALETTE = ("#2b6cb0", "#b7791f", "#a4133c", "#2f855a", "#6b46c1", "#d9480f", "#6b7280")


def _label(value: Any) -> str:
    return html.escape(render_terminal(str(value)), quote=True)


def _bars(frame: pd.DataFrame, colors: Sequence[str], most: float) -> list[str]:
    step = (_WIDTH - _LEFT) / max(len(frame), 1)
    wide, parts = max(step - 1, 0.5), []
    for number, (stamp, counts) in enumerate(zip(frame.index, frame.to_numpy(), strict=True)):
        top = float(_HEIGHT)
        for name, count, color in zip(frame.columns, counts, colors, strict=True):
            if count:
                tall = float(count) / most * (_HEIGHT - 8)
                top -= tall
                parts.append(
                    f'<rect x="{_LEFT + number * step:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{color}">'
                    f"<title>{_label(stamp)}: {int(count)} {_label(name)}</title></rect>"
                )
    return parts


def render_counts(frame: pd.DataFrame, colors: Mapping[str, str], order: Sequence[str]) -> str:
    """Draw a frame of counts, one bar a row and one colour a column.

    Args:
        frame: Numbers, with times as the index.
        colors: By column; others get one of their own.
        order: Which columns lie lowest, the last of it at the bottom.

    Returns:
        An ``svg`` element with a title for each part; nothing for an empty frame.
    """
    if frame.empty or not len(frame.columns):
        return ""
    ranked = sorted(frame.columns, key=lambda name: -order.index(name) if name in order else 1)
    shown = frame[ranked]
    painted = [colors.get(str(name), _PALETTE[place % len(_PALETTE)]) for place, name in enumerate(ranked)]
    most = max(float(shown.sum(axis=1).max()), 1.0)
    legend = "".join(
        f'<tspan fill="{color}" font-weight="600">■ {_label(name)}  </tspan>' for name, color in zip(ranked, painted, strict=True)
    )
    first, last = _label(f"{frame.index[0]:%Y-%m-%d %H:%M:%S}Z"), _label(f"{frame.index[-1]:%Y-%m-%d %H:%M:%S}Z")
    middle, bottom, font = "fill=\"currentColor\"", _HEIGHT + _FOOT - 5, 'font-size="12"'
    return (
        f'<svg role="img" aria-label="counts by time, {first} to {last}" viewBox="0 -20 {_WIDTH} {_HEIGHT + _FOOT + 20}"'
        f' width="100%" style="max-width:{_WIDTH}px;font-family:system-ui,sans-serif">'
        f'<text x="{_LEFT}" y="-6" {font} xml:space="preserve">{legend}</text>'
        f'<text x="0" y="12" {font} {middle}>{int(most)}</text><text x="0" y="{_HEIGHT}" {font} {middle}>0</text>'
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}" stroke="currentColor" stroke-opacity=".4"/>'
        f"{''.join(_bars(shown, painted, most))}"
        f'<text x="{_LEFT}" y="{bottom}" {font} {middle}>{first}</text>'
        f'<text x="{_WIDTH}" y="{bottom}" {font} {middle} text-anchor="end">{last}</text></svg>'
    )
