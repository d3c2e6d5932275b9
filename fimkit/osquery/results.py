r"""Reads osquery's result log, in its three formats, and turns ``file_events`` rows into changes. Pure.

Formats, as osquery 5.23 writes them: an event a line (``columns``, ``action``), a batch a line (``diffResults``), a snapshot a line
(``snapshot``). Values are texts, or numbers with ``--logger_numerics``. In names, control bytes and bytes that are no UTF-8 are
the literal text ``\xNN``. ``time`` is whole seconds, stamped when osquery processed the event, so it may be late and never early.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fimkit.model.changes import Action, Change, Source
from fimkit.model.errors import RecordError, clip
from fimkit.model.paths import join_path
from fimkit.model.records import BadLine

__all__ = ["OsqueryResults", "parse_line", "parse_row", "unescape_name"]

_ESCAPE = re.compile(rb"\\x([0-9A-F]{2})")
_MUST_ESCAPE = frozenset([*range(0x20), 0x7F, *range(0x80, 0x100)])
_ACTIONS = {
    "CREATED": Action.BORN,
    "UPDATED": Action.UPDATED,
    "DELETED": Action.UNLINKED,
    "ATTRIBUTES_MODIFIED": Action.ATTRIBUTES,
    "MOVED_FROM": Action.MOVED_FROM,
    "MOVED_TO": Action.MOVED_TO,
}
_READS = {"OPENED", "ACCESSED"}


def unescape_name(text: str) -> bytes:
    r"""Read a name as osquery's log writes it: ``\xNN`` is a byte only where osquery had to escape it.

    >>> unescape_name(r"/etc/new\x0Aline"), unescape_name(r"/etc/bad\xFFname"), unescape_name(r"/etc/\x41")
    (b'/etc/new\nline', b'/etc/bad\xffname', b'/etc/\\x41')
    """
    return _ESCAPE.sub(
        lambda match: bytes([byte]) if (byte := int(match[1], 16)) in _MUST_ESCAPE else match[0],
        text.encode("utf-8", "surrogatepass"),
    )


def _number(columns: Mapping[str, Any], name: str, base: int = 10) -> int | None:
    value = columns.get(name)
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        return int(value, base) if isinstance(value, str) else int(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordError(f"{name} is {clip(value)}, expected a number") from error


def parse_row(columns: Mapping[str, Any], *, node: str | None, serial: int = 0, item: int = 0) -> Change | None:
    """Turn the columns of one ``file_events`` row into a change.

    Args:
        columns: As logged; texts or numbers.
        node: The line's ``hostIdentifier``.
        serial: The line's place in its log: osquery's seconds do not order rows.
        item: The row's place in its line.

    Returns:
        The change, or ``None`` for a row that only tells of reading (OPENED, ACCESSED).

    Raises:
        RecordError: If it is no ``file_events`` row, or a number is none.
    """
    path, action = columns.get("target_path"), columns.get("action")
    if not isinstance(path, str) or not isinstance(action, str) or not path.startswith("/"):
        raise RecordError(f"no file_events row: action {clip(action)}, target_path {clip(path)}")
    if action in _READS:
        return None
    if action not in _ACTIONS:
        raise RecordError(f"an unknown action {clip(action)}")
    seconds = _number(columns, "time")
    if seconds is None:
        raise RecordError("a file_events row without a time")
    cookie = _number(columns, "transaction_id")
    seen = _number(columns, "mtime") is not None  # a file already gone leaves the stat columns empty
    sha256 = columns.get("sha256")
    mode = _number(columns, "mode", 8) if isinstance(columns.get("mode"), str) else _octal_digits(columns)
    return Change(
        source=Source.OSQUERY,
        action=_ACTIONS[action],
        time_ns=seconds * 1_000_000_000,
        serial=serial,
        item=item,
        path=join_path(b"/", unescape_name(path)),
        inode=(_number(columns, "inode") or None) if seen else None,
        new_mode=mode,
        uid=_number(columns, "uid"),
        gid=_number(columns, "gid"),
        size=_number(columns, "size"),
        cookie=str(cookie) if cookie else None,
        sha256=sha256 if isinstance(sha256, str) and _number(columns, "hashed") == 1 and len(sha256) == 64 else None,
        node=node,
    )


def _octal_digits(columns: Mapping[str, Any]) -> int | None:
    """Read a mode that ``--logger_numerics`` made a number: 644 still means 0644."""
    value = _number(columns, "mode")
    try:
        return None if value is None else int(str(value), 8)
    except ValueError as error:
        raise RecordError(f"mode is {clip(value)}, expected octal digits") from error


def parse_line(line: bytes) -> tuple[str | None, str | None, list[Mapping[str, Any]]]:
    """Read one line of a results or snapshots log.

    Returns:
        The query's name, the host's identifier, and the rows that were added or are in the snapshot.

    Raises:
        RecordError: If the line is no osquery result.
    """
    try:
        result = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"no JSON: {error} in {clip(line)}") from error
    if not isinstance(result, dict):
        raise RecordError(f"a result is a JSON object; seen: {clip(result)}")
    if isinstance(result.get("columns"), dict):
        rows = [result["columns"]] if result.get("action") == "added" else []
    elif isinstance(result.get("diffResults"), dict):
        rows = result["diffResults"].get("added") or []
    elif isinstance(result.get("snapshot"), list):
        rows = result["snapshot"]
    else:
        raise RecordError(f"neither columns, diffResults nor snapshot in {clip(line)}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RecordError(f"rows are JSON objects; seen: {clip(rows)}")
    name, host = result.get("name"), result.get("hostIdentifier", result.get("hostname"))
    return name if isinstance(name, str) else None, host if isinstance(host, str) else None, rows


@dataclass(slots=True)
class OsqueryResults:
    """Reads lines into changes, counting what is not ``file_events`` and keeping what cannot be read."""

    lines: int = 0
    rows: int = 0
    other_rows: int = 0
    bad: list[BadLine] = field(default_factory=list)

    def changes_of(self, lines: Iterable[bytes], *, file: str, first_line: int = 1) -> Iterator[Change]:
        """Give the changes of ``lines``; rows of other queries (no action and target_path) are counted and passed over."""
        for number, line in enumerate(lines, first_line):
            if not line.strip():
                continue
            self.lines += 1
            try:
                _, node, rows = parse_line(line)
            except RecordError as error:
                self.bad.append(BadLine(file, number, line[:4096], str(error)))
                continue
            for place, row in enumerate(rows):
                if "target_path" not in row or "action" not in row:
                    self.other_rows += 1
                    continue
                try:
                    change = parse_row(row, node=node, serial=number, item=place)
                except RecordError as error:
                    self.bad.append(BadLine(file, number, line[:4096], str(error)))
                    continue
                self.rows += 1
                if change is not None:
                    yield change
