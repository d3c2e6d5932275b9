"""Frames as HTML for a notebook: the columns that matter, badges for severity, every value escaped. Pure."""

import html
from collections.abc import Sequence
from typing import Any

import pandas as pd

from fimkit.model.paths import render_terminal
from fimkit.report.frame_chart import render_counts
from fimkit.report.frame_schema import ORDERED, SCHEMAS

__all__ = ["COLORS", "escape", "render_frame"]

_MOST_ROWS = 50
_LONGEST = 160
_PROSE = 480  # reasons: sentences, which lose their sense without their middle
_HASH = 16
_LONG = 36  # what is longer may go on in the next line
_MONO = frozenset({"path", "moved_to", "exe", "cmdline", "comm", "sha256", "sha256_before", "target", "tree", "value", "event"})

COLORS = {"critical": "#a4133c", "high": "#d9480f", "medium": "#b7791f", "low": "#2b6cb0", "info": "#6b7280"}
"""A severity's colour; white text on it can be read (contrast of 3.5 and more)."""

_STYLE = (
    "<style>.fim{font:13px/1.45 system-ui,sans-serif;border-collapse:collapse;max-width:100%}"
    ".fim th,.fim td{text-align:left;vertical-align:top;padding:3px 8px;border-bottom:1px solid #8884}"
    ".fim th{font-weight:600;white-space:nowrap}.fim td{white-space:nowrap}"
    ".fim td.l{white-space:normal;overflow-wrap:anywhere;min-width:14em}"
    ".fim code{font:12px ui-monospace,monospace;background:none;padding:0;white-space:pre}.fim td.l code{white-space:pre-wrap}"
    ".fim b.s{color:#fff;border-radius:3px;padding:1px 6px;font-weight:600;white-space:nowrap}"
    ".fim-note{font:12px system-ui,sans-serif;opacity:.75}.fim-wide{overflow-x:auto}</style>"
)


def escape(value: object) -> str:
    r"""Escape text for a page: markup, and what would turn or hide the text around it.

    >>> escape("<b>\u202egnp.exe")
    '&lt;b&gt;%E2%80%AEgnp.exe'
    """
    return html.escape(render_terminal(str(value)), quote=True)


def _shorten(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else text[: longest // 3] + " … " + text[-longest // 2 :]


def _time(value: Any) -> str:
    text = value.isoformat(sep=" ", timespec="milliseconds" if value.microsecond or value.nanosecond else "seconds")
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def _cell(name: str, value: Any) -> str:
    if _missing(value):
        return "<td></td>"
    if isinstance(value, pd.Timestamp):
        return f"<td>{escape(_time(value))}</td>"
    if name == "severity" and value in COLORS:
        return f'<td><b class="s" style="background:{COLORS[value]}">{escape(value)}</b></td>'
    if isinstance(value, tuple | list) and all(isinstance(one, str) for one in value):
        return f"<td{_width(max(map(len, value), default=0))}>{'<br>'.join(escape(_shorten(one, _PROSE)) for one in value)}</td>"
    if name.startswith("sha256"):  # the beginning tells hashes apart; the whole is there to be copied
        return f'<td><code title="{escape(value)}">{escape(str(value)[:_HASH])}</code></td>'
    text, width = escape(_shorten(str(value))), _width(len(str(value)))
    return f"<td{width}><code>{text}</code></td>" if name in _MONO else f"<td{width}>{text}</td>"


def _width(length: int) -> str:
    return ' class="l"' if length > _LONG else ""


def _shown(frame: pd.DataFrame) -> list[Any]:
    """Choose the columns: all that the user chose, or of a whole frame those that matter and say anything."""
    chosen = frame.attrs.get("shown", ())
    if chosen and set(chosen) <= set(frame.columns):
        return [name for name in chosen if frame.empty or not frame[name].isna().all()]
    schema = SCHEMAS.get(str(frame.attrs.get("schema")))
    if schema is None or not set(schema.names) <= set(frame.columns):
        return list(frame.columns)
    shown = [name for name in schema.shown if frame.empty or not frame[name].isna().all()]
    return ["host", *shown] if frame["host"].nunique() > 1 else shown


def _index_names(frame: pd.DataFrame) -> list[str]:
    plain = isinstance(frame.index, pd.RangeIndex) or (frame.index.nlevels == 1 and frame.index.name is None)
    return [] if plain else [str(name or "") for name in frame.index.names]


def _row(columns: Sequence[Any], names: Sequence[str], index: Any, values: Sequence[Any]) -> str:
    keys = index if isinstance(index, tuple) else (index,)
    head = "".join(_cell(name, key) for name, key in zip(names, keys, strict=False))
    return f"<tr>{head}{''.join(_cell(str(name), value) for name, value in zip(columns, values, strict=True))}</tr>"


def _words(frame: pd.DataFrame, listed: int) -> str:
    words = [f"{len(frame)} row{'s' if len(frame) != 1 else ''}"]
    if listed < len(frame):
        words.append(f"the first {listed} are shown")
    schema = SCHEMAS.get(str(frame.attrs.get("schema")))
    if schema is not None and len(frame.columns) > len(_shown(frame)):
        words.append(f"{len(frame.columns)} columns: frame.fim.columns()")
    words += [str(word) for name in ("notes", "problems") for word in frame.attrs.get(name, ())]
    return escape("; ".join(words))


def render_frame(frame: pd.DataFrame) -> str:
    """Write a frame as HTML.

    Args:
        frame: Any frame; of one with a schema the columns that matter are shown, of one of counts by time a chart too.

    Returns:
        A fragment without scripts, in which every name and value is escaped; at most fifty rows, and it says how many there are.
    """
    columns, names = _shown(frame), _index_names(frame)
    listed = frame.head(_MOST_ROWS)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in (*names, *columns))
    # By column, since a row of mixed dtypes would turn whole numbers into floats.
    cells = zip(*(listed[name].array for name in columns), strict=True) if columns else iter([()] * len(listed))
    rows = "".join(_row(columns, names, index, values) for index, values in zip(listed.index, cells, strict=True))
    chart = render_counts(frame, COLORS, list(ORDERED["severity"])) if frame.attrs.get("chart") == "counts" else ""
    table = f'<div class="fim-wide"><table class="fim"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f'{_STYLE}{chart}{table}<p class="fim-note">{_words(frame, len(listed))}</p>'
