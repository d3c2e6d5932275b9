"""The findings, one row for each time that one was open."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fimkit.evidence.finding_life import PASSING, FindingRow, FindingStatus, Stored, merge_finding
from fimkit.evidence.values import int_in
from fimkit.model.errors import UsageError
from fimkit.model.findings import Finding
from fimkit.model.json_form import parse_finding, render_finding

__all__ = [
    "SELECT_FINDINGS",
    "close_absent",
    "close_accepted",
    "close_undone",
    "count_open",
    "decode_finding",
    "find_by_prefix",
    "is_open",
    "load_accepted_tries",
    "load_evidence",
    "load_findings",
    "load_last_seen",
    "load_open_ids",
    "load_open_others",
    "load_stored_of",
    "load_untold",
    "load_untold_of",
    "mark_told",
    "merge_findings",
]

_PASSING_KINDS = f"({', '.join(repr(kind.value) for kind in sorted(PASSING))})"
_NOT_PASSING = f" AND kind NOT IN {_PASSING_KINDS}"
SELECT_FINDINGS = "SELECT body, last_seen_ns, status, closed_ns, acceptance, superseded_by FROM findings"


def _load(body: str, last_seen_ns: int) -> Finding:
    return replace(parse_finding(json.loads(body)), last_seen_ns=last_seen_ns)


def _body(finding: Finding) -> str:
    return json.dumps(render_finding(finding), separators=(",", ":"))


def _insert(connection: sqlite3.Connection, finding: Finding) -> None:
    connection.execute(
        "INSERT INTO findings (id, host, path, moved_to, kind, severity, severity_rank, first_seen_ns, last_seen_ns, told_ns, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            finding.id, finding.host, finding.path, finding.moved_to, finding.kind.value, finding.severity.value,
            finding.severity.rank, int_in(finding.first_seen_ns), int_in(finding.last_seen_ns),
            _told_before(connection, finding), _body(finding),
        ),
    )  # fmt: skip


def _told_before(connection: sqlite3.Connection, finding: Finding) -> int | None:
    """Tell when this was printed already: a try that was part of a difference, now undone, is not told twice."""
    if finding.kind not in PASSING:
        return None
    told = connection.execute("SELECT max(told_ns) FROM findings WHERE id = ?", (finding.id,)).fetchone()[0]
    return None if told is None else int(told)


def _update(connection: sqlite3.Connection, row_id: int, was: Finding, now: Finding) -> None:
    if replace(now, last_seen_ns=was.last_seen_ns) == was:  # the usual case: the body stays as it is
        connection.execute("UPDATE findings SET last_seen_ns = ? WHERE row_id = ?", (int_in(now.last_seen_ns), row_id))
        return
    connection.execute(
        "UPDATE findings SET severity = ?, severity_rank = ?, first_seen_ns = ?, last_seen_ns = ?, body = ? WHERE row_id = ?",
        (now.severity.value, now.severity.rank, int_in(now.first_seen_ns), int_in(now.last_seen_ns), _body(now), row_id),
    )


def _close(connection: sqlite3.Connection, row_id: int, status: FindingStatus, *, now_ns: int, by: str | None = None) -> None:
    connection.execute(
        "UPDATE findings SET status = ?, closed_ns = ?, superseded_by = ? WHERE row_id = ?", (status.value, now_ns, by, row_id)
    )


def _supersede(connection: sqlite3.Connection, finding: Finding, listed: Collection[str], now_ns: int) -> Iterator[Finding]:
    """Close the other open findings of the same path that this one takes the place of."""
    rows = connection.execute(
        "SELECT row_id, id, body, last_seen_ns FROM findings INDEXED BY findings_open_path"  # else it walks through closed ones
        " WHERE status = 'open' AND host = ? AND path IN (?, ?)",
        (finding.host, finding.path, finding.moved_to),
    ).fetchall()
    for row_id, number, body, last_seen_ns in rows:
        if number not in listed and _replaces(finding, other := _load(body, int(last_seen_ns))):
            _close(connection, row_id, FindingStatus.SUPERSEDED, now_ns=now_ns, by=finding.id)
            yield other


def _replaces(finding: Finding, other: Finding) -> bool:
    """Tell whether a finding takes another's place: a path has one difference at a time, and a try is part of what has it in."""
    if other.kind not in PASSING:
        return finding.kind not in PASSING
    # its ends: of many openings between, a finding does not name all
    takes_in = bool(other.evidence) and {other.evidence[0], other.evidence[-1]} <= set(finding.evidence)
    return takes_in and (finding.kind is other.kind or finding.kind not in PASSING)


def merge_findings(connection: sqlite3.Connection, findings: Sequence[Finding], now_ns: int) -> Stored:
    """Store findings, in the caller's transaction; those of the store that are not among them are left alone, unless overtaken."""
    listed = {finding.id for finding in findings}
    new: dict[str, Finding] = {}
    known: dict[str, Finding] = {}
    improved: dict[str, Finding] = {}
    superseded: list[Finding] = []
    accepted: list[Finding] = []
    for finding in findings:
        row = connection.execute(
            "SELECT row_id, body, last_seen_ns FROM findings WHERE id = ? AND status = 'open'", (finding.id,)
        ).fetchone()
        if row is not None:
            was = _load(row[1], int(row[2]))
            now = merge_finding(was, finding, now_ns)
            _update(connection, row[0], was, now)
            (new if finding.id in new else known)[finding.id] = now
            if now.attribution is not was.attribution:
                improved[finding.id] = now
        elif finding.kind in PASSING and _was_accepted(connection, finding):
            accepted.append(finding)
            continue
        else:
            _insert(connection, finding)
            new[finding.id] = finding
        superseded.extend(_supersede(connection, finding, listed, now_ns))
    return Stored(
        new=tuple(new.values()), known=tuple(known.values()), improved=tuple(improved.values()), superseded=tuple(superseded),
        accepted=tuple(accepted),
    )  # fmt: skip


def _was_accepted(connection: sqlite3.Connection, finding: Finding) -> bool:
    """Tell whether just this was accepted, and nothing of it is later."""
    return bool(
        connection.execute(
            "SELECT count(*) FROM findings WHERE id = ? AND status = 'accepted' AND last_seen_ns >= ?",
            (finding.id, int_in(finding.last_seen_ns)),
        ).fetchone()[0]
    )


def _and_above(path: bytes) -> list[bytes]:
    """Give a path and the folders above it; the root is the empty name."""
    parts = path.rstrip(b"/").split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def close_absent(
    connection: sqlite3.Connection,
    listed: Collection[str],
    *,
    now_ns: int,
    unseen: Collection[bytes],
    known: Collection[str] | None = None,
) -> tuple[Finding, ...]:
    """Close the open differences that a whole look did not find again, except at or below ``unseen``, where it could not look.

    ``known`` are those that were open when the look began, where others may have found more in the meantime.
    """
    gone: list[Finding] = []
    blind = {folder.rstrip(b"/") for folder in unseen}
    rows = connection.execute(
        "SELECT row_id, id, path, body, last_seen_ns FROM findings WHERE status = 'open'" + _NOT_PASSING
    ).fetchall()
    for row_id, number, path, body, last_seen_ns in rows:
        late = known is not None and number not in known
        if number not in listed and not late and not (blind and blind.intersection(_and_above(path))):
            _close(connection, row_id, FindingStatus.GONE, now_ns=now_ns)
            gone.append(_load(body, last_seen_ns))
    return tuple(gone)


def close_undone(
    connection: sqlite3.Connection, paths: Iterable[bytes], listed: Collection[str], *, now_ns: int
) -> tuple[Finding, ...]:
    """Close the open differences of some paths that a look at these alone did not find again."""
    gone: list[Finding] = []
    for path in paths:
        rows = connection.execute(
            "SELECT row_id, id, body, last_seen_ns FROM findings INDEXED BY findings_open_path"
            " WHERE status = 'open' AND path = ?" + _NOT_PASSING,
            (path,),
        ).fetchall()
        for row_id, number, body, last_seen_ns in rows:
            if number not in listed:
                _close(connection, row_id, FindingStatus.GONE, now_ns=now_ns)
                gone.append(_load(body, last_seen_ns))
    return tuple(gone)


def close_accepted(connection: sqlite3.Connection, numbers: Iterable[str], *, acceptance: int, time_ns: int) -> int:
    """Close findings as accepted, and give how many were open."""
    return connection.executemany(
        "UPDATE findings SET status = 'accepted', closed_ns = ?, acceptance = ? WHERE id = ? AND status = 'open'",
        ((time_ns, acceptance, number) for number in numbers),
    ).rowcount


def decode_finding(row: Sequence[Any]) -> FindingRow:
    """Read a row of :data:`SELECT_FINDINGS`."""
    body, last_seen_ns, status, closed_ns, acceptance, superseded_by = row
    return FindingRow(
        finding=_load(body, int(last_seen_ns)), status=FindingStatus(status), closed_ns=closed_ns, acceptance=acceptance,
        superseded_by=superseded_by,
    )  # fmt: skip


def load_findings(connection: sqlite3.Connection, status: FindingStatus | None) -> Iterator[FindingRow]:
    """Load findings of one status, or all, the most severe first, then by path."""
    where, values = ("", ()) if status is None else ("WHERE status = ?", (status.value,))
    return map(decode_finding, connection.execute(f"{SELECT_FINDINGS} {where} ORDER BY severity_rank DESC, path, row_id", values))


def load_open_others(connection: sqlite3.Connection, listed: Collection[str]) -> list[Finding]:
    """Load the open findings that are not among ``listed``."""
    rows = connection.execute("SELECT id, body, last_seen_ns FROM findings WHERE status = 'open'")
    return [_load(body, int(last_seen_ns)) for number, body, last_seen_ns in rows if number not in listed]


def load_stored_of(connection: sqlite3.Connection, numbers: Iterable[str]) -> set[str]:
    """Load which of some findings are there, open or not."""
    return {number for number in numbers if connection.execute("SELECT 1 FROM findings WHERE id = ?", (number,)).fetchone()}


def is_open(connection: sqlite3.Connection, number: str) -> bool:
    """Tell whether a finding is open."""
    return connection.execute("SELECT 1 FROM findings WHERE id = ? AND status = 'open'", (number,)).fetchone() is not None


def load_evidence(connection: sqlite3.Connection, name: bytes, after_row: int) -> tuple[set[str], int]:
    """Load the events that differences of a name ever stood on, open or not, which were stored after a row; and their last row."""
    events, last_row = set[str](), after_row
    for column in ("path", "moved_to"):
        query = f"SELECT row_id, body FROM findings WHERE {column} = ? AND row_id > ?{_NOT_PASSING}"
        for row_id, body in connection.execute(query, (name, after_row)):
            events.update(json.loads(body).get("evidence", ()))
            last_row = max(last_row, row_id)
    return events, last_row


def load_last_seen(connection: sqlite3.Connection, name: bytes) -> int | None:
    """Load when a difference was last seen that left something at a name, open or not."""
    query = "SELECT max(last_seen_ns) FROM findings WHERE {}" + _NOT_PASSING + " AND kind <> 'deleted'"
    rows = [connection.execute(query.format(one), (name,)).fetchone() for one in ("path = ? AND moved_to IS NULL", "moved_to = ?")]
    return max((int(row[0]) for row in rows if row[0] is not None), default=None)


def load_accepted_tries(connection: sqlite3.Connection) -> Iterator[tuple[bytes, int]]:
    """Load the path of everything that happened once and was accepted, and when it had been seen last."""
    # By the times of the acceptances: of a storm's findings there are millions, and an index of those that are closed.
    query = (
        "SELECT f.path, f.last_seen_ns FROM acceptances AS a CROSS JOIN findings AS f INDEXED BY findings_closed"
        " ON f.status <> 'open' AND f.closed_ns = a.time_ns"
        f" WHERE f.acceptance = a.id AND f.status = 'accepted' AND f.kind IN {_PASSING_KINDS}"
    )
    yield from ((bytes(path), int(last_seen_ns)) for path, last_seen_ns in connection.execute(query))


def load_untold(connection: sqlite3.Connection) -> set[str]:
    """Load the ids of open findings that were never printed."""
    return {number for (number,) in connection.execute("SELECT id FROM findings WHERE status = 'open' AND told_ns IS NULL")}


def load_untold_of(connection: sqlite3.Connection, numbers: Iterable[str]) -> set[str]:
    """Load which of some findings are open and were never printed."""
    query = "SELECT 1 FROM findings WHERE id = ? AND status = 'open' AND told_ns IS NULL"
    return {number for number in numbers if connection.execute(query, (number,)).fetchone()}


def load_open_ids(connection: sqlite3.Connection) -> dict[str, bytes]:
    """Load the path of every open difference, by its id."""
    return dict(connection.execute("SELECT id, path FROM findings WHERE status = 'open'" + _NOT_PASSING))


def count_open(connection: sqlite3.Connection) -> int:
    """Count the open findings of all kinds."""
    (count,) = connection.execute("SELECT count(*) FROM findings WHERE status = 'open'").fetchone()
    return int(count)


def mark_told(connection: sqlite3.Connection, numbers: Iterable[str], *, time_ns: int) -> None:
    """Note that findings were printed."""
    connection.executemany(
        "UPDATE findings SET told_ns = ? WHERE id = ? AND told_ns IS NULL", ((time_ns, number) for number in numbers)
    )


def find_by_prefix(connection: sqlite3.Connection, prefix: str) -> FindingRow | None:
    """Find the finding whose id begins so: the open one, else the last that was closed.

    Raises:
        UsageError: If several ids begin so.
    """
    ids = connection.execute(
        "SELECT DISTINCT id FROM findings WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 3", (len(prefix), prefix)
    ).fetchall()
    if not ids or not prefix:
        return None
    if len(ids) > 1:
        raise UsageError(f"more than one finding's id begins with {prefix!r}: {', '.join(number for (number,) in ids)} …")
    return decode_finding(
        connection.execute(f"{SELECT_FINDINGS} WHERE id = ? ORDER BY status = 'open' DESC, row_id DESC LIMIT 1", ids[0]).fetchone()
    )
