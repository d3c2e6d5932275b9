"""Changes by the million, kept small: a row is 48 bytes, and what repeats is kept once; a row asked for is a change again. Pure.

Ten million changes as objects are some ten gigabytes. Most of what they say repeats: names, files, processes, modes. Each of those
has a number here, and a row is numbers alone. :mod:`fimkit.correlate.selection` reads them as columns; everybody else may take a
ledger for a sequence of changes that are made when they are asked for.
"""

from array import array
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from struct import Struct
from struct import error as StructError
from typing import Any, Generic, TypeVar, overload

from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.open_changes import OpenActor, OpenChange

__all__ = ["DERIVED", "NOTHING", "ROW", "ROW_FIELDS", "ChangeLedger", "ChangeTables", "event_text"]

ROW_FIELDS = ("time_ns", "serial", "key", "parent", "path", "actor", "plain", "item", "cookie", "more")
"""Two 64-bit and eight 32-bit numbers, in the machine's order."""
ROW = Struct("=qqiiiiiiii")
_MORE = Struct("=qqqi")
_KEY_PLACE, _PATH_PLACE, _ACTOR_PLACE, _PLAIN_PLACE, _NODE_PLACE = 4, 6, 7, 8, 8
"""Where a row has its file, its name, its process and what is plain, in 32-bit numbers; and where that has the host."""
NOTHING, DERIVED = -1, -2
"""What a row has in place of a number: there is nothing; it is what the row's event and file make it."""
_NO_NUMBER = -(1 << 63)
_LIMIT = (1 << 63) - 1
_SECOND_NS = 1_000_000_000

_plain_of = attrgetter("source", "action", "path_sure", "mode", "new_mode", "uid", "gid", "error", "node", "hash_late")
_more_of = attrgetter("size", "mtime_ns", "last_ns", "sha256")
_process_of = attrgetter(
    "auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses", "syscall"
)
_NOTHING_MORE = (None, None, None, None)
_NO_KEY = (None, None)

T = TypeVar("T", bound=Hashable)


class _Numbered(Generic[T]):
    """Values that are kept once, by number, in the order in which they came first."""

    __slots__ = ("numbers", "values")

    def __init__(self) -> None:
        self.values: list[T] = []
        self.numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        found = self.numbers.get(value)
        if found is None:
            found = self.numbers[value] = len(self.values)
            self.values.append(value)
        return found


class ChangeTables:
    """What the rows of one or more ledgers have numbers for: ledgers over the same tables can be joined by copying.

    ``folder_of`` has for each path the number of its folder. ``keys`` are pairs of device and inode as the source says them,
    ``plain`` what is left of a change when its time, names, files and process are taken away.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.paths: _Numbered[bytes] = _Numbered()
        self.folders: _Numbered[bytes] = _Numbered()
        self.folder_of = array("i")
        self.keys: _Numbered[tuple[int, int]] = _Numbered()
        self.plain: _Numbered[tuple[Any, ...]] = _Numbered()
        self.processes: _Numbered[tuple[Any, ...]] = _Numbered()
        self.actors: list[Actor] = []
        self.cookies: _Numbered[str] = _Numbered()
        self.hashes: _Numbered[str] = _Numbered()
        self.more = bytearray()

    def path_number(self, path: bytes) -> int:
        """Give a name's number; of a new one the folder's too."""
        number = self.paths.number(path)
        if number == len(self.folder_of):
            self.folder_of.append(self.folders.number(path.rpartition(b"/")[0] or b"/"))
        return number

    def actor_number(self, actor: Actor) -> int:
        """Keep a process that is not named by the very event that the change is of; below -1."""
        self.actors.append(actor)
        return -1 - len(self.actors)

    def more_number(self, values: tuple[int | None, int | None, int | None, str | None]) -> int:
        """Keep what few changes have: size, modification time, time of the last claim, hash; -1 for nothing of it.

        Raises:
            struct.error: If a number is none that a kernel writes.
        """
        if values == _NOTHING_MORE:
            return NOTHING
        size, mtime_ns, last_ns, sha256 = values
        if _NO_NUMBER in values:
            raise StructError("this number stands for none")
        number = len(self.more) // _MORE.size
        numbers = (_NO_NUMBER if value is None else value for value in (size, mtime_ns, last_ns))
        self.more += _MORE.pack(*numbers, NOTHING if sha256 is None else self.hashes.number(sha256))
        return number

    def more_at(self, number: int) -> tuple[int | None, int | None, int | None, str | None]:
        """Give it back."""
        if number < 0:
            return _NOTHING_MORE
        size, mtime_ns, last_ns, sha = _MORE.unpack_from(self.more, number * _MORE.size)
        numbers = [None if value == _NO_NUMBER else value for value in (size, mtime_ns, last_ns)]
        return numbers[0], numbers[1], numbers[2], None if sha < 0 else self.hashes.values[sha]


def _is_half(dev: int | None, inode: int | None) -> bool:
    return (dev is None) is not (inode is None)


def event_text(time_ns: int, serial: int) -> str:
    """Name an event as a finding's evidence does: ``SEC.MS:SERIAL``."""
    if time_ns < _SECOND_NS:
        seconds, millis = divmod(time_ns // 1_000_000, 1000)
        return f"{seconds}.{millis:03d}:{serial}"
    digits = str(time_ns)  # cutting them takes two thirds of dividing, and this is done for every row that is taken
    return f"{digits[:-9]}.{digits[-9:-6]}:{serial}"


class ChangeLedger(Sequence[Change]):
    """Changes in the order in which they came, as numbers.

    Args:
        changes: What it begins with.
        tables: Those of another ledger, to be joined with it later.
    """

    def __init__(self, changes: Iterable[Change] = (), *, tables: ChangeTables | None = None) -> None:
        """Take the changes in."""
        self.tables = ChangeTables() if tables is None else tables
        self.rows = bytearray()
        self.whole: dict[int, Change] = {}
        self.extend(changes)

    def __len__(self) -> int:
        return len(self.rows) // ROW.size

    def __iter__(self) -> Iterator[Change]:
        return self._made(range(len(self)))

    @overload
    def __getitem__(self, row: int) -> Change: ...
    @overload
    def __getitem__(self, row: slice) -> list[Change]: ...
    def __getitem__(self, row: int | slice) -> Change | list[Change]:
        """Make the change of a row anew."""
        places = range(len(self))[row]
        return next(self._made((places,))) if isinstance(places, int) else list(self._made(places))

    def changes_at(self, rows: Iterable[int]) -> list[Change]:
        """Make the changes of some rows."""
        return list(self._made(rows))

    def between(self, since_ns: int, until_ns: int) -> Iterator[Change]:
        """Give the changes of a time, both ends included, in the order in which they came."""
        times = memoryview(self.rows).cast("q")[:: ROW.size // 8]
        return self._made([row for row, time_ns in enumerate(times) if since_ns <= time_ns <= until_ns])

    def actions(self) -> set[Action]:
        """Tell which actions there are among the changes."""
        numbers = memoryview(self.rows).cast("i")[_PLAIN_PLACE :: ROW.size // 4]
        return {self.tables.plain.values[number][1] for number in set(numbers)}

    def of_source(self, source: Source) -> Iterator[Change]:
        """Give what one source claims."""
        return self._made(self._rows_like(lambda values: values[0] is source))

    def of_actions(self, actions: Collection[Action]) -> Iterator[Change]:
        """Give what claims one of some actions."""
        return self._made(self.rows_of(lambda action, mode: action in actions))

    def rows_of(self, wanted: Callable[[Action, int | None], bool]) -> list[int]:
        """Find the rows of some actions and modes."""
        return self._rows_like(lambda values: wanted(values[1], values[3]))

    def span(self, source: Source) -> tuple[int, int] | None:
        """Give the earliest and the latest time of what one source claims; nothing without any."""
        times = memoryview(self.rows).cast("q")[:: ROW.size // 8]
        rows = self._rows_like(lambda values: values[0] is source)
        if not rows:
            return None
        found = [self.whole[row].time_ns if row in self.whole else times[row] for row in rows]
        return min(found), max(found)

    def _rows_like(self, wanted: Callable[[tuple[Any, ...]], bool]) -> list[int]:
        """Find the rows of which what is plain is of a kind."""
        kinds = {number for number, values in enumerate(self.tables.plain.values) if wanted(values)}
        numbers = memoryview(self.rows).cast("i")[_PLAIN_PLACE :: ROW.size // 4]
        return [row for row, number in enumerate(numbers) if number in kinds]

    def rows_near(self, paths: Iterable[bytes]) -> list[int]:
        """Find the rows about some names, those about the files that these rows are about, and those that are kept as they came."""
        numbers = self.tables.paths.numbers
        named = {numbers[path] for path in paths if path in numbers}
        if not named:
            return sorted(self.whole)
        cells = memoryview(self.rows).cast("i")
        names, files = cells[_PATH_PLACE :: ROW.size // 4], cells[_KEY_PLACE :: ROW.size // 4]
        keys = {key for name, key in zip(names, files, strict=True) if name in named} - {NOTHING}
        about = (row for row, (name, key) in enumerate(zip(names, files, strict=True)) if name in named or key in keys)
        return sorted({*about, *self.whole})

    def without(self, rows: Iterable[int]) -> "ChangeLedger":
        """Give a ledger over the same tables that lacks some rows."""
        kept, first = ChangeLedger(tables=self.tables), 0
        gone = sorted(rows)
        for row in (*gone, len(self)):
            start = len(kept) - first
            kept.whole.update((start + place, change) for place, change in self.whole.items() if first <= place < row)
            kept.rows += self.rows[first * ROW.size : row * ROW.size]
            first = row + 1
        return kept

    def first_of_each_process(self) -> Iterator[Change]:
        """Give the first change of each process, as the records tell processes apart; those without one are left out."""
        met: set[int] = {NOTHING}
        for row, number in enumerate(memoryview(self.rows).cast("i")[_ACTOR_PLACE :: ROW.size // 4]):
            if number not in met:
                met.add(number)
                yield self[row]

    def forget_node(self, node: str) -> None:
        """Say of the changes that name this host that they name none: of one host's rows alone, every ledger over the tables."""
        plain = self.tables.plain
        for number, values in enumerate(plain.values):
            if values[_NODE_PLACE] == node:
                new = (*values[:_NODE_PLACE], None, *values[_NODE_PLACE + 1 :])
                del plain.numbers[values]
                plain.numbers.setdefault(new, number)
                plain.values[number] = new
        self.whole = {row: replace(change, node=None) if change.node == node else change for row, change in self.whole.items()}

    def extend(self, changes: Iterable[Change]) -> None:
        """Take more changes in; of a ledger over the same tables the rows are copied."""
        if isinstance(changes, ChangeLedger) and changes.tables is self.tables:
            first = len(self)
            self.whole.update((first + row, change) for row, change in changes.whole.items())
            self.rows += changes.rows
            return
        for change in changes:
            self.append(change)

    def append(self, change: Change) -> None:
        """Take one change in."""
        tables = self.tables
        numbers = (
            NOTHING if change.dev is None or change.inode is None else tables.keys.number((change.dev, change.inode)),
            NOTHING
            if change.parent_dev is None or change.parent_inode is None
            else tables.keys.number((change.parent_dev, change.parent_inode)),
            NOTHING if change.path is None else tables.path_number(change.path),
            self._actor_number(change),
            tables.plain.number(_plain_of(change)),
        )
        try:
            if _is_half(change.dev, change.inode) or _is_half(change.parent_dev, change.parent_inode):
                raise StructError("half a file's key has no number")
            more = tables.more_number(_more_of(change))
            self.rows += ROW.pack(change.time_ns, change.serial, *numbers, change.item, self._cookie_number(change), more)
        except StructError:  # a number that no kernel writes: the change is kept as it came
            self.whole[len(self)] = change
            time_ns, serial = (min(max(value, -_LIMIT), _LIMIT) for value in (change.time_ns, change.serial))
            self.rows += ROW.pack(time_ns, serial, *numbers, 0, self._cookie_number(change), NOTHING)

    def _actor_number(self, change: Change) -> int:
        actor = change.actor
        if actor is None:
            return NOTHING
        if actor.time_ns == change.time_ns and actor.event == event_text(change.time_ns, change.serial):
            return self.tables.processes.number(_process_of(actor))
        return self.tables.actor_number(actor)

    def _cookie_number(self, change: Change) -> int:
        if change.cookie is None:
            return NOTHING
        if change.cookie == f"{event_text(change.time_ns, change.serial)}/{change.inode}":
            return DERIVED
        return self.tables.cookies.number(change.cookie)

    def _made(self, rows: Iterable[int]) -> Iterator[Change]:
        """Make the changes of some rows, one after the other."""
        tables, whole, width = self.tables, self.whole, ROW.size
        plains, keys, paths, cookies = tables.plain.values, tables.keys.values, tables.paths.values, tables.cookies.values
        unpack, processes, actors = ROW.unpack_from, tables.processes.values, tables.actors
        for row in rows:
            if whole and row in whole:
                yield whole[row]
                continue
            time_ns, serial, key, parent, path, actor, plain, item, cookie, more = unpack(self.rows, row * width)
            source, action, path_sure, mode, new_mode, uid, gid, error, node, hash_late = plains[plain]
            dev, inode = keys[key] if key >= 0 else _NO_KEY
            parent_dev, parent_inode = keys[parent] if parent >= 0 else _NO_KEY
            size, mtime_ns, last_ns, sha256 = tables.more_at(more) if more >= 0 else _NOTHING_MORE
            joins = cookies[cookie] if cookie >= 0 else None if cookie == NOTHING else f"{event_text(time_ns, serial)}/{inode}"
            who = None
            if actor >= 0:
                who = OpenActor(*processes[actor], time_ns, event_text(time_ns, serial))
                who.__class__ = Actor
            elif actor != NOTHING:
                who = actors[-2 - actor]
            made = OpenChange(
                source, action, time_ns, serial, item, paths[path] if path >= 0 else None, path_sure, dev, inode, parent_dev,
                parent_inode, mode, new_mode, who, joins, error, sha256, uid, gid, size, mtime_ns, node, hash_late, last_ns,
            )  # fmt: skip
            made.__class__ = Change
            yield made
