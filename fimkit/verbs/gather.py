"""Reads the sources' logs into changes and notes, and keeps what could not be read."""

import pwd
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from fimkit.audit.logfile import LogCursor, load_lines
from fimkit.audit.parser import Counters
from fimkit.audit.serials import MissingSerials
from fimkit.correlate.ledger import ChangeLedger
from fimkit.model.changes import Change, Note
from fimkit.model.errors import clip
from fimkit.model.paths import render_path
from fimkit.model.records import AuditEvent, BadLine
from fimkit.model.states import FileState
from fimkit.osquery.collapse import collapse_rows
from fimkit.osquery.relocate import relocate_rows
from fimkit.osquery.results import OsqueryResults
from fimkit.verbs.harvest import Numbers
from fimkit.verbs.late_hash import add_late_hashes
from fimkit.verbs.log_parts import Asked, LogSource, harvest_at_once, harvest_in_parts
from fimkit.verbs.scope import Scope

__all__ = ["Gathered", "gather_audit", "gather_osquery", "mend_osquery", "name_user"]

_OSQUERY_LINE_BYTES = 1 << 28
"""A batch is one line, however many rows: osquery keeps 50,000 by default, and 100,000 are 50 MB."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MOST_HOSTS = 10


@dataclass(slots=True)
class Gathered:
    """What a source's logs said: changes (audit's as a ledger) and notes in the order read, bad lines, words, where it stopped.

    ``uncounted`` says by file how many bad lines there were more than are kept. ``rows`` counts what a log had, by what became of
    it: an audit log's ``lines`` are records, blank or bad, and each row of an osquery log is one of the first four. ``lost`` are
    the problems by which text is gone that was never read; ``missing`` serials, and ``restarts`` of auditd that nothing had ended
    (the times before and after, in milliseconds), are those of an audit log.
    """

    changes: Sequence[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    bad_lines: list[BadLine] = field(default_factory=list)
    uncounted: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    cursor: LogCursor | None = None
    rows: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    missing: list[MissingSerials] = field(default_factory=list)
    restarts: list[tuple[int, int]] = field(default_factory=list)
    has_more: bool = False


def name_user(number: int) -> str | None:
    """Name one of this host's user ids; ``None`` for one without a name. What was asked for is remembered for a minute."""
    return _name_user(number, int(time.monotonic()) // 60)


@lru_cache(maxsize=1024)
def _name_user(number: int, minute: int) -> str | None:
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return None


def gather_audit(
    paths: Sequence[Path],
    *,
    wanted: Callable[[Change], bool],
    worth: Callable[[AuditEvent], bool] | None = None,
    cursor: LogCursor | None = None,
    host: str,
    live: bool = False,
    user_of: Callable[[int], str | None] | None = None,
    most_bytes: int | None = None,
    scope: Scope | None = None,
) -> Gathered:
    """Read audit logs; of a log of many hosts (``node=``) only the records of ``host``.

    Args:
        paths: The files, the oldest first; for a log that is still written, with its rotations.
        wanted: Tells which changes matter; the others are not kept.
        worth: A quick look beforehand: false only for an event none of whose changes would be ``wanted``.
        cursor: Where an earlier reading stopped.
        host: The host's name.
        live: The log is still written: an event without its end is left for the next time.
        user_of: Names a user id where the log does not.
        most_bytes: Of a live log: where so much was read, the rest is left for the next time, and ``has_more`` says so.
        scope: What ``wanted`` and ``worth`` ask, and all that learns by their asking: with it a large log is read by as many
            processes as there are cores. It must not have more threads beside it.
    """
    gathered = Gathered()
    state = () if cursor is None else cursor.serials
    now_ms = time.time_ns() // 1_000_000
    source = LogSource(paths=paths, cursor=cursor, live=live, now_ms=now_ms)
    asked = Asked(wanted=wanted, worth=worth, user_of=user_of, state=state)
    parts = None if scope is None or most_bytes is not None else harvest_in_parts(source, asked, scope)
    harvest, events = harvest_at_once(source, asked, most_bytes=most_bytes) if parts is None else parts
    tables, by_node = harvest.tables, harvest.by_node
    own, words = _own_nodes(set(by_node), host)
    whole = None
    states = [of_node.numbers for of_node in by_node.values()]
    for node in own:
        ledger, notes, numbers = by_node.pop(node)
        gathered.missing += numbers.track.missing(everything=not live)
        gathered.restarts += numbers.restarts
        if node is not None:  # It is this host: its live records, which have no node, must be the same claims.
            ledger.forget_node(render_path(node))
        if whole is None:
            whole = ledger  # the usual case: the rows are in memory once
        else:
            whole.extend(ledger)
        gathered.notes += notes
    gathered.changes = ChangeLedger(tables=tables) if whole is None else whole
    gathered.problems += words
    gathered.bad_lines += events.bad
    gathered.uncounted = events.met - Counter(line.file for line in events.bad)
    gathered.problems += events.problems
    gathered.lost += events.lost
    gathered.rows = _count_lines(events.counters)
    gathered.cursor, gathered.has_more = events.cursor, events.has_more
    if gathered.cursor is not None:
        gathered.cursor = replace(gathered.cursor, serials=_state_of(states, cursor))
    return gathered


def _count_lines(counters: Counters) -> Counter[str]:
    lines, records, bad = counters.lines, counters.records, counters.bad_lines
    return Counter({"lines": lines, "records": records, "blank": lines - records - bad, "bad": bad})


def _state_of(numbers: Sequence[Numbers], cursor: LogCursor | None) -> tuple[tuple[int, ...], ...]:
    """Give what the next reading needs to know of the serials: of a log of one host, for others share no numbers."""
    if not numbers and cursor is not None:
        return cursor.serials
    return numbers[0].track.state if len(numbers) == 1 else ()


def _own_nodes(nodes: set[bytes | None], host: str) -> tuple[list[bytes | None], list[str]]:
    """Choose the nodes that are the host: by name, by the name's first part, or the only one that there is."""
    named = sorted(node for node in nodes if node is not None)
    short = host.partition(".")[0].encode()
    same = [node for node in named if node == host.encode()] or [node for node in named if node.partition(b".")[0] == short]
    own = named if len(named) == 1 else same if len(same) == 1 else []
    words = []
    if len(named) > len(own):
        others = ", ".join(render_path(node) for node in named if node not in own)
        words.append(f"records of other hosts than {host!r} were left out: node {others}")
    return [*own, *(node for node in nodes if node is None)], words


def gather_osquery(
    paths: Sequence[Path],
    *,
    wanted: Callable[[Change], bool],
    host: str,
    cursor: LogCursor | None = None,
    live: bool = False,
    user_of: Callable[[int], str | None] | None = None,
    is_known: Callable[[bytes], bool] | None = None,
) -> Gathered:
    """Read osquery result logs, and make one change of the rows that say the same; of many hosts only the rows of ``host``.

    Args:
        paths: The files, the oldest first: results logs, their rotations, snapshots logs.
        wanted: Tells which changes matter; the others are not kept.
        host: The host's name.
        cursor: Where an earlier reading stopped.
        live: The log is still written: a line without its end is left for the next time.
        user_of: Names a user id; for this host's own log.
        is_known: Tells whether there is, or was, a file of a name that the log may mean.
    """
    gathered = Gathered()
    results = OsqueryResults(is_known=is_known, user_of=user_of)
    lines = load_lines(paths, cursor=cursor, live=live, max_line_bytes=_OSQUERY_LINE_BYTES)
    by_node: dict[str | None, list[Change]] = {}
    for line, file, number in lines:
        for change in results.changes_of([line], file=file, first_line=number):
            if wanted(change):
                by_node.setdefault(change.node, []).append(change)
    own, words = _own_osquery_nodes(results.names, host)
    rows = [change for node, changes in by_node.items() if node is None or node in own for change in changes]
    gathered.changes = collapse_rows(rows)
    gathered.bad_lines += [*lines.bad, *results.bad]
    gathered.uncounted = results.uncounted
    if not live:  # of its own log a host need not be told what it calls itself there
        words += _other_name(results.names, host)
    gathered.problems += [*lines.problems, *words, *results.problems]
    gathered.lost += lines.lost
    gathered.rows = Counter(
        {"read": results.rows, "of other tables": results.other_rows, "refused": results.refused_rows,
         "removed": results.removed_rows, "accesses": results.read_rows}
    )  # fmt: skip
    gathered.cursor = lines.cursor
    return gathered


def mend_osquery(
    gathered: Gathered,
    *,
    before: Mapping[bytes, FileState],
    after: Mapping[bytes, FileState],
    earlier: Iterable[Change] = (),
    own: bool = False,
) -> None:
    """Correct what osquery could not see: the paths of files in renamed folders, and, on its own host, hashes that it did not take.

    Args:
        gathered: What its log said; changed in place.
        before: The earlier snapshot by path.
        after: The later one.
        earlier: Changes of earlier readings, whose renames still count.
        own: The log is this host's, and ``after`` is as it is now: what has no hash is hashed, and marked late.
    """
    relocated = relocate_rows(gathered.changes, before=before, after=after, earlier=earlier)
    gathered.changes = relocated.changes
    gathered.problems += relocated.words
    if own:
        late = add_late_hashes(gathered.changes, after)
        gathered.changes = late.changes
        gathered.problems += late.words


def _first_part(name: str) -> str:
    return name.partition(".")[0]


def _own_osquery_nodes(nodes: Mapping[str, set[str]], host: str) -> tuple[set[str], list[str]]:
    """Choose the nodes that are the host: by any name that their lines have for it, by its first part, or the only one there is.

    One host can be two nodes: its identifier may have been its name first, and its UUID later.
    """

    def called(wanted: str, shorten: Callable[[str], str]) -> set[str]:
        return {node for node, names in nodes.items() if any(shorten(name.lower()) == wanted for name in names)}

    own = called(host.lower(), str)
    if not own:
        short = called(_first_part(host.lower()), _first_part)
        own = set(nodes) if len(nodes) == 1 else short if len(short) == 1 else set()
    others = sorted(set(nodes) - own)
    if not others:
        return own, []
    shown = ", ".join(clip(node) for node in others[:_MOST_HOSTS]) + (", …" if len(others) > _MOST_HOSTS else "")
    return own, [f"rows of {len(others)} other hosts than {host!r} were left out: {shown}"]


def _other_name(nodes: Mapping[str, set[str]], host: str) -> list[str]:
    """Say that a log's only host is called otherwise than the host that is asked about; a UUID is no other name."""
    names = sorted(name for each in nodes.values() for name in each)
    short = _first_part(host.lower())
    if len(nodes) != 1 or any(_first_part(name.lower()) == short or _UUID.fullmatch(name) for name in names):
        return []
    called = ", ".join(map(clip, names[:_MOST_HOSTS]))
    return [f"the osquery log is of a host that it calls {called}; its rows are taken as {host!r}'s"]
