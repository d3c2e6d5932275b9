"""What an analyst can open, a part for each kind: stores, collected folders, logs, snapshots, findings as JSON lines or Parquet."""

import datetime
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fimkit.audit.changes import AuditChanges
from fimkit.audit.logfile import load_events, load_lines
from fimkit.baseline.snapshot import read_snapshot
from fimkit.evidence.past_rows import Span
from fimkit.evidence.reader import Reader, open_reader
from fimkit.model.changes import Change
from fimkit.model.config import Config
from fimkit.model.coverage import Gap, Sense, gaps_of_notes, select_gaps
from fimkit.model.errors import FimkitError, SnapshotError, UsageError, clip
from fimkit.model.findings import Finding, Tier
from fimkit.model.json_form import parse_finding
from fimkit.model.paths import is_below, render_path
from fimkit.model.states import FileState
from fimkit.model.time import parse_time, render_time
from fimkit.model.watches import WatchSet
from fimkit.report.change_frames import ChangeBlock, change_blocks, stored_change_block
from fimkit.report.frames import EventRow, event_of_change, event_of_record
from fimkit.verbs.coverage import coverage_of
from fimkit.verbs.coverage_judge import gaps_of_gathered
from fimkit.verbs.gather import Gathered, gather_audit, gather_osquery
from fimkit.verbs.investigate import investigate
from fimkit.verbs.watch_status import load_watch_status

__all__ = [
    "CollectedPart",
    "FindingsPart",
    "FoundRow",
    "LogPart",
    "ParquetPart",
    "Part",
    "SnapshotPart",
    "StorePart",
    "read_finding",
]

_DEADLINE_S = 600.0  # an analyst waits longer than a query of osquery does
_MOST_LINE = 1 << 26
_NESTED = ("changed", "reasons", "sources", "evidence", "actors", "before", "after", "content")


class FoundRow(NamedTuple):
    """A finding, its status, and when it was closed."""

    finding: Finding
    status: str
    closed_ns: int | None


class Part(Protocol):
    """One source of rows. What it does not have it gives none of; what cannot be read goes into ``problems``, in words."""

    problems: list[str]

    def hosts(self) -> Iterable[str]:
        """Name the hosts whose findings it can give, also those that have none."""

    def findings(self, span: Span) -> Iterable[FoundRow]:
        """Give findings."""

    def changes(self, span: Span) -> Iterable[tuple[str, Tier | None, Change]]:
        """Give changes, each with its host and the tier of its path."""

    def change_blocks(self, span: Span) -> Iterable[ChangeBlock]:
        """Give the same changes as parts of a frame."""

    def events(self, span: Span) -> Iterable[EventRow]:
        """Give audit events."""

    def baseline(self, below: bytes | None) -> Iterable[tuple[str, Tier | None, FileState]]:
        """Give the states that were taken as good, each with its host and tier."""

    def coverage(self, span: Span) -> Iterable[tuple[str, Gap]]:
        """Give the times in which not all could be seen, each with its host."""


class _Nothing:
    """A part that has none of the four; the parts below say what they have."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def hosts(self) -> Iterable[str]:
        return ()

    def findings(self, span: Span) -> Iterable[FoundRow]:
        return ()

    def changes(self, span: Span) -> Iterable[tuple[str, Tier | None, Change]]:
        return ()

    def change_blocks(self, span: Span) -> Iterable[ChangeBlock]:
        return change_blocks(self.changes(span))

    def events(self, span: Span) -> Iterable[EventRow]:
        return ()

    def baseline(self, below: bytes | None) -> Iterable[tuple[str, Tier | None, FileState]]:
        return ()

    def coverage(self, span: Span) -> Iterable[tuple[str, Gap]]:
        return ()


def _in_time(time_ns: int, span: Span) -> bool:
    return (span.since_ns is None or time_ns >= span.since_ns) and (span.until_ns is None or time_ns < span.until_ns)


def _below(path: bytes | None, span: Span) -> bool:
    return span.below is None or (path is not None and is_below(path, span.below))


def _wanted(finding: Finding, span: Span) -> bool:
    if span.since_ns is not None and finding.last_seen_ns < span.since_ns:
        return False
    if span.until_ns is not None and finding.first_seen_ns >= span.until_ns:
        return False
    return _below(finding.path, span) or _below(finding.moved_to, span)


def _tiers(config: Config | None) -> Callable[[bytes | None], Tier | None]:
    if config is None:
        return lambda path: None
    watches = WatchSet(config.paths)

    def tier_of(path: bytes | None) -> Tier | None:
        watch = None if path is None else watches.watch_of(path)
        return None if watch is None else watch.tier

    return tier_of


class StorePart(_Nothing):
    """The evidence store of a state folder, live or copied; each call reads it as of one moment, and never waits for a writer."""

    def __init__(self, state_dir: bytes, *, config: Config | None, host: str | None) -> None:
        """Take the folder; a configuration says the tiers and the host's name."""
        super().__init__()
        self._state_dir, self._host, self._tier_of = state_dir, host or (config.host.name if config else None), _tiers(config)
        self._has_tiers = config is not None

    def _open(self) -> Reader:
        return open_reader(self._state_dir, deadline_s=_DEADLINE_S)

    def _name(self, reader: Reader) -> str:
        """Name the host: as configured, else as its findings do, else as its folder is called."""
        if self._host is None:
            first = next(iter(reader.findings(Span(), only_open=False)), None)
            folder = render_path(os.path.basename(self._state_dir.rstrip(b"/")))
            self._host = folder if first is None else first.finding.host
        return self._host

    def hosts(self) -> Iterator[str]:
        """Name the one host."""
        with self._open() as reader:
            yield self._name(reader)

    def findings(self, span: Span) -> Iterator[FoundRow]:
        """Give findings, open and closed."""
        with self._open() as reader:
            for row in reader.findings(span, only_open=False):
                yield FoundRow(row.finding, row.status.value, row.closed_ns)

    def changes(self, span: Span) -> Iterator[tuple[str, Tier | None, Change]]:
        """Give the changes that the store keeps."""
        with self._open() as reader:
            host = self._name(reader)
            for change in reader.changes(span):
                yield host, self._tier_of(change.path), change

    def change_blocks(self, span: Span) -> Iterator[ChangeBlock]:
        """Give the changes by columns, as the store can have them."""
        with self._open() as reader:
            host, tier_of = self._name(reader), self._tier_of if self._has_tiers else None
            for columns in reader.change_columns(span):
                yield stored_change_block(host, tier_of, *columns)

    def coverage(self, span: Span) -> Iterator[tuple[str, Gap]]:
        """Give what the ledger has; of a live folder that nobody looks or watches, too."""
        now_ns = time.time_ns() if span.until_ns is None else span.until_ns
        with self._open() as reader:
            host, status = self._name(reader), load_watch_status(self._state_dir)
            told = coverage_of(reader, since_ns=span.since_ns, until_ns=now_ns, path=span.below, status=status)
            yield from ((host, gap) for gap in told.gaps)

    def events(self, span: Span) -> Iterator[EventRow]:
        """Give the events that the store's changes came from."""
        rows = ((host, change) for host, _, change in self.changes(span) if change.actor is not None)
        for (host, _), group in itertools.groupby(rows, key=lambda row: (row[0], row[1].actor and row[1].actor.event)):
            yield event_of_change(host, [change for _, change in group])

    def baseline(self, below: bytes | None) -> Iterator[tuple[str, Tier | None, FileState]]:
        """Give the accepted states."""
        with self._open() as reader:
            host = self._name(reader)
            for state in reader.baseline(below):
                yield host, self._tier_of(state.path), state


class LogPart(_Nothing):
    """Logs of one host: audit and osquery."""

    def __init__(
        self, audit_logs: Sequence[Path], osquery_logs: Sequence[Path] = (), *, config: Config | None, host: str | None, place: str
    ) -> None:
        """Take the logs, the oldest first; ``place`` is the name for a host that nothing names."""
        super().__init__()
        self.audit_logs, self.osquery_logs, self._tier_of = tuple(audit_logs), tuple(osquery_logs), _tiers(config)
        self._known = host or (config.host.name if config else None)
        self.host = self._known or place

    @cached_property
    def _gathered(self) -> tuple[Gathered, Gathered]:
        audit = gather_audit(self.audit_logs, wanted=lambda change: True, host=self.host)
        return audit, gather_osquery(self.osquery_logs, wanted=lambda change: True, host=self.host)

    def coverage(self, span: Span) -> Iterator[tuple[str, Gap]]:
        """Give what the logs say of themselves, up to the last record."""
        audit = self._gathered[0]
        last_ns = max((note.time_ns for note in audit.notes), default=0)
        gaps = [*gaps_of_gathered(Sense.AUDIT, audit, last_ns=last_ns, now_ns=last_ns, notes=audit.notes),
                *gaps_of_notes(audit.notes, until_ns=last_ns)]  # fmt: skip
        since_ns = min((gap.from_ns for gap in gaps), default=0) if span.since_ns is None else span.since_ns
        until_ns = max((gap.until(last_ns) for gap in gaps), default=0) if span.until_ns is None else span.until_ns
        chosen = select_gaps(gaps, since_ns=since_ns, until_ns=until_ns, path=span.below)
        yield from ((self.host, gap) for gap in chosen)

    @cached_property
    def _changes(self) -> list[Change]:
        audit, osquery = self._gathered
        for gathered in (audit, osquery):
            self.problems += gathered.problems
            self.problems += [f"{line.file}:{line.line}: {line.error}" for line in gathered.bad_lines]
        return [*audit.changes, *osquery.changes]

    def changes(self, span: Span) -> Iterator[tuple[str, Tier | None, Change]]:
        """Give what the logs claim, of all paths."""
        for change in self._changes:
            if _in_time(change.time_ns, span) and _below(change.path, span):
                yield self.host, self._tier_of(change.path), change

    def events(self, span: Span) -> Iterator[EventRow]:
        """Give every event of the audit logs, whatever it was."""
        reader = AuditChanges()
        for event in load_events(self.audit_logs):
            actor = reader.actor_of(event)
            host = self.host if self._known is not None or event.node is None else render_path(event.node)
            row = event_of_record(host, event, actor)
            if _in_time(row.time_ns, span) and (span.below is None or any(_below(path, span) for path in row.paths)):
                yield row


class CollectedPart(LogPart):
    """A folder of files collected from a host: snapshots, logs, its configuration; judged when findings are first asked for.

    What the host itself had found is given beside that. Where both found the same, the host's own counts: it knew what packages
    explain, and what was in the file.
    """

    def __init__(
        self,
        audit_logs: Sequence[Path],
        osquery_logs: Sequence[Path],
        *,
        config: Config,
        baseline: Path,
        after: Path | None,
        found: Path | None = None,
        looked_ns: int | None = None,
    ) -> None:
        """Take the files; without ``after`` there is nothing to judge. ``looked_ns`` is when it was made; else now."""
        super().__init__(audit_logs, osquery_logs, config=config, host=None, place=config.host.name)
        self._config, self._baseline, self._after, self._looked_ns = config, baseline, after, looked_ns
        self._found = None if found is None else FindingsPart(found)

    def look_at(self, now_ns: int) -> None:
        """Judge as of this time, where the files do not say when they were collected."""
        if self._looked_ns is None:
            self._looked_ns = now_ns

    def hosts(self) -> Iterable[str]:
        """Name the host, if there is something to judge."""
        return () if self._after is None else (self.host,)

    @cached_property
    def _findings(self) -> list[FoundRow]:
        if self._after is None:
            self.problems.append(f"{self._baseline.parent}: no after.jsonl beside the baseline: nothing to compare it with")
            return []
        found = investigate(
            self._config,
            baseline=self._baseline,
            after=self._after,
            audit_logs=self.audit_logs,
            osquery_logs=self.osquery_logs,
            now_ns=self._looked_ns,
        )
        self.problems += found.problems
        own = self._own_findings()
        known = {row.finding.id for row in own if row.status == "open"}
        again = [FoundRow(finding, "open", None) for finding in found.findings if finding.id not in known]
        back = {row.finding.id for row in again}  # what was closed, and is there once more
        return [*(row for row in own if row.finding.id not in back), *again]

    def _own_findings(self) -> list[FoundRow]:
        if self._found is None:
            return []
        rows = [row for row in self._found.findings(Span()) if row.finding.host == self.host]
        others = sum(1 for _ in self._found.findings(Span())) - len(rows)
        self.problems += self._found.problems
        if others:
            self.problems.append(f"{self._baseline.parent}: {others:,} findings of other hosts than {self.host!r} were left out")
        return rows

    def findings(self, span: Span) -> Iterator[FoundRow]:
        """Judge, once, and give what was found."""
        return (row for row in self._findings if _wanted(row.finding, span))

    def baseline(self, below: bytes | None) -> Iterator[tuple[str, Tier | None, FileState]]:
        """Give the earlier snapshot."""
        return _states(self._baseline, below, self.host, self._tier_of, self.problems)


def _states(
    file: Path, below: bytes | None, host: str, tier_of: Callable[[bytes | None], Tier | None], problems: list[str]
) -> Iterator[tuple[str, Tier | None, FileState]]:
    snapshot = read_snapshot(file)
    problems += snapshot.problems
    for state in snapshot.states.values():
        if below is None or is_below(state.path, below):
            yield host, tier_of(state.path), state


class SnapshotPart(_Nothing):
    """A snapshot alone: a baseline."""

    def __init__(self, file: Path, *, config: Config | None, host: str | None) -> None:
        """Take the file."""
        super().__init__()
        self._file, self._tier_of = file, _tiers(config)
        self._host = host or (config.host.name if config else render_path(os.fsencode(file.name.partition(".")[0])))

    def baseline(self, below: bytes | None) -> Iterator[tuple[str, Tier | None, FileState]]:
        """Give its states."""
        return _states(self._file, below, self._host, self._tier_of, self.problems)


class FindingsPart(_Nothing):
    """Findings as JSON lines, as ``--json`` and ``export`` write them; of one that comes twice the last counts."""

    def __init__(self, file: Path) -> None:
        """Take the file."""
        super().__init__()
        self._file = file

    @cached_property
    def _rows(self) -> list[FoundRow]:
        rows: dict[tuple[str, str], FoundRow] = {}
        lines = load_lines([self._file], max_line_bytes=_MOST_LINE)
        for line, file, number in lines:
            try:
                row = read_finding(json.loads(line))
            except (ValueError, RecursionError) as error:
                self.problems.append(f"{file}:{number}: no finding: {error}")
                continue
            rows[row.finding.host, row.finding.id] = row
        self.problems += [*lines.problems, *(f"{bad.file}:{bad.line}: {bad.error}" for bad in lines.bad)]
        return list(rows.values())

    def hosts(self) -> Iterable[str]:
        """Name the hosts of the findings."""
        return dict.fromkeys(row.finding.host for row in self._rows)

    def findings(self, span: Span) -> Iterator[FoundRow]:
        """Give them."""
        return (row for row in self._rows if _wanted(row.finding, span))


class ParquetPart(_Nothing):
    """Findings as Parquet: the contract's names as columns; what is nested may be JSON text."""

    def __init__(self, file: Path) -> None:
        """Take the file."""
        super().__init__()
        self._file = file

    @cached_property
    def _rows(self) -> list[FoundRow]:
        try:
            import pyarrow.parquet as parquet  # an extra: only when there is such a file
        except ImportError:
            raise UsageError(f"{self._file}: Parquet needs pyarrow; remedy: pip install 'fimkit[parquet]'") from None
        try:
            table = parquet.read_table(self._file, partitioning=None).to_pylist()
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{self._file}: no Parquet can be read from it: {error}") from error
        rows = []
        for number, row in enumerate(table, 1):
            try:
                rows.append(read_finding(row))
            except ValueError as error:
                self.problems.append(f"{self._file}: row {number} is no finding: {error}")
        return rows

    def hosts(self) -> Iterable[str]:
        """Name the hosts of the findings."""
        return dict.fromkeys(row.finding.host for row in self._rows)

    def findings(self, span: Span) -> Iterator[FoundRow]:
        """Give them."""
        return (row for row in self._rows if _wanted(row.finding, span))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        nanos = getattr(value, "nanosecond", 0)
        whole = value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
        delta = whole - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return render_time((delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000 + nanos)
    return value


def read_finding(row: Any) -> FoundRow:
    """Read a finding of a file.

    Raises:
        ValueError: If it is none.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"expected an object, seen {clip(row)}")
    plain = {name: _plain(value) for name, value in row.items()}
    for name in _NESTED:
        if isinstance(plain.get(name), str):
            plain[name] = json.loads(plain[name])
    try:
        finding = parse_finding(plain)
        closed = plain.get("closed")
        closed_ns = None if closed is None else parse_time(closed)
    except (KeyError, TypeError, AttributeError, FimkitError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from error
    return FoundRow(finding, str(plain.get("status") or "open"), closed_ns)
