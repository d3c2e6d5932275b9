"""Hands findings to other systems: once, whole, or each finding as it comes, every one once."""

import contextlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fimkit.evidence.reader import open_reader
from fimkit.model.config import Config
from fimkit.model.errors import UsageError
from fimkit.report.export_formats import Format, render_heading, render_line
from fimkit.report.export_rows import ExportRow
from fimkit.report.selection import Selection
from fimkit.verbs.export_cursor import load_cursor
from fimkit.verbs.export_diffs import add_diffs
from fimkit.verbs.export_feed import Feed
from fimkit.verbs.export_outlet import FileOutlet, Outlet, StreamOutlet
from fimkit.verbs.findings import read_findings
from fimkit.verbs.whole_files import open_beside

__all__ = ["ExportOptions", "feed_findings", "stream_export", "write_export", "write_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is exported: as what, which findings, and, where it goes on, the file that keeps the place."""

    format: Format
    selection: Selection = field(default_factory=Selection)
    since_ns: int | None = None
    only_open: bool = True
    cursor: Path | None = None


def stream_export(config: Config, options: ExportOptions, stream: IO[bytes]) -> int:
    """Write the findings of the store to a stream, in the order in which they were stored.

    Returns:
        How many there were.

    Raises:
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read, or Parquet is wanted and its library is not here.
    """
    with open_reader(config.host.state_dir) as reader:
        rows = read_findings(reader, options.selection, since_ns=options.since_ns, only_open=options.only_open)
        if options.format is Format.OCSF:  # the only one with a place for a diff
            rows = add_diffs(config.host.state_dir, rows)
        return write_rows(options.format, rows, stream)


def write_export(config: Config, options: ExportOptions, output: Path) -> int:
    """Write the findings of the store to a file, whole or not at all.

    Returns:
        How many there were.

    Raises:
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read, the file not be written, or Parquet is wanted and its library is not here.
    """
    with open_beside(output) as stream:
        return stream_export(config, options, stream)


def write_rows(format: Format, rows: Iterable[ExportRow], stream: IO[bytes]) -> int:
    """Write findings in any format; a stream need not be one that knows its place.

    Returns:
        How many there were.
    """
    if format is Format.PARQUET:
        from fimkit.report.export_parquet import write_parquet  # an extra

        whole = io.BytesIO()
        count = write_parquet(rows, whole)
        stream.write(whole.getbuffer())
        return count
    heading, count = render_heading(format), 0
    if heading is not None:
        stream.write(heading.encode() + b"\n")
    for count, row in enumerate(rows, 1):  # noqa: B007
        stream.write(render_line(format, row).encode() + b"\n")
    return count


def feed_findings(
    config: Config,
    options: ExportOptions,
    output: Path | None,
    *,
    stream: IO[bytes],
    say: Callable[[str], None],
    wait: Callable[[float], bool] | None = None,
) -> int:
    """Give each finding once, from where the cursor stands, in the order in which they were stored; also those closed meanwhile.

    After some lines the place is saved. What was written to a file before a crash, and not noted, is read back from its end; on a
    stream such lines come once more.

    Args:
        config: The host.
        options: What; the cursor keeps the place.
        output: A file that is appended to, and opened anew when it was rotated; without one, the stream.
        stream: Where lines go without a file.
        say: Told in words what is worth knowing.
        wait: Called between looks with the seconds to wait, and says whether to go on; without it there is one look.

    Returns:
        How many were given.

    Raises:
        UsageError: If the format has no lines, or the cursor's file is none.
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read, or the file not be written.
    """
    if options.format is Format.PARQUET:
        raise UsageError("a Parquet file cannot be appended to; expected another format")
    cursor = load_cursor(options.cursor)
    with contextlib.ExitStack() as stack:
        outlet: Outlet = StreamOutlet(stream) if output is None else stack.enter_context(FileOutlet(output))
        feed = Feed(config, options.format, options.selection, since_ns=options.since_ns, cursor=cursor, outlet=outlet, say=say)
        feed.begin(options.cursor)
        given = feed.look(settle=wait is not None)
        while wait is not None and wait(feed.pause_s):
            given += feed.look(settle=True)
    return given
