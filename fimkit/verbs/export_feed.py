"""Findings in the order in which they were stored, each once, also through restarts."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fimkit.evidence.reader import Reader, open_reader
from fimkit.evidence.stored_order import OrderedFinding
from fimkit.model.config import Config
from fimkit.report.export_formats import Format, line_id, render_heading, render_line
from fimkit.report.export_rows import ExportRow
from fimkit.report.selection import Selection
from fimkit.verbs.export_cursor import Cursor, save_cursor
from fimkit.verbs.export_diffs import add_diffs
from fimkit.verbs.export_outlet import FileOutlet, Outlet
from fimkit.verbs.findings import join_life

__all__ = ["Feed"]

_BATCH = 500
_PAUSE_S = 1.0
_SETTLE_S = 5.0  # a live watch may learn more of a finding that it has just stored: late bytes, late records


class Feed:
    """Hands findings to an outlet, and keeps the place."""

    def __init__(
        self,
        config: Config,
        format: Format,
        selection: Selection,
        *,
        since_ns: int | None,
        cursor: Cursor,
        outlet: Outlet,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what :func:`fimkit.verbs.export.feed_findings` has."""
        self.pause_s = _PAUSE_S
        self._config, self._format, self._selection, self._since_ns = config, format, selection, since_ns
        self._cursor, self._outlet, self._say, self._clock = cursor, outlet, say, clock
        self._file: Path | None = None
        self._met: dict[int, float] = {}

    def begin(self, file: Path | None) -> None:
        """Make sure that the cursor is of this store, and go by what was written after it was saved.

        Args:
            file: Where the cursor is kept; without one the place is lost with this process.
        """
        self._file = file
        with open_reader(self._config.host.state_dir) as reader:
            here = reader.id_at(self._cursor.place) if self._cursor.place else None
            if self._cursor.place > reader.last_place() or (here is not None and here != self._cursor.id):
                self._say("the cursor is of another store: this one's findings are handed out from the first")
                self._cursor = Cursor(inode=self._cursor.inode, offset=self._cursor.offset)
                self._move(self._cursor.place, None)
                return
            if file is not None:
                self._catch_up(reader)

    def _catch_up(self, reader: Reader) -> None:
        """Go by the lines that a process before this one wrote, and did not live to note."""
        pending, at = reader.ids_after(self._cursor.place), 0
        reached = self._cursor.place, self._cursor.id
        for line in self._outlet.written_since(self._cursor.inode, self._cursor.offset):
            wanted = line_id(self._format, line)
            further = next((number for number in range(at, len(pending)) if pending[number][1] == wanted), None)
            if further is not None:
                at, reached = further + 1, pending[further]
        if reached[0] != self._cursor.place:
            self._move(*reached)

    def look(self, *, settle: bool) -> int:
        """Hand out what is there and was not.

        Args:
            settle: Leave what nobody was shown yet for some seconds: a live watch may just be learning more of it.

        Returns:
            How many were handed out.
        """
        if isinstance(self._outlet, FileOutlet):
            self._outlet.reopen()
        given = 0
        with open_reader(self._config.host.state_dir) as reader:
            acceptances, head = reader.acceptances(), reader.head()
            while rows := self._settled(reader.findings_after(self._cursor.place, most=_BATCH), settle=settle):
                replaced = reader.replaced([one.row.finding.id for one in rows])
                joined: Iterable[ExportRow] = (
                    join_life(one.row, acceptances, replaced, head=head) for one in rows if self._takes(one)
                )
                if self._format is Format.OCSF:
                    joined = add_diffs(self._config.host.state_dir, joined)
                lines = [render_line(self._format, row) for row in joined]
                self._write(lines)
                self._move(rows[-1].place, rows[-1].row.finding.id)
                given += len(lines)
        return given

    def _settled(self, rows: Sequence[OrderedFinding], *, settle: bool) -> list[OrderedFinding]:
        """Give the first rows, up to one that is still to be waited for: the order stays."""
        now, ready = self._clock(), list[OrderedFinding]()
        for one in rows:
            met = self._met.setdefault(one.place, now)
            if settle and not one.was_told and now - met < _SETTLE_S:
                break
            ready.append(one)
        return ready

    def _takes(self, one: OrderedFinding) -> bool:
        finding = one.row.finding
        return self._selection.takes(finding) and (self._since_ns is None or finding.last_seen_ns >= self._since_ns)

    def _write(self, lines: Sequence[str]) -> None:
        heading = render_heading(self._format)
        if heading is not None and self._outlet.is_new:
            lines = [heading, *lines]
        if lines:
            self._outlet.write(lines)

    def _move(self, place: int, number: str | None) -> None:
        inode, offset = self._outlet.place()
        self._cursor = Cursor(place=place, id=number, inode=inode, offset=offset)
        self._met = {at: met for at, met in self._met.items() if at > place}
        if self._file is not None:
            save_cursor(self._file, self._cursor)
