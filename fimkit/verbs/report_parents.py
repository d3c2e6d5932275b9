"""Looks the processes up that started those of some findings, as far as they were recorded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fimkit.evidence.reader import Reader
from fimkit.evidence.search import Condition
from fimkit.model.changes import Actor, Change
from fimkit.model.findings import Finding
from fimkit.model.paths import parse_path

__all__ = ["load_parents", "parents_among"]

_COLUMNS = ("pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "auid", "actor_uid", "actor_euid", "user", "tty", "ses",
            "syscall", "time_ns", "event")  # fmt: skip
_GENERATIONS = 4
_AT_ONCE = 400
_NUMBERS = ("pid", "ppid", "auid", "ses")


def _wanted(actors: Iterable[Actor], had: set[int]) -> set[int]:
    return {actor.ppid for actor in actors if actor.ppid is not None} - had


def parents_among(findings: Sequence[Finding], changes: Iterable[Change]) -> tuple[Actor, ...]:
    """Give the recorded processes that may be parents of the findings' actors: each once, as it was first recorded."""
    known: dict[int, dict[Any, Actor]] = {}
    for change in changes:
        actor = change.actor
        if actor is not None and actor.pid is not None:
            known.setdefault(actor.pid, {}).setdefault((actor.exe, actor.cmdline, actor.ses), actor)
    return tuple(_climb(findings, lambda pids: (one for pid in sorted(pids) for one in known.get(pid, {}).values())))


def load_parents(reader: Reader, findings: Sequence[Finding]) -> tuple[Actor, ...]:
    """Read the same from the store.

    Raises:
        StoreError: If the store turns out to be damaged.
        HostError: If it takes longer than the reader's deadline.
    """
    return tuple(_climb(findings, lambda pids: _read(reader, pids)))


def _climb(findings: Sequence[Finding], processes_of: Callable[[set[int]], Iterable[Actor]]) -> Iterator[Actor]:
    had: set[int] = set()
    wanted = _wanted((actor for finding in findings for actor in finding.actors), had)
    for _ in range(_GENERATIONS):
        if not wanted:
            return
        found = list(processes_of(wanted))
        yield from found
        had |= wanted
        wanted = _wanted(found, had)


def _read(reader: Reader, pids: set[int]) -> Iterator[Actor]:
    for some in _batches(sorted(pids)):
        met: set[Any] = set()
        for values in reader.rows("changes", _COLUMNS, {"pid": Condition(numbers=frozenset(some))}):
            row = dict(zip(_COLUMNS, values, strict=True))
            key = (row["pid"], row["exe"], row["cmdline"], row["ses"])
            if row["pid"] is not None and key not in met:
                met.add(key)
                yield _actor(row)


def _batches(pids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(pids), _AT_ONCE):
        yield pids[start : start + _AT_ONCE]


def _actor(row: Mapping[str, str | None]) -> Actor:
    numbers = {name: None if (value := row[name]) is None else int(value) for name in _NUMBERS}
    uid, euid, exe, comm = (row[name] for name in ("actor_uid", "actor_euid", "exe", "comm"))
    return Actor(
        **numbers,
        uid=None if uid is None else int(uid),
        euid=None if euid is None else int(euid),
        user=row["user"],
        exe=None if exe is None else parse_path(exe),
        comm=None if comm is None else parse_path(comm),
        cmdline=row["cmdline"],
        cmdline_verified=row["cmdline_verified"] == "1",
        tty=row["tty"],
        syscall=row["syscall"],
        time_ns=int(row["time_ns"] or 0),
        event=row["event"] or "",
    )
