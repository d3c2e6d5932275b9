"""Correlates a host's changes however many there are: what can matter is selected first, and correlated as always. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from fimkit.correlate.correlate import Around, baseline_time, correlate
from fimkit.correlate.judge import DataFolders
from fimkit.correlate.ledger import ChangeLedger
from fimkit.model.changes import Change, Note, StateDiff
from fimkit.model.collector import without_collector
from fimkit.model.findings import Finding
from fimkit.model.state_index import IndexedStates
from fimkit.model.states import FileState
from fimkit.model.watches import WatchSet

__all__ = ["MANY_CHANGES", "Correlated", "correlate_ledger"]

MANY_CHANGES = 500
"""From here on selecting surely takes less time than it saves (seen from some 400 on, however much differs)."""


class Correlated(list[Finding]):
    """The findings, and the changes that they were looked for in."""

    __slots__ = ("changes",)

    def __init__(self, findings: Iterable[Finding], changes: Sequence[Change]) -> None:
        """Take both."""
        super().__init__(findings)
        self.changes = changes


class _FoldersWhenAsked(DataFolders):
    """The same answers; most hosts never ask, and counting goes through every file of the baseline."""

    def __init__(self, before: Mapping[bytes, FileState]) -> None:
        self._before = before
        self._counted: DataFolders | None = None

    def __contains__(self, folder: bytes) -> bool:
        if self._counted is None:
            self._counted = DataFolders(self._before)
        return folder in self._counted


def correlate_ledger(
    *,
    host: str,
    watches: WatchSet,
    before: Mapping[bytes, FileState],
    after: Mapping[bytes, FileState],
    diffs: Sequence[StateDiff],
    changes: ChangeLedger,
    notes: Iterable[Note] = (),
    since_ns: int | None = None,
    accepted_ns: Mapping[bytes, int] | None = None,
    seen_ns: int,
    many: int = MANY_CHANGES,
) -> Correlated:
    """Judge what happened between two snapshots; the findings are those of :func:`fimkit.correlate.correlate.correlate`.

    Args:
        host: As there, like what is not named here.
        watches: What is watched.
        before: The accepted baseline by path.
        after: The rescan by path.
        diffs: The differences between the two.
        changes: What the sources say, any order.
        notes: What the sources say of themselves.
        since_ns: When the baseline was taken.
        accepted_ns: When a path was last accepted.
        seen_ns: When the rescan was taken.
        many: From how many changes on only those are taken that can matter; of states that are kept elsewhere always.
    """
    with without_collector():
        since = baseline_time(before) if since_ns is None else since_ns
        elsewhere = isinstance(before, IndexedStates) or isinstance(after, IndexedStates)
        around, taken = None, list(changes) if len(changes) < many and not elsewhere else None
        if taken is None:
            from fimkit.correlate.selection import select_changes

            selection = select_changes(
                changes,
                before=before,
                after=after,
                diffs=diffs,
                since_ns=since,
                watched=lambda path: watches.watch_of(path, is_folder=False) is not None,
            )
            around = Around(data_folders=_FoldersWhenAsked(before), span=selection.span)
            taken, before, after = selection.changes, selection.before, selection.after
        findings = correlate(
            host=host,
            watches=watches,
            before=before,
            after=after,
            diffs=diffs,
            changes=taken,
            notes=notes,
            since_ns=since,
            accepted_ns=accepted_ns,
            seen_ns=seen_ns,
            around=around,
        )
        return Correlated(findings, taken)
