"""Reads osquery's result log into changes: finds the rows of the two tables of file changes, whatever the query is called. Pure.

A row is known by its columns, not by its query's name, which every site chooses itself. Rows of other tables are counted and passed
over; a query that looks like one of the two and lacks what a change needs is told once, by name, and its rows are kept as bad.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from fimkit.model.changes import Change
from fimkit.model.errors import RecordError, clip
from fimkit.model.records import BadLine
from fimkit.osquery.lines import ResultLine, parse_line
from fimkit.osquery.names import unescape_name
from fimkit.osquery.rows import parse_file_event, parse_process_event

__all__ = ["MAX_BAD_KEPT", "OsqueryResults"]

MAX_BAD_KEPT = 1000
"""How many bad lines are kept with their text; all are counted, by file."""

_MOST_TOLD = 100


class _Table(NamedTuple):
    """One of osquery's tables: what a row must have, and what it should have."""

    name: str
    needed: tuple[str, ...]
    wished: tuple[str, ...]


_FILES = _Table(
    "file_events",
    ("target_path", "action", "time"),
    ("inode", "size", "mode", "uid", "gid", "mtime", "sha256", "transaction_id"),
)
_PROCESSES = _Table(
    "process_file_events",
    ("operation", "path", "pid", "time"),
    ("dest_path", "partial", "executable", "ppid", "auid", "uid", "euid"),
)


@dataclass(slots=True)
class _Query:
    """How the rows of one query were, under one name and with one set of columns."""

    table: _Table
    missing: tuple[str, ...]
    absent: tuple[str, ...]
    rows: int = 0


def _table_of(name: str | None, columns: Iterable[str]) -> _Table | None:
    """Tell what a row is of: by columns that only this table has, or by the query's name and some of its columns."""
    seen = set(columns)
    if {"matches", "strings"} <= seen:
        return None  # yara_events has file_events' columns, and tells of the same events
    if "operation" in seen and seen & {"executable", "dest_path", "partial"}:
        return _PROCESSES
    if seen & {"target_path", "transaction_id", "hashed"}:
        return _FILES
    called = name or ""
    for table in (_PROCESSES, _FILES):
        if table.name in called and seen & {*table.needed, *table.wished}:
            return table
    return None


@dataclass(slots=True)
class OsqueryResults:
    """Reads lines into changes, and says of the reading what is not in them.

    ``is_known`` tells whether there is, or was, a file of a name that can be read in two ways; ``user_of`` names user ids of this
    host. ``names`` are all names of each host, by the first.

    The books: of ``lines`` that are not blank ``bad_lines`` could not be read; each row of the others is one of ``rows``, of
    ``other_rows``, which are of other tables, of ``refused_rows``, or of ``removed_rows``, which a query does not give any more.
    Of ``rows`` so many as ``read_rows`` tell of reading only, and are no change. ``bad_rows`` counts by file what was refused,
    lines and rows.
    """

    is_known: Callable[[bytes], bool] | None = None
    user_of: Callable[[int], str | None] | None = None
    lines: int = 0
    rows: int = 0
    other_rows: int = 0
    removed_rows: int = 0
    read_rows: int = 0
    bad_lines: int = 0
    refused_rows: int = 0
    bad: list[BadLine] = field(default_factory=list)
    bad_rows: Counter[str] = field(default_factory=Counter)
    names: dict[str, set[str]] = field(default_factory=dict)
    _queries: dict[tuple[str | None, tuple[str, ...]], _Query | None] = field(default_factory=dict)

    def changes_of(self, lines: Iterable[bytes], *, file: str, first_line: int = 1) -> Iterator[Change]:
        """Give the changes of ``lines``, the first of which has the number ``first_line`` in ``file``."""
        for number, line in enumerate(lines, first_line):
            if not line.strip():
                continue
            self.lines += 1
            try:
                result = parse_line(line)
            except RecordError as error:
                self.bad_lines += 1
                self._refuse(file, number, line, str(error))
                continue
            if result.node is not None:
                self.names.setdefault(result.node, set()).update(result.names)
            self.removed_rows += result.removed
            yield from self._changes_of_line(result, line, file, number)

    def _changes_of_line(self, result: ResultLine, line: bytes, file: str, number: int) -> Iterator[Change]:
        for place, row in enumerate(result.rows()):
            try:
                changes = self._changes_of_row(result, row, number, place)
            except RecordError as error:
                self.refused_rows += 1
                self._refuse(file, number, line, f"row {place + 1}: {error}")
                continue
            if changes is None:
                self.other_rows += 1
                continue
            self.rows += 1
            self.read_rows += not changes
            yield from changes

    def _changes_of_row(self, result: ResultLine, row: Any, number: int, place: int) -> list[Change] | None:
        if not isinstance(row, dict):
            raise RecordError(f"a row is a JSON object; seen: {clip(row)}")
        query = self._query_of(result.name, row)
        if query is None:
            return None
        query.rows += 1
        if query.missing:
            raise RecordError(f"a row of {query.table.name} without {', '.join(query.missing)}")
        return self._parse(query.table, row, result.node, number, place)

    def _parse(self, table: _Table, row: Mapping[str, Any], node: str | None, serial: int, item: int) -> list[Change]:
        read_name = unescape_name if self.is_known is None else partial(unescape_name, is_known=self.is_known)
        if table is _PROCESSES:
            return parse_process_event(row, node=node, serial=serial, item=item, read_name=read_name, user_of=self.user_of)
        change = parse_file_event(row, node=node, serial=serial, item=item, read_name=read_name)
        return [] if change is None else [change]

    def _query_of(self, name: str | None, row: Mapping[str, Any]) -> _Query | None:
        shape = (name, tuple(row))
        if shape not in self._queries:
            if len(self._queries) >= 100 * _MOST_TOLD:
                self._queries.clear()  # no osquery has so many queries: this is noise, and must not fill the memory
            table = _table_of(*shape)
            self._queries[shape] = table and _Query(
                table, tuple(one for one in table.needed if one not in row), tuple(one for one in table.wished if one not in row)
            )
        return self._queries[shape]

    def _refuse(self, file: str, number: int, line: bytes, words: str) -> None:
        self.bad_rows[file] += 1
        if len(self.bad) < MAX_BAD_KEPT:
            self.bad.append(BadLine(file, number, line[:4096], words))

    @property
    def uncounted(self) -> Counter[str]:
        """How many bad lines and rows of each file there were more than are kept."""
        return self.bad_rows - Counter(line.file for line in self.bad)

    @property
    def problems(self) -> list[str]:
        """Say once for each query what its rows lack, and how many bad lines are not kept."""
        told = [
            self._words(name, query)
            for (name, _), query in self._queries.items()
            if query is not None and (query.missing or query.absent)
        ]
        left = sum(self.uncounted.values())
        words = list(dict.fromkeys(told))
        more = [f"{len(words) - _MOST_TOLD} more queries lack columns"] if len(words) > _MOST_TOLD else []
        return [*words[:_MOST_TOLD], *more, *([f"{left} more bad lines were counted, and not kept"] if left else [])]

    @staticmethod
    def _words(name: str | None, query: _Query) -> str:
        who, table = clip(name), query.table.name
        if query.missing:
            return (
                f"query {who} of osquery looks like one of {table} without {', '.join(query.missing)} (renamed, or left out): its"
                f" {query.rows} rows cannot be read; select the columns under their own names"
            )
        return f"query {who} of osquery selects {table} without {', '.join(query.absent)}: its rows are read, and say less"
