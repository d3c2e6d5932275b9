"""SQL on virtual tables, as osquery has it: SQLite asks the tables, with the constraints that it can give them.

A name that is no UTF-8 travels as SQLite's bytes, and comes out as text with surrogate escapes. Constraint operators have SQLite's
numbers, which are osquery's own: 2 is =, 4 >, 8 <=, 16 <, 32 >=, 65 LIKE, 66 GLOB.
"""

import base64
import contextlib
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

try:
    import apsw
except ImportError as error:  # pragma: no cover
    raise ImportError("the stand-in osqueryd needs apsw: pip install 'fimkit[test]'") from error

__all__ = ["Answer", "Asked", "Column", "Constraint", "SqlError", "Table", "Value", "as_text", "query_columns", "run_query"]

Value = str | int | float | None

_INTEGERS = {"INTEGER", "BIGINT", "UNSIGNED BIGINT"}


class SqlError(Exception):
    """A query that SQLite or a table refuses; the message is osquery's."""


class Column(NamedTuple):
    """A column: its type is one of TEXT, INTEGER, BIGINT, UNSIGNED BIGINT, DOUBLE, BLOB; a hidden one is not in ``SELECT *``.

    A table with required ones has no rows unless a query says something of one of them: in a join it is asked last.
    """

    name: str
    type: str = "TEXT"
    hidden: bool = False
    required: bool = False


class Constraint(NamedTuple):
    """What a query says of a column, where SQLite can pass it on."""

    column: str
    op: int
    expr: str


class Asked(NamedTuple):
    """What a query wants of a table: the constraints, the columns it reads, and the name of the scheduled query, if it is one."""

    constraints: tuple[Constraint, ...]
    used: tuple[str, ...]
    bitset: int
    scheduled_as: str | None

    def equals(self, column: str) -> list[str]:
        """Give the values that a column must be equal to."""
        return [constraint.expr for constraint in self.constraints if constraint.column == column and constraint.op == 2]


class Table(Protocol):
    """A virtual table."""

    @property
    def name(self) -> str:
        """Its name in SQL."""

    @property
    def columns(self) -> Sequence[Column]:
        """Its columns, in the order of ``SELECT *``."""

    @property
    def evented(self) -> bool:
        """Whether its rows are events, which come once."""

    def connect(self) -> None:
        """Raise SqlError if it cannot be used now."""

    def generate(self, asked: Asked) -> Iterable[Mapping[str, Any]]:
        """Give rows; SQLite filters them again."""


class Answer(NamedTuple):
    """The rows of a query, each by column; of two columns of one name the last one wins."""

    columns: tuple[tuple[str, str], ...]
    rows: list[dict[str, Value]]
    evented: bool  # it reads a table of events, whose rows come once


def _to_sql(value: Any, column: Column) -> str | int | float | bytes | None:
    """Turn what a table gave into what SQLite takes; a number that is none is NULL."""
    if value is None:
        return None
    if column.type in _INTEGERS or column.type == "DOUBLE":
        try:
            number = float(value) if column.type == "DOUBLE" else int(value)
        except (TypeError, ValueError):
            return None
        return number if isinstance(number, float) or -(1 << 63) <= number < 1 << 63 else None
    text = value if isinstance(value, str) else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def _from_sql(value: Any) -> Value:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def as_text(value: Value, null: str = "") -> str:
    """Give a value as Thrift and the log have it.

    >>> as_text(None), as_text(7), as_text(0.5), as_text("x")
    ('', '7', '0.5', 'x')
    """
    return null if value is None else str(value)


class _Cursor:
    def __init__(self, table: Table, scheduled_as: str | None) -> None:
        self._table, self._scheduled_as = table, scheduled_as
        self._columns = table.columns
        self._rows: Iterator[Mapping[str, Any]] = iter(())
        self._row: Mapping[str, Any] | None = None
        self._number = 0

    def Filter(self, index: int, names: str, args: tuple[Any, ...] | None) -> None:
        """Ask the table."""
        used, *places = names.split(";")
        bitset = int(used)
        constraints = []
        for place, expr in zip(places, args or (), strict=True):
            column, op = place.split(",")
            constraints.append(Constraint(self._columns[int(column)].name, int(op), as_text(_from_sql(expr))))
        names_used = tuple(column.name for number, column in enumerate(self._columns) if bitset >> min(number, 63) & 1)
        self._rows = iter(self._table.generate(Asked(tuple(constraints), names_used, bitset, self._scheduled_as)))
        self._number = -1
        self.Next()

    def Next(self) -> None:
        """Go to the next row."""
        self._row = next(self._rows, None)
        self._number += 1

    def Eof(self) -> bool:
        """Say whether there is no more."""
        return self._row is None

    def Rowid(self) -> int:
        """Number the row."""
        return self._number

    def Column(self, number: int) -> str | int | float | bytes | None:
        """Give one value."""
        if number < 0 or self._row is None:
            return self._number
        column = self._columns[number]
        return _to_sql(self._row.get(column.name), column)

    def Close(self) -> None:
        """Let the rows go."""
        self._rows = iter(())


class _Bound:
    """A table in one query's connection."""

    def __init__(self, table: Table, scheduled_as: str | None) -> None:
        self._table, self._scheduled_as = table, scheduled_as

    def BestIndexObject(self, index: Any) -> bool:
        """Take every constraint that can be used; SQLite checks them again."""
        places = []
        required = {number for number, column in enumerate(self._table.columns) if column.required}
        is_required = bool(required)
        for number in range(index.nConstraint):
            column = index.get_aConstraint_iColumn(number)
            if column >= 0 and index.get_aConstraint_usable(number) and index.get_aConstraint_op(number) in _OPERATORS:
                places.append(f"{column},{index.get_aConstraint_op(number)}")
                index.set_aConstraintUsage_argvIndex(number, len(places))
                is_required = is_required and column not in required
        bitset = sum(1 << number for number in index.colUsed)
        index.idxStr = ";".join([str(bitset), *places])
        index.estimatedCost = _NEVER_COST if is_required else 1_000_000.0 / (1 + len(places)) ** 2
        return True

    def Open(self) -> _Cursor:
        """Begin to read."""
        return _Cursor(self._table, self._scheduled_as)

    def Disconnect(self) -> None:
        """Nothing is held."""

    Destroy = Disconnect


_NEVER_COST = 1e15
_OPERATORS = {2, 4, 8, 16, 32, 64, 65, 66, 67}


class _Module:
    def __init__(self, table: Table, scheduled_as: str | None, used: list[Table]) -> None:
        self._table, self._scheduled_as, self._used = table, scheduled_as, used

    def Connect(self, *_: Any) -> tuple[str, Any]:
        """Declare the table."""
        self._table.connect()
        self._used.append(self._table)
        columns = ", ".join(
            f'"{column.name}" {column.type}{" HIDDEN" if column.hidden else ""}' for column in self._table.columns
        )
        return f"CREATE TABLE x({columns})", _Bound(self._table, self._scheduled_as)

    Create = Connect


@functools.lru_cache(256)
def _like_pattern(pattern: str) -> re.Pattern[str]:
    translated = "".join(".*" if char == "%" else "." if char == "_" else re.escape(char) for char in pattern)
    return re.compile(translated, re.DOTALL | re.IGNORECASE | re.ASCII)


def _like(pattern: Any, value: Any) -> int | None:
    """LIKE for names that are no UTF-8 too, which SQLite's own passes over in this build."""
    if pattern is None or value is None:
        return None
    return int(_like_pattern(as_text(_from_sql(pattern))).fullmatch(as_text(_from_sql(value))) is not None)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else as_text(value).encode("utf-8", "surrogateescape")


def _hash(algorithm: str) -> Callable[[Any], str | None]:
    return lambda value: None if value is None else hashlib.new(algorithm, _bytes(value)).hexdigest()


def _split(text: Any, delimiters: Any, place: Any) -> str | None:
    parts = [part for part in re.split(f"[{re.escape(str(delimiters))}]", as_text(_from_sql(text))) if part]
    return parts[int(place)] if 0 <= int(place) < len(parts) else None


def _regex_match(text: Any, pattern: Any, group: Any) -> str | None:
    found = re.search(str(pattern), as_text(_from_sql(text)))
    return None if found is None or int(group) > len(found.groups()) else found[int(group)]


# What osquery adds to SQLite's functions, as far as recon queries use it.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "concat": (lambda *parts: "".join(as_text(_from_sql(part)) for part in parts), -1),
    "concat_ws": (lambda mark, *parts: str(mark).join(as_text(_from_sql(part)) for part in parts if part is not None), -1),
    "from_base64": (lambda text: base64.b64decode(str(text)).decode("utf-8", "replace"), 1),
    "like": (_like, 2),
    "md5": (_hash("md5"), 1),
    "regex_match": (_regex_match, 3),
    "sha1": (_hash("sha1"), 1),
    "sha256": (_hash("sha256"), 1),
    "split": (_split, 3),
    "to_base64": (lambda text: base64.b64encode(_bytes(text)).decode(), 1),
}

_ALLOWED = {
    apsw.SQLITE_READ, apsw.SQLITE_SELECT, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE, apsw.SQLITE_PRAGMA,
    apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_UPDATE, apsw.SQLITE_INSERT, apsw.SQLITE_DELETE,
}  # fmt: skip


def _connect(tables: Mapping[str, Table], scheduled_as: str | None, used: list[Table]) -> apsw.Connection:
    """Make a connection of its own for one query: threads share nothing but the tables."""
    connection = apsw.Connection(":memory:")
    for name, table in tables.items():
        connection.create_module(
            name, _Module(table, scheduled_as, used), use_bestindex_object=True, eponymous=True, read_only=True  # type: ignore[arg-type]
        )
    for name, (function, arity) in _FUNCTIONS.items():
        connection.create_scalar_function(name, function, arity)
    connection.set_authorizer(lambda action, *_: apsw.SQLITE_OK if action in _ALLOWED else apsw.SQLITE_DENY)
    return connection


def run_query(tables: Mapping[str, Table], sql: str, *, scheduled_as: str | None = None) -> Answer:
    """Run a query.

    Args:
        tables: By name.
        sql: One or more statements; the last one's rows count.
        scheduled_as: The name under which the schedule runs it: event tables then give new rows only.

    Returns:
        Columns with their types, and rows.

    Raises:
        SqlError: In SQLite's words, or the table's.
    """
    used: list[Table] = []
    connection = _connect(tables, scheduled_as, used)
    try:
        cursor = connection.cursor()
        columns: tuple[tuple[str, str], ...] = ()
        rows: list[dict[str, Value]] = []
        for values in cursor.execute(sql):
            columns = columns or _described(cursor)
            rows.append({name: _from_sql(value) for (name, _), value in zip(columns, values, strict=False)})
        return Answer(columns, rows, any(table.evented for table in used))
    except apsw.Error as error:
        raise SqlError(str(error)) from error
    except UnicodeError as error:
        raise SqlError(f"a text that is no UTF-8: {error}") from error
    finally:
        connection.close(True)


def _described(cursor: apsw.Cursor) -> tuple[tuple[str, str], ...]:
    return tuple((description[0], description[1] or "") for description in cursor.get_description())


def query_columns(tables: Mapping[str, Table], sql: str) -> list[tuple[str, str]]:
    """Give the columns that a query would have, with their types; an expression's type is that of its first value.

    Raises:
        SqlError: As :func:`run_query`.
    """
    connection = _connect(tables, None, [])
    try:
        described: list[tuple[str, str]] = []

        def look(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
            described.extend(_described(cursor))
            return False

        cursor = connection.cursor()
        cursor.exec_trace = look
        with contextlib.suppress(apsw.ExecTraceAbort):
            list(cursor.execute(sql))
    except apsw.Error as error:
        raise SqlError(str(error)) from error
    finally:
        connection.close(True)
    if any(not kind for _, kind in described):
        first = next(iter(run_query(tables, sql).rows), {})
        described = [(name, kind or _type_of(first.get(name))) for name, kind in described]
    return described


def _type_of(value: Value) -> str:
    return "BIGINT" if isinstance(value, int) else "DOUBLE" if isinstance(value, float) else "TEXT"
