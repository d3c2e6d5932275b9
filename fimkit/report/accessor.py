"""``frame.fim``: an analyst's questions, as methods of any frame that fimkit gave; only ``report`` writes anything."""

import os
import time
from pathlib import Path

import pandas as pd

from fimkit.model.errors import UsageError
from fimkit.report import questions
from fimkit.report.acts import need
from fimkit.report.frame_schema import FINDINGS, SCHEMAS
from fimkit.report.frames import Frame, findings_of
from fimkit.report.lives import closed_words, latest_lives
from fimkit.report.process_tree import tree_of

__all__ = ["FimAccessor"]

_FRAME_ONLY = (
    "Made of a frame of findings, which says neither what was watched nor when nobody looked: `fimkit report` on the host does."
)


@pd.api.extensions.register_dataframe_accessor("fim")
class FimAccessor:
    """What can be asked of FINDINGS, CHANGES and EVENTS frames; every answer is a frame again, and can be asked itself.

    Raises:
        UsageError: From any method, if the frame lacks a column that the question needs, or an argument makes no sense.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        """Take the frame; pandas does it."""
        self._frame = frame

    def columns(self) -> Frame:
        """Tell what the columns are: name, dtype and meaning, of the whole schema."""
        schema = SCHEMAS.get(str(self._frame.attrs.get("schema")))
        if schema is None:
            raise UsageError(f"the frame is none of {', '.join(SCHEMAS)}; its columns speak for themselves")
        return Frame([{"column": field.name, "dtype": field.dtype, "meaning": field.words} for field in schema.fields])

    def timeline(self, every: str | None = None) -> Frame:
        """Put what happened in order, one row an act of a process.

        Args:
            every: Count instead, in steps of this length (``1min``, ``1h``, or ``auto``), by severity; a notebook draws it.
        """
        return questions.timeline_of(self._frame) if every is None else questions.count_by_time(self._frame, every)

    def top(self, column: str, by: str = "severity", n: int = 10) -> Frame:
        """Rank a column's values, by default by severity: one critical finding weighs more than any number of lesser ones."""
        return questions.top_of(self._frame, column, by=by, n=n)

    def who(self, path: str) -> Frame:
        """Name the processes that had to do with a path, with what lies below it, or with what a pattern matches."""
        return questions.who_of(self._frame, path)

    def history(self, path: str) -> Frame:
        """Tell a path's life, through renames (findings) and under all names of the same inode (changes)."""
        return questions.history_of(self._frame, path)

    def session(
        self, *, auid: int | None = None, ses: int | None = None, user: str | None = None, host: str | None = None
    ) -> Frame:
        """Give all that one login did, in order; ``auid`` stays the same through ``su`` and ``sudo``."""
        return questions.session_of(self._frame, auid=auid, ses=ses, user=user, host=host)

    def process_tree(self, pid: int, host: str | None = None) -> Frame:
        """Show a process with its ancestors and all that it started."""
        return tree_of(self._frame, pid, host)

    def prevalence(self, *columns: str, hosts: int | None = None) -> Frame:
        """Tell on how many hosts each value is, ``sha256`` by default; ``hosts`` is how many there are, if the frame lacks some."""
        return questions.prevalence_of(self._frame, columns or ("sha256",), hosts)

    def pivot(self, rows: str, columns: str = "severity") -> Frame:
        """Count rows by two columns."""
        return questions.table_of(self._frame, rows, columns)

    def report(self, file: str | os.PathLike[str], *, now_ns: int | None = None) -> Path:
        """Write the findings of this frame as the HTML report, one file that needs no network.

        What is closed counts as closed, and what could not be read (``attrs["problems"]``) is in it.

        Args:
            file: Its name; what was there is replaced.
            now_ns: When it is made; the clock's time by default.

        Returns:
            The file.
        """
        from fimkit.report.html import ReportData, write_report  # only who wants a page pays for it

        need(self._frame, *FINDINGS.names)
        frame = latest_lives(self._frame)
        hosts = sorted(frame["host"].unique())
        words = [str(word) for name in ("problems", "notes") for word in self._frame.attrs.get(name, ())]
        data = ReportData(
            host=hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts",
            made_ns=time.time_ns() if now_ns is None else now_ns,
            findings=tuple(findings_of(frame)),
            statuses=closed_words(frame),
            coverage=(*words, _FRAME_ONLY),
        )
        write_report(file, data)
        return Path(file)
