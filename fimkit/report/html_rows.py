"""A report's findings as columns for its page: what many findings share is written once, every name escaped. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

from fimkit.model.changes import Actor
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.json_form import render_state
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.states import FileState
from fimkit.report.html_data import ReportData
from fimkit.report.html_verdict import event_ns, render_login

__all__ = ["STATE_FIELDS", "render_columns"]

STATE_FIELDS = (
    "type", "mode", "uid", "gid", "size", "inode", "dev", "nlink", "mtime_ns", "ctime_ns", "sha256", "target", "xattrs", "problem",
)  # fmt: skip
"""The order of a state's values in the page."""

_MOST_PARENTS = 8
_TEXT_BYTES = 1 << 14  # of a command line: a longer one is cut, and says so


class _Shared:
    """Values that many findings share, each written once and named by its number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, key: Hashable, make: Callable[[], Any]) -> int:
        """Give a value's number; it is made only when it is met for the first time."""
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(make())
        return self._numbers[key]


def _ms(time_ns: int) -> float:
    return time_ns / 1_000_000


def _safe(text: str) -> str:
    """Escape what could deceive a reader: control and format characters, half pairs."""
    if len(text) <= _TEXT_BYTES and text.isprintable():  # nearly all of them; nothing that is escaped is printable
        return text
    shown = render_terminal(text.encode("utf-8", "backslashreplace").decode())
    return shown if len(shown) <= _TEXT_BYTES else f"{shown[:_TEXT_BYTES]} … ({len(shown)} characters, cut here)"


def _path(path: bytes | None) -> str | None:
    return None if path is None else _safe(render_path(path))


def _state(state: FileState | None) -> list[Any] | None:
    if state is None:
        return None
    row = render_state(state)
    values = [row.get(name) for name in STATE_FIELDS]
    for place, name in enumerate(STATE_FIELDS):
        value = values[place]
        if name == "xattrs" and value is not None:
            values[place] = ", ".join(f"{_safe(key)}={_safe(text)}" for key, text in sorted(value.items())) or None
        elif name.endswith("_ns") and value is not None:
            values[place] = str(value)  # more digits than a number of the page holds
        elif isinstance(value, str):
            values[place] = _safe(value)
    return values


class _Parents:
    """Finds the processes that started a process, among those that were recorded."""

    def __init__(self, actors: Iterable[Actor]) -> None:
        self._records: dict[Hashable, list[tuple[int, int, Actor]]] = defaultdict(list)
        for number, actor in enumerate(actors):
            self._records[actor.pid, actor.ses, actor.auid].append((actor.time_ns, number, actor))
        for records in self._records.values():
            records.sort(key=lambda record: record[:2])

    def above(self, actor: Actor) -> list[Actor]:
        """Give the parents that were recorded, the nearest first. A number that another session has is another process's."""
        found: list[Actor] = []
        while actor.ppid is not None and len(found) < _MOST_PARENTS:
            parent = self._last_before(actor.ppid, actor)
            if parent is None or parent in found:
                break
            found.append(parent)
            actor = parent
        return found

    def _last_before(self, pid: int, child: Actor) -> Actor | None:
        records = self._records.get((pid, child.ses, child.auid), [])
        earlier = bisect_right(records, child.time_ns, key=lambda record: record[0])
        return records[earlier - 1][2] if earlier else None


def _actor(actor: Actor, parents: _Parents) -> dict[str, Any]:
    row = {
        "login": _safe(render_login(actor)),
        "auid": actor.auid, "uid": actor.uid, "euid": actor.euid, "pid": actor.pid, "ppid": actor.ppid,
        "exe": _path(actor.exe), "comm": _path(actor.comm),
        "cmd": None if actor.cmdline is None else _safe(actor.cmdline),
        "sure": actor.cmdline_verified,
        "tty": None if actor.tty is None else _safe(actor.tty),
        "ses": actor.ses, "syscall": None if actor.syscall is None else _safe(actor.syscall),
        "parents": [
            {"pid": one.pid, "exe": _path(one.exe), "cmd": None if one.cmdline is None else _safe(one.cmdline)}
            for one in parents.above(actor)
        ],
    }  # fmt: skip
    return {name: value for name, value in row.items() if value not in (None, [])}


def _identity(actor: Actor) -> Hashable:
    return (actor.auid, actor.uid, actor.euid, actor.user, actor.pid, actor.ppid, actor.exe, actor.comm, actor.cmdline,
            actor.cmdline_verified, actor.tty, actor.ses, actor.syscall)  # fmt: skip


def render_columns(report: ReportData) -> dict[str, Any]:
    """Give what the page's script reads: words, shared values, and the findings as one list a column, the most severe first.

    Returns:
        An object that JSON can hold. Times are milliseconds of UTC, words are numbers into ``words``.
    """
    rows = sorted(report.findings, key=lambda one: (-one.severity.rank, event_ns(one), one.path, one.id))
    parents = _Parents([*report.processes, *(actor for finding in rows for actor in finding.actors)])
    actors, reasons, statuses = _Shared(), _Shared(), _Shared()
    statuses.number("open", lambda: "open")
    columns: dict[str, list[Any]] = defaultdict(list)
    for finding in rows:
        for name, value in _row(finding, report, actors, reasons, statuses, parents).items():
            columns[name].append(value)
    return {
        "words": {"severity": _words(Severity), "kind": _words(Kind), "tier": _words(Tier), "verdict": _words(Verdict),
                  "attribution": _words(Attribution)},
        "state": STATE_FIELDS,
        "actors": actors.values, "reasons": reasons.values, "statuses": statuses.values,
        "findings": dict(columns) if columns else {"id": []},
    }  # fmt: skip


def _marks(finding: Finding) -> list[list[Any]] | None:
    """What content rules found; nothing where the file was not searched."""
    if finding.content is None:
        return None
    return [[_safe(mark.rule), _safe(mark.severity), mark.line, _safe(mark.text), _safe(mark.attack)] for mark in finding.content]


def _words(kinds: type[Severity] | type[Kind] | type[Tier] | type[Verdict] | type[Attribution]) -> list[str]:
    return [one.value for one in kinds]


def _row(
    finding: Finding, report: ReportData, actors: _Shared, reasons: _Shared, statuses: _Shared, parents: _Parents
) -> dict[str, Any]:
    diff = report.diffs.get(finding.id)
    people = []
    for actor in finding.actors:
        key = _identity(actor)
        people.append([actors.number(key, partial(_actor, actor, parents)), _ms(actor.time_ns), _safe(actor.event)])
    status = _safe(report.statuses.get(finding.id, "open"))
    return {
        "id": _safe(finding.id),
        "host": _safe(finding.host),
        "path": _path(finding.path),
        "to": _path(finding.moved_to),
        "kind": list(Kind).index(finding.kind),
        "tier": list(Tier).index(finding.tier),
        "severity": finding.severity.rank,
        "verdict": list(Verdict).index(finding.verdict),
        "attribution": list(Attribution).index(finding.attribution),
        "time": _ms(event_ns(finding)),
        "first": _ms(finding.first_seen_ns),
        "last": _ms(finding.last_seen_ns),
        "changed": list(finding.changed),
        "before": _state(finding.before),
        "after": _state(finding.after),
        "actors": people,
        "reasons": [reasons.number(reason, partial(_safe, reason)) for reason in finding.reasons],
        "sources": [source.value for source in finding.sources],
        "evidence": [_safe(event) for event in finding.evidence],
        "status": statuses.number(status, partial(str, status)),
        "content": _marks(finding),
        "diff": None if diff is None else [_safe(line.expandtabs(4)) for line in diff.splitlines()],
    }
