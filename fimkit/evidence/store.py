"""The evidence store of one host: the accepted baseline, changes, findings, positions in logs, bad lines, in one SQLite file.

One file, so that what belongs together is one commit: a check's changes, cursors and findings; an acceptance's rows, findings and
history. What a method has returned from, outside of :meth:`Store.transaction`, is on the disk.
"""

import functools
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from fimkit.evidence import (
    baseline_rows,
    canary_rows,
    chain_rows,
    chain_verify,
    changes_rows,
    coverage_rows,
    findings_rows,
    history_rows,
    incident_rows,
    log_rows,
    pin_rows,
    retention,
    schema_strangers,
    seal_rows,
    ticket_rows,
)
from fimkit.evidence.baseline_rows import BaselineMeta
from fimkit.evidence.canary_rows import Canary
from fimkit.evidence.chain_verify import ChainVerdict
from fimkit.evidence.change_columns import ChangeColumns, past_change_columns
from fimkit.evidence.connection import connect, connect_reading, disconnect, store_path, translated_errors, write_transaction
from fimkit.evidence.damage import read_errors
from fimkit.evidence.finding_life import PASSING, FindingRow, FindingStatus, Stored
from fimkit.evidence.full_disk import noting_full
from fimkit.evidence.history_rows import Acceptance, HistoryRow
from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.limiting import Gone, Limiting
from fimkit.evidence.past_rows import Span
from fimkit.evidence.pin_rows import PinsRow
from fimkit.evidence.ticket_rows import Ticket, TicketEnd
from fimkit.evidence.weighing import Weighing
from fimkit.model.chain import Head
from fimkit.model.changes import Change, Note
from fimkit.model.coverage import Cause, Gap, Sense
from fimkit.model.errors import HostError
from fimkit.model.findings import Finding
from fimkit.model.paths import render_path
from fimkit.model.records import BadLine
from fimkit.model.states import FileState

__all__ = ["Store", "open_shared_store", "open_store"]

_ROWS_AT_ONCE = 1000
"""Of old evidence that goes before the store is measured again."""


class Store:
    """An open store; a context manager. Each writing method is a transaction of its own, or part of the one that surrounds it.

    Raises:
        StoreError: From any method, if the file turns out to be damaged.
        HostError: From any method, if the host refuses (a full disk, a lock).
    """

    def __init__(self, connection: sqlite3.Connection, path: bytes, *, writes: bool = True) -> None:
        """Take an open connection; :func:`open_store` makes one. What writes links all that it stores into the evidence chain."""
        self._connection = connection
        self._before_commit = chain_rows.link_touched if writes else None
        self._known_schema: int | None = None
        self._weighing = Weighing()
        self._file = _file_of(path)
        if writes:
            with read_errors(path):
                chain_rows.watch_rows(connection)
                if schema_strangers.find_strangers(connection) or not chain_rows.has_chain(connection):
                    with write_transaction(connection):
                        chain_rows.begin_chain(connection)
                        self._take_out_strangers()
        self._errors = ExitStack()
        self.path = path

    def __enter__(self) -> Self:
        self._errors.enter_context(translated_errors(self.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        self._errors.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the file."""
        disconnect(self._connection, self.path)

    def wait_at_most(self, wait_s: float) -> None:
        """Set how long a write waits from now on for somebody else's to end."""
        with translated_errors(self.path):
            self._connection.execute(f"PRAGMA busy_timeout = {int(wait_s * 1000)}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is written inside one commit: after a crash or an error all of it is there, or nothing."""
        noted = nullcontext() if self._connection.in_transaction else noting_full(os.path.dirname(self.path))  # once
        with noted, translated_errors(self.path), write_transaction(self._connection, self._before_commit):
            self._check_place()
            self._take_out_strangers()
            yield

    def _check_place(self) -> None:
        """SQLite goes on with a file that was moved or removed: what is written to it then is found by nobody."""
        if _file_of(self.path) != self._file:
            words = "is not the file any more that was opened: it was moved, removed or replaced meanwhile"
            raise HostError(f"the evidence store {render_path(self.path)} {words}; nothing is written to it")

    def _take_out_strangers(self) -> None:
        """Before anything is written, see that nothing runs with it that somebody put into the file; links what there was."""
        version = self._connection.execute("PRAGMA schema_version").fetchone()[0]
        if version == self._known_schema:
            return
        strangers = schema_strangers.find_strangers(self._connection)
        for stranger in strangers:
            schema_strangers.drop_stranger(self._connection, stranger)
            chain_rows.add_stranger(self._connection, stranger.words)
        self._known_schema = None if strangers else version  # where this is rolled back, they are there again

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the store in all that is read inside, whatever others write meanwhile."""
        with translated_errors(self.path):
            if self._connection.in_transaction:  # opened to look into it: all is of one moment already
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def version(self) -> int:
        """Give a number that is another one whenever others have written since."""
        with read_errors(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @property
    def writes(self) -> int:
        """How many rows this one has written since it was opened: another number when it has written since."""
        return self._connection.total_changes

    def verify(self) -> list[str]:
        """Read the whole file and say what is damaged; nothing if all is well."""
        try:
            rows = self._connection.execute("PRAGMA integrity_check(20)").fetchall()
            broken = self._connection.execute("PRAGMA foreign_key_check").fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            return [str(error)]
        return [text for (text,) in rows if text != "ok"] + [f"{table}: row {row} refers to nothing" for table, row, *_ in broken]

    # The baseline.

    def write_baseline(self, states: Iterable[FileState], *, who: str, why: str, time_ns: int, notes: Sequence[str] = ()) -> int:
        """Take a scan as the baseline, in place of the old one, whose differing rows go to the history.

        The open differences from the old baseline are accepted by that. All is one transaction, open while ``states`` is read: a
        scan that fails leaves the old baseline.

        Args:
            states: Every path once, stored as they come.
            who: Who says that this is good.
            why: The reason.
            time_ns: When.
            notes: Problems without a row; read after ``states``, so that a scan may fill it on its way.

        Returns:
            The number of rows.
        """
        with self.transaction():
            acceptance, count = baseline_rows.replace_baseline(
                self._connection, states, who=who, why=why, time_ns=time_ns, notes=notes
            )
            lasting = [finding.id for finding in self.findings() if finding.kind not in PASSING]
            findings_rows.close_accepted(self._connection, lasting, acceptance=acceptance, time_ns=time_ns)
        return count

    def baseline(self, *, at_ns: int | None = None) -> dict[bytes, FileState]:
        """Load the baseline, of now or as it stood at a time, sorted by path.

        Raises:
            UsageError: If there was none at that time.
            StoreError: If its old states were dropped.
        """
        with read_errors(self.path):
            if at_ns is None:
                return baseline_rows.load_baseline(self._connection)
            return baseline_rows.load_baseline_at(self._connection, at_ns)

    def baseline_below(self, path: bytes) -> dict[bytes, FileState]:
        """Load the rows at and below a path, sorted by path."""
        with read_errors(self.path):
            return baseline_rows.load_below(self._connection, path)

    def baseline_row(self, path: bytes) -> FileState | None:
        """Load one path's row."""
        with read_errors(self.path):
            return baseline_rows.load_row(self._connection, path)

    def baseline_meta(self) -> BaselineMeta | None:
        """Tell who made the baseline, when, why, and how big it is; nothing where there is none."""
        with read_errors(self.path):
            return baseline_rows.load_meta(self._connection)

    def accept(
        self, pairs: Sequence[tuple[bytes, FileState | None]], *, who: str, why: str, time_ns: int, finding_ids: Iterable[str] = ()
    ) -> int:
        """Take states into the baseline, keep the old ones in the history, and close findings, in one transaction.

        Args:
            pairs: Path and state; ``None`` says that the path is to be absent.
            who: Who says that this is good.
            why: The reason.
            time_ns: When.
            finding_ids: The findings that this settles.

        Returns:
            The acceptance's id.

        Raises:
            StoreError: If there is no baseline yet.
        """
        with self.transaction():
            acceptance = baseline_rows.accept_states(self._connection, pairs, who=who, why=why, time_ns=time_ns)
            findings_rows.close_accepted(self._connection, finding_ids, acceptance=acceptance, time_ns=time_ns)
        return acceptance

    def acceptances(self) -> list[Acceptance]:
        """Load who took what as good, the oldest first."""
        with read_errors(self.path):
            return history_rows.load_acceptances(self._connection)

    def history(self, path: bytes | None = None) -> Iterator[HistoryRow]:
        """Load what acceptances made of one path, or of all, the oldest first."""
        with read_errors(self.path):
            yield from history_rows.load_history(self._connection, path)

    # The seal of the baseline.

    def add_seal(self, number: int, *, time_ns: int, key: str, body: str) -> None:
        """Store a seal: its number, when, the key's fingerprint, and its file's text.

        Raises:
            SealError: If the number is not above every earlier one.
        """
        with self.transaction():
            seal_rows.add_seal(self._connection, number, time_ns=time_ns, key=key, body=body)

    def seals(self) -> list[tuple[int, str]]:
        """Load number and text of every seal, the oldest first."""
        with read_errors(self.path):
            return seal_rows.load_seals(self._connection)

    def baseline_lines(self) -> Iterator[list[bytes]]:
        """Read the baseline's canonical lines in path order, some at a time."""
        with read_errors(self.path):
            yield from seal_rows.load_lines(self._connection)

    def passed_lines(self, acceptance: int) -> Iterator[tuple[int, int, bytes]]:
        """Read what the acceptances after one made of the rows: acceptance, side and canonical line, by path, then in time."""
        with read_errors(self.path):
            yield from seal_rows.load_passed_lines(self._connection, acceptance)

    def dropped_since(self, acceptance: int) -> list[int]:
        """List the acceptances after one whose old states were dropped, at least in part."""
        with read_errors(self.path):
            return seal_rows.load_dropped_since(self._connection, acceptance)

    def acceptances_digest(self, last: int) -> str:
        """Hash who took what as good, up to one acceptance."""
        with read_errors(self.path):
            return seal_rows.digest_acceptances(self._connection, last)

    # What packages are believed by.

    def set_pins(self, pins: PinsRow) -> None:
        """Store what packages are believed by from now on."""
        with self.transaction():
            pin_rows.save_pins(self._connection, pins)

    def pins(self) -> PinsRow | None:
        """Load what packages are believed by; nothing in a store from before, or of a host without packages."""
        with read_errors(self.path):
            return pin_rows.load_pins(self._connection)

    def are_pins_whole(self) -> bool:
        """Tell whether they are as they were stored last, by the chain."""
        with read_errors(self.path):
            return chain_rows.is_as_linked(self._connection, "pins", 1)

    # What was announced.

    def add_ticket(self, ticket: Ticket) -> int:
        """Store an announced change, and give its number."""
        with self.transaction():
            return ticket_rows.add_ticket(self._connection, ticket)

    def cancel_ticket(self, number: int, *, who: str, time_ns: int) -> bool:
        """End an announced change before its time, and tell whether there was one that could be."""
        with self.transaction():
            return ticket_rows.cancel_ticket(self._connection, number, who=who, time_ns=time_ns)

    def tickets(self) -> list[Ticket]:
        """Load every announced change, the oldest first."""
        with read_errors(self.path):
            return ticket_rows.load_tickets(self._connection)

    def end_tickets(self, ends: Iterable[TicketEnd]) -> None:
        """Store what came of announced changes, each once however often it is given."""
        with self.transaction():
            ticket_rows.add_ends(self._connection, ends)

    def ticket_ends(self) -> list[TicketEnd]:
        """Load what came of announced changes, in the order of time."""
        with read_errors(self.path):
            return ticket_rows.load_ends(self._connection)

    # What the sources said.

    def add_changes(self, changes: Iterable[Change]) -> int:
        """Store changes, each once however often it is given, and tell how many were new."""
        with self.transaction():
            return changes_rows.add_changes(self._connection, changes)

    def changes(self, since_ns: int | None = None) -> Iterator[Change]:
        """Load changes from a time on, in the order of time, serial and item."""
        with read_errors(self.path):
            yield from changes_rows.load_changes(self._connection, since_ns)

    def change_columns(self, since_ns: int) -> Iterator[ChangeColumns]:
        """Load the same as columns, some thousands of changes at a time."""
        with read_errors(self.path):
            yield from past_change_columns(self._connection, Span(since_ns=since_ns))

    def changes_about(self, paths: Iterable[bytes], inodes: Iterable[int], *, since_ns: int) -> list[Change]:
        """Load the changes from a time on of some paths by their text, and of some files by their inodes' numbers."""
        with read_errors(self.path):
            return changes_rows.load_changes_about(self._connection, paths, inodes, since_ns)

    def changes_weighing(self, paths: Collection[bytes], inodes: Collection[int], *, since_ns: int, ends: int) -> list[Change]:
        """Load what of these can decide; see :meth:`fimkit.evidence.weighing.Weighing.load`."""
        with read_errors(self.path), self.reading():  # others drop old ones meanwhile
            return self._weighing.load(self._connection, paths, inodes, since_ns, ends=ends)

    def changes_by(self, uid: int | None, *, since_ns: int, until_ns: int, most: int = 10_000) -> list[Change]:
        """Load what processes of one user did between two times, at most so many, in the order of time."""
        with read_errors(self.path):
            return list(
                changes_rows.load_changes_by(self._connection, uid, since_ns=since_ns, until_ns=until_ns, most=most)
            )

    def count_changes_by_folder(self, since_ns: int) -> dict[bytes, int]:
        """Count the changes from a time on by the folder that their path lies in."""
        with read_errors(self.path):
            return changes_rows.count_by_folder(self._connection, since_ns)

    def add_notes(self, notes: Iterable[Note]) -> None:
        """Store notes, each once however often it is given."""
        with self.transaction():
            log_rows.add_notes(self._connection, notes)

    def notes(self, since_ns: int | None = None) -> Iterator[Note]:
        """Load notes from a time on, in the order of time."""
        with read_errors(self.path):
            yield from log_rows.load_notes(self._connection, since_ns)

    def cursor(self, source: str, file: bytes) -> dict[str, Any] | None:
        """Load where the reading of a log stopped, as :meth:`set_cursor` was given it."""
        with read_errors(self.path):
            return log_rows.load_cursor(self._connection, source, file)

    def set_cursor(self, source: str, file: bytes, cursor: Mapping[str, Any]) -> None:
        """Save where the reading of a log stopped; anything that JSON can hold."""
        with self.transaction():
            log_rows.save_cursor(self._connection, source, file, cursor)

    def add_bad_lines(self, bad: Iterable[BadLine], *, time_ns: int, uncounted: Mapping[str, int] | None = None) -> None:
        """Store lines that could not be read: all count, the first of a file keep their text.

        Args:
            bad: The lines.
            time_ns: When they were met.
            uncounted: By file, how many more there were than are in ``bad``.
        """
        with self.transaction():
            log_rows.add_bad_lines(self._connection, bad, time_ns=time_ns, uncounted=uncounted or {})

    def bad_line_counts(self) -> dict[str, int]:
        """Count the bad lines ever met, by file."""
        with read_errors(self.path):
            return log_rows.count_bad_lines(self._connection)

    def bad_lines(self) -> Iterator[BadLine]:
        """Load the bad lines that are kept with their text."""
        with read_errors(self.path):
            yield from log_rows.load_bad_lines(self._connection)

    # What they could not see.

    def add_gaps(self, gaps: Iterable[Gap]) -> None:
        """Store gaps that are over; one that is given again is the same."""
        with self.transaction():
            coverage_rows.add_gaps(self._connection, gaps)

    def settle_gaps(self, gaps: Iterable[Gap], *, judged: Collection[tuple[Sense, Cause]], now_ns: int) -> None:
        """Open what lasts now, and close what was open of the kinds that were judged and lasts no more."""
        with self.transaction():
            coverage_rows.settle_gaps(self._connection, gaps, judged=judged, now_ns=now_ns)

    def gaps(self, since_ns: int | None = None) -> list[Gap]:
        """Load the gaps that lasted into a time, or all; empty for a store from before the ledger."""
        with read_errors(self.path):
            if not coverage_rows.has_ledger(self._connection):
                return []
            return coverage_rows.load_gaps(self._connection, since_ns=since_ns)

    # What fimkit itself plants.

    def add_canaries(self, canaries: Iterable[Canary]) -> None:
        """Store the names of canaries, before there is a file of them."""
        with self.transaction():
            canary_rows.add_canaries(self._connection, canaries)

    def close_canaries(self, gone: Iterable[tuple[bytes, str, int]]) -> None:
        """Note that names are gone: path, token and time. What is found there later is not the canary."""
        with self.transaction():
            canary_rows.close_canaries(self._connection, gone)

    def canaries(self) -> list[Canary]:
        """Load every canary that is remembered, by path, token and time."""
        with read_errors(self.path):
            return canary_rows.load_canaries(self._connection)

    # The findings.

    def put_findings(
        self,
        findings: Sequence[Finding],
        *,
        now_ns: int,
        unseen: Collection[bytes] = (),
        known: Collection[str] | None = None,
    ) -> Stored:
        """Store all findings of a whole look, and close the differences that it did not find any more.

        Args:
            findings: All of them.
            now_ns: When the look was taken.
            unseen: Paths at and below which it could not look: what is open there stays open.
            known: The ids that were open when it began: what a watch beside it found since stays open.
        """
        with self.transaction(), read_errors(self.path):
            stored = self.add_findings(findings, now_ns=now_ns)
            listed = {finding.id for finding in findings}
            gone = findings_rows.close_absent(self._connection, listed, now_ns=now_ns, unseen=unseen, known=known)
            others = findings_rows.load_open_others(self._connection, listed)
        still_open = sorted((*stored.known, *others), key=lambda finding: (-finding.severity.rank, finding.path, finding.id))
        return replace(stored, gone=gone, still_open=tuple(still_open))

    def add_findings(self, findings: Sequence[Finding], *, now_ns: int) -> Stored:
        """Store findings that are not all there are (a live look): nothing is gone by not being among them."""
        with self.transaction(), read_errors(self.path):
            return findings_rows.merge_findings(self._connection, findings, now_ns)

    def close_undone(self, paths: Iterable[bytes], findings: Iterable[Finding], *, now_ns: int) -> tuple[Finding, ...]:
        """Close the open differences of some paths that a look at these alone did not find again, and give them."""
        with self.transaction(), read_errors(self.path):
            return findings_rows.close_undone(self._connection, paths, {finding.id for finding in findings}, now_ns=now_ns)

    def findings(self, status: FindingStatus | str | None = FindingStatus.OPEN) -> list[Finding]:
        """Load the findings of one status (``None``: all), the most severe first, then by path."""
        return [row.finding for row in self.finding_rows(status)]

    def finding_rows(self, status: FindingStatus | str | None = FindingStatus.OPEN) -> list[FindingRow]:
        """Load the same, each with its life."""
        with read_errors(self.path):
            return list(findings_rows.load_findings(self._connection, None if status is None else FindingStatus(status)))

    def untold(self) -> set[str]:
        """Load the ids of open findings that nobody was shown yet: those of a check that was killed before it printed, too."""
        with read_errors(self.path):
            return findings_rows.load_untold(self._connection)

    def untold_of(self, finding_ids: Iterable[str]) -> set[str]:
        """Load which of some findings are open and were not shown yet."""
        with read_errors(self.path):
            return findings_rows.load_untold_of(self._connection, finding_ids)

    def stored_of(self, finding_ids: Iterable[str]) -> set[str]:
        """Tell which of some findings are stored, whatever became of them."""
        with read_errors(self.path):
            return findings_rows.load_stored_of(self._connection, finding_ids)

    def is_open(self, finding_id: str) -> bool:
        """Tell whether a finding is open."""
        with read_errors(self.path):
            return findings_rows.is_open(self._connection, finding_id)

    def evidence_of(self, name: bytes, *, after_row: int = 0) -> tuple[set[str], int]:
        """Load the events that differences of a name ever stood on, and up to which row of the findings these are all.

        Args:
            name: A path, or what something was moved to.
            after_row: Up to this row they are known: only later ones are read.
        """
        with read_errors(self.path):
            return findings_rows.load_evidence(self._connection, name, after_row)

    def last_seen(self, name: bytes) -> int | None:
        """Load when a difference was last seen that left something at a name."""
        with read_errors(self.path):
            return findings_rows.load_last_seen(self._connection, name)

    def accepted_tries(self) -> list[tuple[bytes, int]]:
        """Load the path of everything that happened once and was accepted, and when it had been seen last."""
        with read_errors(self.path):
            return list(findings_rows.load_accepted_tries(self._connection))

    def open_ids(self) -> dict[str, bytes]:
        """Load the path of every open difference, by its id."""
        with read_errors(self.path):
            return findings_rows.load_open_ids(self._connection)

    def count_open(self) -> int:
        """Count the open findings, those that left no difference among them."""
        with read_errors(self.path):
            return findings_rows.count_open(self._connection)

    def tell(self, finding_ids: Iterable[str], *, time_ns: int) -> None:
        """Note that findings were shown."""
        with self.transaction():
            findings_rows.mark_told(self._connection, finding_ids, time_ns=time_ns)

    def finding(self, id_prefix: str) -> FindingRow | None:
        """Find the one finding whose id begins so: the open one, else the last that was closed.

        Raises:
            UsageError: If several ids begin so.
        """
        with read_errors(self.path):
            return findings_rows.find_by_prefix(self._connection, id_prefix)

    # The panics.

    def add_incident(self, row: IncidentRow) -> None:
        """Store an incident, in place of what was known of it before."""
        with self.transaction():
            incident_rows.save_incident(self._connection, row)

    def incidents(self) -> list[IncidentRow]:
        """Load every incident of this host, in the order of time."""
        with read_errors(self.path):
            return incident_rows.load_incidents(self._connection)

    # The chain.

    def head(self) -> Head | None:
        """Give the last link of the evidence chain: kept elsewhere, it shows whether what was stored by now is there still."""
        with read_errors(self.path):
            return chain_rows.last_head(self._connection) if chain_rows.has_chain(self._connection) else None

    def verify_chain(self, *, after: Head | None = None, heads: Sequence[Head] = ()) -> ChainVerdict:
        """Hold the store against its chain; see :func:`fimkit.evidence.chain_verify.verify_chain`."""
        with self.reading(), read_errors(self.path):
            return chain_verify.verify_chain(self._connection, after=after, heads=heads)

    # The limits.

    def used_bytes(self) -> int:
        """Measure what the rows take, free pages aside; quick, however many there are."""
        with read_errors(self.path):
            return retention.used_bytes(self._connection)

    def apply_limits(self, *, keep_days: int, max_mb: int, now_ns: int) -> list[str]:
        """Drop what is too old, then what is too much, and give the disk space back.

        Returns:
            Words for all that was dropped, one line a kind; nothing if nothing was.
        """
        gone = Gone(keep_days=keep_days, max_mb=max_mb, now_ns=now_ns)
        with self.transaction():
            for _ in retention.drop(self._connection, gone, rows=_ROWS_AT_ONCE):
                pass
        words = gone.words()
        if words and not self._connection.in_transaction:
            with translated_errors(self.path):
                retention.shrink_file(self._connection)
        return words

    def limiting(self, *, keep_days: int, max_mb: int, now_ns: int, rows: int) -> Limiting:
        """Begin to do the same in parts of about so many rows, each a commit of its own that takes a moment."""
        gone = Gone(keep_days=keep_days, max_mb=max_mb, now_ns=now_ns)
        parts = retention.drop(self._connection, gone, rows=rows)
        return Limiting(gone, parts, self.transaction, functools.partial(self._give_back, rows))

    def _give_back(self, pages: int) -> bool:
        with translated_errors(self.path):
            return retention.give_back(self._connection, pages)


def _file_of(path: bytes) -> tuple[int, int] | None:
    try:
        seen = os.lstat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def open_store(state_dir: bytes, *, create: bool = False) -> Store:
    """Open the evidence store of a state folder.

    Args:
        state_dir: The folder; its file is ``fimkit.sqlite``.
        create: Make folder (0700) and file (0600; 0640 in a folder that its group may enter) where they are missing.

    Raises:
        StoreError: If there is none (and ``create`` is not said), or it is damaged, or of a later version.
        HostError: If folder or file is a symbolic link, another user's, or can be written by others, or cannot be opened.
    """
    with noting_full(state_dir), read_errors(store_path(state_dir)):
        connection = connect(state_dir, create=create)
    try:
        return Store(connection, store_path(state_dir))
    except BaseException:
        connection.close()
        raise


def open_shared_store(state_dir: bytes) -> Store:
    """Open the evidence store of a state folder to look into it: as its owner, or as a member of the group that it is shared with.

    Only what reads can be asked of another user's store, and all of it is of one moment; what writes ends as HostError.

    Raises:
        StoreError: If there is none, or it is damaged, or of another version.
        HostError: If folder or file is a symbolic link, neither this user's nor root's, or can be written by others, or may not be
            read.
    """
    try:
        is_own = os.lstat(state_dir).st_uid == os.geteuid()
    except OSError:
        is_own = True  # opening says what is the matter
    return open_store(state_dir) if is_own else Store(connect_reading(state_dir), store_path(state_dir), writes=False)
