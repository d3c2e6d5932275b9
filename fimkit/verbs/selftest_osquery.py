"""How selftest listens to osquery: to its results log, and to osqueryd itself, to tell what is blind from what is not logged."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fimkit.audit.logfile import LogCursor, find_rotations, load_lines
from fimkit.model.changes import Change
from fimkit.model.config import Sources
from fimkit.model.errors import OsqueryError, RecordError
from fimkit.model.paths import render_path
from fimkit.osquery.client import OsqueryClient
from fimkit.osquery.results import OsqueryResults
from fimkit.osquery.rows import parse_file_event
from fimkit.verbs.log_tail import find_end
from fimkit.verbs.selftest_sightings import Sightings

__all__ = ["OsqueryEar", "OsqueryFacts", "load_osquery_facts"]

_LOG_EVERY_S = 0.25
_ASK_EVERY_S = 1.0
_ASK_DEADLINE_S = 3.0
_SLACK_S = 15.0
_TABLE = re.compile(r"\bfile_events\b", re.IGNORECASE)

Query = Callable[[str], list[dict[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OsqueryFacts:
    """What is known of this host's osquery before the test.

    ``is_there``: its configuration, its log or its socket is. ``trouble`` says why it does not answer, nothing if it does.
    ``interval_s`` is of the quickest scheduled query on ``file_events``; ``None`` if it has none. ``traps`` are words on what its
    own tables say.
    """

    is_there: bool
    trouble: str = ""
    interval_s: int | None = None
    is_scheduled: bool | None = None
    traps: tuple[str, ...] = ()

    @property
    def patience_s(self) -> float:
        """How long to wait for its log by default: osquery moves each interval by up to a tenth."""
        return 1.1 * (self.interval_s or 0) + _SLACK_S


def load_osquery_facts(sources: Sources, query: Query | None = None) -> OsqueryFacts:
    """Find out; what does not answer is words.

    Args:
        sources: Where its files are.
        query: Asks osqueryd; by default over the configured socket.
    """
    places = (sources.osquery_config, sources.osquery_log, sources.osquery_socket)
    if not any(place and os.path.lexists(place) for place in places):
        return OsqueryFacts(is_there=False)
    if query is None:
        client = OsqueryClient(sources.osquery_socket, deadline_s=_ASK_DEADLINE_S)
        with client:
            return _ask(client.query, sources)
    return _ask(query, sources)


def _ask(query: Query, sources: Sources) -> OsqueryFacts:
    try:
        schedule = query("SELECT name, query, interval FROM osquery_schedule")
    except OsqueryError as error:
        return OsqueryFacts(is_there=True, trouble=str(error), interval_s=sources.osquery_interval_s)
    intervals = [_seconds(row) for row in schedule if _TABLE.search(row.get("query", ""))]
    traps: list[str] = []
    with contextlib.suppress(OsqueryError):
        flags = {row["name"]: row["value"] for row in query("SELECT name, value FROM osquery_flags")}
        traps += _flag_traps(flags)
    with contextlib.suppress(OsqueryError):
        rows = query("SELECT name, active FROM osquery_events WHERE name IN ('inotify', 'file_events')")
        traps += [f"its {row['name']} events are not active" for row in rows if row.get("active") == "0"]
    return OsqueryFacts(
        is_there=True,
        interval_s=min(intervals) if intervals else None,
        is_scheduled=bool(intervals),
        traps=tuple(traps),
    )


def _seconds(row: dict[str, str]) -> int:
    text = row.get("interval", "")
    return int(text) if text.isdecimal() else 0


def _flag_traps(flags: dict[str, str]) -> Iterable[str]:
    if flags.get("disable_events") == "true":
        yield "it runs with --disable_events=true"
    if flags.get("enable_file_events") == "false":
        yield "it runs without --enable_file_events=true"


class OsqueryEar:
    """Both readers, from the moment that it is made: ``log`` has what the results log showed, ``asked`` what osqueryd itself has.

    ``log_trouble`` says why the log cannot be read.
    """

    def __init__(self, sources: Sources, facts: OsqueryFacts, log: Sightings, asked: Sightings) -> None:
        """Begin to listen."""
        self.log, self.asked = log, asked
        self.log_trouble = ""
        self._path = Path(os.fsdecode(sources.osquery_log))
        self._sources = sources
        self._asks = facts.is_there and not facts.trouble
        self._cursor: LogCursor | None = None
        self._next_log_s = self._next_ask_s = 0.0
        self._since = int(time.time()) - 2
        try:
            self._cursor = find_end(self._path)
        except OSError as error:
            self.log_trouble = f"{render_path(sources.osquery_log)} cannot be read: {error.strerror}"

    def poll(self) -> None:
        """Read what has come, and ask."""
        if not self.log_trouble and time.monotonic() >= self._next_log_s:
            self._next_log_s = time.monotonic() + _LOG_EVERY_S
            self._poll_log()
        if self._asks and not self.asked.is_complete and time.monotonic() >= self._next_ask_s:
            self._ask()
            self._next_ask_s = time.monotonic() + _ASK_EVERY_S

    def _poll_log(self) -> None:
        if not self._path.exists():
            return
        marks = self.log.marks
        paths = find_rotations(self._path) if self._cursor is not None else [self._path]
        lines = load_lines(paths, cursor=self._cursor, live=True)
        for line, file, number in lines:
            if any(mark in line for mark in marks):
                self.log.take(OsqueryResults().changes_of([line], file=file, first_line=number), read_s=time.monotonic())
        self._cursor = lines.cursor

    def _ask(self) -> None:
        sql = f"SELECT target_path, action, time, transaction_id FROM file_events WHERE time >= {self._since}"
        try:
            with OsqueryClient(self._sources.osquery_socket, deadline_s=_ASK_DEADLINE_S) as client:
                rows = client.query(sql)
        except OsqueryError:
            return  # the log is what counts; whether it answers at all is in the facts
        marks = self.asked.marks
        self.asked.take(_changes(row for row in rows if _tells_of(row, marks)), read_s=time.monotonic())

    @property
    def has_log(self) -> bool:
        """Tell whether there is a log to be read."""
        return not self.log_trouble and self._path.exists()


def _tells_of(row: dict[str, str], marks: list[bytes]) -> bool:
    path = os.fsencode(row.get("target_path", ""))
    return any(mark in path for mark in marks)


def _changes(rows: Iterable[dict[str, str]]) -> Iterable[Change]:
    for row in rows:
        with contextlib.suppress(RecordError):  # a row that the log's reader would report: here it is only not seen
            change = parse_file_event(row, node=None, read_name=os.fsencode)
            if change is not None:
                yield change
