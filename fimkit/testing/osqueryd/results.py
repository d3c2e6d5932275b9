r"""The lines of osqueryd.results.log and osqueryd.snapshots.log, in the order of keys that osquery 5.23 writes. Pure.

Control bytes and bytes that are no UTF-8 become the literal text ``\xNN``; other text stays as it is.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fimkit.testing.osqueryd.sql import Value, as_text

__all__ = ["Difference", "LineForm", "diff_rows", "escape_text", "render_results", "render_snapshot"]

Row = Mapping[str, Value]


class LineForm(NamedTuple):
    """What the flags say of the form of lines, and what every line carries."""

    host: str
    epoch: int
    numerics: bool
    events: bool
    decorations: Mapping[str, str]
    decorations_top_level: bool = False
    snapshot_events: bool = False
    null: str = ""


class Difference(NamedTuple):
    """What a scheduled query gave now and not before, and before and not now."""

    removed: Sequence[Row]
    added: Sequence[Row]


def escape_text(text: str) -> str:
    r"""Write a text as osquery's log does.

    >>> print(escape_text("new\nline"), escape_text("bad\udcffname"), escape_text("ü"))
    new\x0Aline bad\xFFname ü
    """
    return "".join(
        f"\\x{ord(char) & 0xFF:02X}" if ord(char) < 0x20 or 0xDC80 <= ord(char) <= 0xDCFF else char
        for char in text
    )


def diff_rows(before: Sequence[Row], now: Sequence[Row]) -> Difference:
    """Compare the rows of two runs, each row as often as it occurs.

    >>> diff_rows([{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 2}])
    Difference(removed=[{'a': 1}], added=[{'a': 2}])
    """
    return Difference(_without(before, now), _without(now, before))


def _without(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """Take away one row for each equal one in ``others``."""
    left = Counter(tuple(sorted(row.items())) for row in others)
    kept = []
    for row in rows:
        key = tuple(sorted(row.items()))
        if left[key]:
            left[key] -= 1
        else:
            kept.append(row)
    return kept


def _columns(row: Row, form: LineForm) -> dict[str, Any]:
    return {
        name: value if form.numerics and isinstance(value, int | float) else escape_text(as_text(value, form.null))
        for name, value in sorted(row.items())
    }


def _head(name: str, counter: int, now: int, form: LineForm) -> dict[str, Any]:
    head: dict[str, Any] = {
        "name": name,
        "hostIdentifier": form.host,
        "calendarTime": time.strftime("%a %b %e %H:%M:%S %Y UTC", time.gmtime(now)),
        "unixTime": now,
        "epoch": form.epoch,
        "counter": counter,
        "numerics": form.numerics,
    }
    if form.decorations:
        head |= dict(form.decorations) if form.decorations_top_level else {"decorations": dict(form.decorations)}
    return head


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def render_results(name: str, difference: Difference, counter: int, now: int, form: LineForm) -> Iterator[bytes]:
    """Write what a differential or event query gave: a line a row, or all in one line."""
    head = _head(name, counter, now, form)
    if not form.events:
        results = {which: [_columns(row, form) for row in rows] for which, rows in difference._asdict().items()}
        yield _line({"diffResults": results, **head})
        return
    for action, rows in difference._asdict().items():
        for row in rows:
            yield _line({**head, "columns": _columns(row, form), "action": action})


def render_snapshot(name: str, rows: Sequence[Row], now: int, form: LineForm) -> Iterator[bytes]:
    """Write what a snapshot query gave: one line, or a line a row with ``--logger_snapshot_event_type``."""
    head = _head(name, 0, now, form)
    if form.snapshot_events:
        for row in rows:
            yield _line({**head, "columns": _columns(row, form), "action": "snapshot"})
        return
    yield _line({"snapshot": [_columns(row, form) for row in rows], "action": "snapshot", **head})
