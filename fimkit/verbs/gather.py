"""Reads the sources' logs into changes and notes, and keeps what could not be read."""

import pwd
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fimkit.audit.changes import AuditChanges
from fimkit.audit.logfile import LogCursor, load_events, load_lines
from fimkit.model.changes import Change, Note
from fimkit.model.paths import render_path
from fimkit.model.records import BadLine
from fimkit.osquery.results import OsqueryResults

__all__ = ["Gathered", "gather_audit", "gather_osquery", "name_user"]


@dataclass(slots=True)
class Gathered:
    """What a source's logs said: changes and notes in the order read, bad lines, words on the reading, where it stopped.

    ``uncounted`` says by file how many bad lines there were more than are kept.
    """

    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    bad_lines: list[BadLine] = field(default_factory=list)
    uncounted: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    cursor: LogCursor | None = None


def name_user(number: int) -> str | None:
    """Name one of this host's user ids; ``None`` for one without a name."""
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return None


def gather_audit(
    paths: Sequence[Path],
    *,
    wanted: Callable[[Change], bool],
    cursor: LogCursor | None = None,
    host: str,
    live: bool = False,
    user_of: Callable[[int], str | None] | None = None,
) -> Gathered:
    """Read audit logs; of a log of many hosts (``node=``) only the records of ``host``.

    Args:
        paths: The files, the oldest first; for a log that is still written, with its rotations.
        wanted: Tells which changes matter; the others are not kept.
        cursor: Where an earlier reading stopped.
        host: The host's name.
        live: The log is still written: an event without its end is left for the next time.
        user_of: Names a user id where the log does not.
    """
    gathered = Gathered()
    reader = AuditChanges(user_of)
    met: Counter[str] = Counter()
    events = load_events(
        paths, cursor=cursor, live=live, now_ms=time.time_ns() // 1_000_000, on_bad=lambda line: met.update((line.file,))
    )
    by_node: dict[bytes | None, Gathered] = {}
    for event in events:
        of_node = by_node.get(event.node) or by_node.setdefault(event.node, Gathered())
        of_node.changes += filter(wanted, reader.changes_of(event))
        of_node.notes += reader.notes_of(event)
    own, words = _own_nodes(set(by_node), host)
    for node in own:
        gathered.changes += by_node[node].changes
        gathered.notes += by_node[node].notes
    gathered.problems += words
    gathered.bad_lines += events.bad
    gathered.uncounted = met - Counter(line.file for line in events.bad)
    gathered.problems += events.problems
    gathered.cursor = events.cursor
    return gathered


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
    paths: Sequence[Path], *, wanted: Callable[[Change], bool], host: str, cursor: LogCursor | None = None, live: bool = False
) -> Gathered:
    """Read osquery result logs; of a log of many hosts only the rows of ``host``, where it names it.

    Args:
        paths: The files, the oldest first.
        wanted: Tells which changes matter; the others are not kept.
        host: The host's name.
        cursor: Where an earlier reading stopped.
        live: The log is still written: a line without its end is left for the next time.
    """
    gathered = Gathered()
    results = OsqueryResults()
    lines = load_lines(paths, cursor=cursor, live=live)
    changes = [
        change
        for line, file, number in lines
        for change in results.changes_of([line], file=file, first_line=number)
        if wanted(change)
    ]
    named = {change.node for change in changes if change.node is not None}
    if host in named and len(named) > 1:
        changes = [change for change in changes if change.node in (host, None)]
        gathered.problems.append(f"rows of {len(named) - 1} other hosts were left out; this host is {host!r}")
    gathered.changes = changes
    gathered.bad_lines += [*lines.bad, *results.bad]
    gathered.problems += lines.problems
    gathered.cursor = lines.cursor
    return gathered
