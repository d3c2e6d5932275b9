"""Takes changes into a ledger that come as columns, as the store has them: a third of the time that objects take. Pure."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from struct import error as StructError
from typing import Any, TypeVar

from fimkit.correlate.ledger import DERIVED, NOTHING, ROW, ChangeLedger, ChangeTables, event_text
from fimkit.model.changes import Action, Actor, Change, Source

__all__ = ["extend_by_columns"]

_PLAIN = ("path_sure", "mode", "new_mode", "uid", "gid", "error", "node", "hash_late")
_MORE = ("size", "mtime_ns", "last_ns", "sha256")
_FILE, _FOLDER = ("dev", "inode"), ("parent_dev", "parent_inode")
_WHO = ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses")
_CHANGE = tuple(name for name in Change.__slots__ if name not in ("source", "action", "actor"))

Columns = Mapping[str, Sequence[Any]]
T = TypeVar("T", bound=Hashable)


def extend_by_columns(ledger: ChangeLedger, changes: Columns, process: Sequence[int], processes: Columns) -> None:
    """Put some changes behind those of a ledger; it is the same then as if they had been given as objects.

    Args:
        ledger: Takes them.
        changes: A column each for what a change has, with ``syscall``, ``event`` and ``actor_time_ns`` of its actor; the last one
            is nothing where it is the change's. Source and action are words.
        process: The row of ``processes`` that is the actor, -1 where nobody is named.
        processes: A column each for what else an actor has.
    """
    try:
        ledger.rows += _rows(ledger.tables, changes, process, processes)
    except StructError:  # a number that no kernel writes, or half a file's key: the ledger knows what to do with it
        ledger.extend(_made(changes, process, processes))


def _rows(tables: ChangeTables, changes: Columns, process: Sequence[int], processes: Columns) -> bytes:
    def key_number(key: tuple[int | None, int | None]) -> int:
        dev, inode = key
        if dev is None or inode is None:
            if dev is not inode:
                raise StructError("half a file's key has no number")
            return NOTHING
        return tables.keys.number((dev, inode))

    def path_number(path: bytes | None) -> int:
        return NOTHING if path is None else tables.path_number(path)

    def plain_number(plain: tuple[Any, ...]) -> int:
        return tables.plain.number((Source(plain[0]), Action(plain[1]), *plain[2:]))

    events = list(map(event_text, changes["time_ns"], changes["serial"]))
    return b"".join(
        map(
            ROW.pack,
            changes["time_ns"],
            changes["serial"],
            _numbers(_tuples(changes, _FILE), key_number),
            _numbers(_tuples(changes, _FOLDER), key_number),
            _numbers(changes["path"], path_number),
            _actor_numbers(tables, changes, events, process, processes),
            _numbers(_tuples(changes, ("source", "action", *_PLAIN)), plain_number),
            changes["item"],
            _cookie_numbers(tables, changes, events),
            _numbers(_tuples(changes, _MORE), tables.more_number),
        )
    )


def _tuples(columns: Columns, names: Iterable[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(columns[name] for name in names), strict=True))


def _numbers(values: Sequence[T], number: Callable[[T], int]) -> list[int]:
    """Have each value numbered once."""
    known = {value: number(value) for value in dict.fromkeys(values)}
    return [known[value] for value in values]


def _actor_numbers(
    tables: ChangeTables, changes: Columns, events: Sequence[str], process: Sequence[int], processes: Columns
) -> list[int]:
    whos = _tuples(processes, _WHO)

    def number(pair: tuple[int, str | None]) -> int:
        place, syscall = pair
        return NOTHING if place < 0 else tables.processes.number((*whos[place], syscall))

    numbers = _numbers(list(zip(process, changes["syscall"], strict=True)), number)
    own = zip(events, changes["event"], changes["actor_time_ns"], process, strict=True)
    for row, (event, named, time_ns, place) in enumerate(own):
        if place >= 0 and (time_ns is not None or event != named):  # osquery's claims, where records say who made them
            numbers[row] = tables.actor_number(_actor(changes, row, processes, place))
    return numbers


def _cookie_numbers(tables: ChangeTables, changes: Columns, events: Sequence[str]) -> list[int]:
    cookies, inodes = changes["cookie"], changes["inode"]
    if cookies.count(None) == len(cookies):
        return [NOTHING] * len(cookies)
    return [
        NOTHING if cookie is None else DERIVED if cookie == f"{event}/{inode}" else tables.cookies.number(cookie)
        for cookie, event, inode in zip(cookies, events, inodes, strict=True)
    ]


def _actor(changes: Columns, row: int, processes: Columns, place: int) -> Actor:
    time_ns = changes["actor_time_ns"][row]
    return Actor(
        **{name: processes[name][place] for name in _WHO},
        syscall=changes["syscall"][row],
        time_ns=changes["time_ns"][row] if time_ns is None else time_ns,
        event=changes["event"][row] or "",
    )


def _made(changes: Columns, process: Sequence[int], processes: Columns) -> Iterator[Change]:
    for row, place in enumerate(process):
        yield Change(
            source=Source(changes["source"][row]),
            action=Action(changes["action"][row]),
            actor=None if place < 0 else _actor(changes, row, processes, place),
            **{name: changes[name][row] for name in _CHANGE},
        )
