"""The findings that the store keeps, with what became of each: for those who look through them, and for exports."""

from collections.abc import Iterator, Mapping

from fimkit.evidence.finding_life import FindingRow
from fimkit.evidence.history_rows import Acceptance
from fimkit.evidence.past_rows import Span
from fimkit.evidence.reader import Reader, open_reader
from fimkit.model.chain import Head, render_head
from fimkit.model.config import Config
from fimkit.report.export_rows import ExportRow
from fimkit.report.selection import Selection

__all__ = ["find_findings", "join_life", "read_findings"]


def join_life(
    row: FindingRow, acceptances: Mapping[int, Acceptance], replaced: Mapping[str, tuple[str, ...]], *, head: Head | None = None
) -> ExportRow:
    """Join a finding with who accepted it, which earlier ones it took the place of, and the evidence chain's head."""
    acceptance = None if row.acceptance is None else acceptances.get(row.acceptance)
    return ExportRow(
        finding=row.finding,
        status=row.status.value,
        closed_ns=row.closed_ns,
        accepted_by=None if acceptance is None else acceptance.who,
        accept_reason=None if acceptance is None else acceptance.why,
        superseded_by=row.superseded_by,
        replaces=replaced.get(row.finding.id, ()),
        head=None if head is None else render_head(head),
    )


def read_findings(reader: Reader, selection: Selection, *, since_ns: int | None, only_open: bool) -> Iterator[ExportRow]:
    """Read the findings that are meant, in the order in which they were stored.

    Args:
        reader: The store.
        selection: Which.
        since_ns: Leaves out what was last seen before.
        only_open: Leaves out what was accepted, undone or superseded.
    """
    acceptances, replaced, head = reader.acceptances(), reader.replaced(None), reader.head()
    for row in reader.findings(Span(since_ns=since_ns), only_open=only_open):
        if selection.takes(row.finding):
            yield join_life(row, acceptances, replaced, head=head)


def find_findings(config: Config, selection: Selection, *, since_ns: int | None, only_open: bool) -> list[ExportRow]:
    """Load the findings that are meant, the most severe first, then the latest.

    Raises:
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read.
    """
    with open_reader(config.host.state_dir) as reader:
        rows = list(read_findings(reader, selection, since_ns=since_ns, only_open=only_open))
    return sorted(rows, key=lambda row: (-row.finding.severity.rank, -row.finding.last_seen_ns, row.finding.path, row.finding.id))
