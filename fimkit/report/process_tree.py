"""Processes as a tree: who started whom, as far as anything recorded tells. Pure."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from fimkit.model.errors import UsageError
from fimkit.report.acts import acts_of
from fimkit.report.frames import Frame

__all__ = ["tree_of"]

_COLUMNS = ("tree", "pid", "ppid", "user", "auid", "ses", "uid", "tty", "cmdline", "first", "last", "acts", "paths")


def _joined(values: "pd.Series[Any]") -> str:
    """A process that runs another program keeps its number: all of its programs, in order."""
    return " → ".join(dict.fromkeys(values.dropna()))


def _processes(acts: pd.DataFrame) -> Any:
    """ACTS of one host, by time → one row a pid, the index; by first act."""
    groups = acts[acts["pid"].notna()].groupby("pid", sort=False)
    table: Any = groups.agg(
        ppid=("ppid", "first"), user=("user", "first"), auid=("auid", "first"), ses=("ses", "first"), uid=("uid", "last"),
        tty=("tty", "first"), exe=("exe", _joined), cmdline=("cmdline", _joined), first=("time", "min"), last=("time", "max"),
        acts=("what", "size"), paths=("path", "nunique"),
    )  # fmt: skip
    return table.sort_values("first", kind="stable")


def _ancestors(pid: int, parents: dict[int, int]) -> list[int]:
    """Go up to the oldest ancestor that is named, past processes that were not recorded themselves; the oldest first."""
    line = [pid]
    while (parent := parents.get(line[-1])) is not None and parent not in line:
        line.append(parent)
    return line[:0:-1]


def _walk(root: int, above: list[int], children: dict[int, list[int]]) -> Iterator[tuple[int, int]]:
    """Give the ancestors, the process, and what it started, each with its depth; none twice, though numbers are used again."""
    yield from ((pid, depth) for depth, pid in enumerate(above))
    waiting, seen = [(root, len(above))], set(above)
    while waiting:
        pid, depth = waiting.pop()
        if pid in seen:
            continue
        seen.add(pid)
        yield pid, depth
        waiting += [(child, depth + 1) for child in reversed(children.get(pid, []))]


def _one_host(acts: pd.DataFrame, pid: int, host: str | None) -> Any:
    if host is not None:
        acts = acts[acts["host"] == host]
    involved = ((acts["pid"] == pid) | (acts["ppid"] == pid)).fillna(False).astype(bool)
    hosts = sorted(acts.loc[involved, "host"].unique())
    if not hosts:
        raise UsageError(f"nothing recorded names pid {pid}{'' if host is None else f' on {host}'}")
    if len(hosts) > 1:
        raise UsageError(f"pid {pid} is a process of several hosts; expected host=, one of {', '.join(hosts)}")
    return acts[acts["host"] == hosts[0]]


def tree_of(frame: pd.DataFrame, pid: int, host: str | None) -> Frame:
    """Show a process with its ancestors and all that it started.

    The kernel's records name each process and its parent's number, and nothing says when a number is used again: within an incident
    that is rare, within months it is not, so filter by time first.

    Args:
        frame: FINDINGS, CHANGES or EVENTS; EVENTS have most, since every exec that a rule records is one.
        pid: The process.
        host: Needed where several hosts have a process of that number.

    Returns:
        One row a process, parents before their children: ``tree`` (the program, indented; ▶ is the one that was asked for),
        ``pid``, ``ppid``, who it was, ``cmdline``, ``first``, ``last``, ``acts`` and ``paths`` (how many). One that is only named
        as a parent has its number alone.

    Raises:
        UsageError: If no record names the process, or several hosts' do.
    """
    known = _processes(_one_host(acts_of(frame), pid, host))
    pairs = zip(known.index, known["ppid"], strict=True)
    parents = {int(child): int(parent) for child, parent in pairs if not pd.isna(parent) and child != parent}
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():  # in the order of their first acts
        children.setdefault(parent, []).append(child)
    rows = list(_walk(pid, _ancestors(pid, parents), children))
    order = [number for number, _ in rows]
    table = known.reindex(pd.Index(order, dtype="Int64", name="pid"))
    programs = list(table["exe"])
    table.insert(0, "tree", [_branch(*row, asked=pid, exe=exe) for row, exe in zip(rows, programs, strict=True)])
    table["acts"], table["paths"] = table["acts"].astype("Int64").fillna(0), table["paths"].astype("Int64").fillna(0)
    return Frame(table.reset_index()[list(_COLUMNS)])


def _branch(number: int, depth: int, *, asked: int, exe: Any) -> str:
    mark = "▶ " if number == asked else ""
    name = exe if isinstance(exe, str) and exe else f"(pid {number}, not recorded itself)"
    return ("   " * (depth - 1) + "└─ " if depth else "") + mark + name
