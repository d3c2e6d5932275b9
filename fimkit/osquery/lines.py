"""Reads one line of osquery's results or snapshots log, in its three formats, row by row. Pure.

Formats, as osquery 5.23 writes them: an event a line (``columns``, ``action``), a batch a line (``diffResults``, with the query's
name behind the rows), a snapshot a line (``snapshot``). A line of 100,000 rows is 50 MB: of a long one the rows are decoded one
at a time, twice, so that never more than one of them is held.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fimkit.model.errors import RecordError, clip

__all__ = ["ResultLine", "parse_line"]

LONG_LINE_BYTES = 1 << 20
_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
_ROWS = frozenset({"added", "removed", "snapshot"})
_NESTED = "diffResults"


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One line: which query, of which host, and its rows.

    ``node`` names the host; ``names`` are all the names that the line has for it. ``removed`` counts rows that a query does not
    give any more, which are no news of an event table.
    """

    name: str | None
    node: str | None
    names: frozenset[str]
    removed: int
    _rows: "list[Any] | _Lazy"

    def rows(self) -> Iterator[Any]:
        """Give the rows that were added, or are in the snapshot; one that is no object is for the caller to refuse."""
        yield from self._rows


@dataclass(frozen=True, slots=True)
class _Lazy:
    """The rows of a long line, decoded as they are asked for."""

    text: str
    place: int

    def __iter__(self) -> Iterator[Any]:
        for row, _ in _elements(self.text, self.place):
            yield row


@dataclass(frozen=True, slots=True)
class _Count:
    """How many rows a long line has that a query does not give any more: that is all that is asked of them."""

    rows: int


def parse_line(line: bytes) -> ResultLine:
    """Read one line.

    Raises:
        RecordError: If it is no osquery result.

    >>> line = parse_line(b'{"name":"q","hostIdentifier":"web01","columns":{"a":"1"},"action":"added"}')
    >>> line.name, line.node, list(line.rows())
    ('q', 'web01', [{'a': '1'}])
    """
    try:
        result = _walk(line) if len(line) > LONG_LINE_BYTES else json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"no JSON: {clip(str(error))} in {clip(line[:200])}") from error
    if not isinstance(result, dict):
        raise RecordError(f"a result is a JSON object; seen: {clip(result)}")
    rows, removed = _rows_of(result, line)
    name = result.get("name")
    names = _host_names(result)
    return ResultLine(name if isinstance(name, str) else None, names[0] if names else None, frozenset(names), removed, rows)


def _rows_of(result: dict[str, Any], line: bytes) -> tuple["list[Any] | _Lazy", int]:
    if isinstance(result.get("columns"), dict):
        added = result.get("action") != "removed"
        return ([result["columns"]], 0) if added else ([], 1)
    rows: Any
    removed: Any = ()
    if _NESTED in result:
        both = result[_NESTED] or {}  # older ones write an empty text for nothing
        if not isinstance(both, dict):
            raise RecordError(f"diffResults is an object; seen: {clip(both)}")
        rows, removed = both.get("added") or [], both.get("removed") or []
    elif "snapshot" in result:
        rows = result["snapshot"] or []
    else:
        raise RecordError(f"neither columns, diffResults nor snapshot in {clip(line[:200])}")
    if not isinstance(rows, list | _Lazy):
        raise RecordError(f"rows are a list; seen: {clip(rows)}")
    if isinstance(removed, _Count):
        return rows, removed.rows
    if removed and not isinstance(removed, list):
        raise RecordError(f"removed rows are a list; seen: {clip(removed)}")
    return rows, len(removed)


def _host_names(result: Mapping[str, Any]) -> list[str]:
    """Give every name of the host: what the line is stamped with first, then what decorations say.

    ``hostIdentifier`` is the host's name, its UUID or any text (``--host_identifier``); older ones say ``hostname``. A fleet
    decorates its lines with the other one (``--decorations_top_level`` puts that beside the rest).
    """
    found = [result.get("hostIdentifier"), result.get("hostname")]
    decorations = result.get("decorations")
    for where in (decorations if isinstance(decorations, dict) else {}, result):
        found += [where.get(name) for name in ("hostname", "host_uuid", "uuid", "computer_name", "local_hostname")]
    return list(dict.fromkeys(name for name in found if isinstance(name, str) and name))


def _skip(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    assert match is not None
    return match.end()


def _expect(text: str, place: int, wanted: str) -> int:
    place = _skip(text, place)
    if text[place : place + 1] not in tuple(wanted):
        raise ValueError(f"expected one of {wanted} at character {place}")
    return place


def _elements(text: str, place: int) -> Iterator[tuple[Any, int]]:
    """Give the elements of the list that begins at ``place``, each with the place behind it and what follows it."""
    place = _skip(text, _expect(text, place, "[") + 1)
    if text[place : place + 1] == "]":
        return
    while True:
        value, place = _DECODER.raw_decode(text, place)
        place = _expect(text, place, ",]")
        yield value, place + 1
        if text[place] == "]":
            return
        place = _skip(text, place + 1)


def _walk(line: bytes) -> dict[str, Any]:
    """Read a long line as :func:`json.loads` would, but leave its lists of rows where they are."""
    text = line.decode("utf-8", "surrogatepass")
    result, place = _object(text, 0)
    if _skip(text, place) != len(text):
        raise ValueError(f"more text behind the object, at character {place}")
    return result


def _object(text: str, place: int) -> tuple[dict[str, Any], int]:
    result: dict[str, Any] = {}
    place = _skip(text, _expect(text, place, "{") + 1)
    if text[place : place + 1] == "}":
        return result, place + 1
    while True:
        key, place = _DECODER.raw_decode(text, _expect(text, place, '"'))
        place = _skip(text, _expect(text, place, ":") + 1)
        if key == _NESTED and text[place : place + 1] == "{":
            result[key], place = _object(text, place)
        elif key in _ROWS and text[place : place + 1] == "[":
            result[key], place = _list(text, place, keep=key != "removed")
        else:
            result[key], place = _DECODER.raw_decode(text, place)
        place = _expect(text, place, ",}")
        if text[place] == "}":
            return result, place + 1
        place += 1


def _list(text: str, place: int, *, keep: bool) -> tuple["_Lazy | _Count", int]:
    """Check a list and find its end; give it to be read later, or only its length."""
    count, behind = 0, _skip(text, place + 1) + 1
    for _, end in _elements(text, place):
        count, behind = count + 1, end
    return (_Lazy(text, place) if keep else _Count(count)), behind
