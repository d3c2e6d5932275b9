"""Joins the changes of three sources into findings: the one function that everything goes through. Pure.

Per host; findings never cross hosts. Each lasting difference of the rescan is explained by the recorded steps on the inode that is
there now (through temporary files and renames), then what left no difference is added: tries that were denied, files that came
and went. The result does not depend on the order of the input.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fimkit.correlate.draft import Draft
from fimkit.correlate.judge import DataFolders, judge
from fimkit.correlate.lasting import draft_lasting
from fimkit.correlate.passing import draft_attempted, draft_transient
from fimkit.correlate.reasons import RecordSpan, explain_gaps
from fimkit.correlate.timeline import Timeline
from fimkit.correlate.witnesses import add_witnesses
from fimkit.model.changes import Change, Note, Source, StateDiff
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet

__all__ = ["Around", "baseline_time", "correlate"]

_EMPTY_SHA256 = hashlib.sha256().hexdigest()  # a file between its opening and its first bytes: says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What cannot be told from a part: which folders of the baseline are data alone, and from when to when there are records."""

    data_folders: DataFolders
    span: RecordSpan


def correlate(
    *,
    host: str,
    watches: WatchSet,
    before: Mapping[bytes, FileState],
    after: Mapping[bytes, FileState],
    diffs: Sequence[StateDiff],
    changes: Iterable[Change],
    notes: Iterable[Note] = (),
    since_ns: int | None = None,
    accepted_ns: Mapping[bytes, int] | None = None,
    seen_ns: int,
    around: Around | None = None,
) -> list[Finding]:
    """Judge what happened between two snapshots.

    Args:
        host: The name that findings carry.
        watches: What the user asked to have observed; paths of no watch give no finding.
        before: The accepted baseline by path.
        after: The rescan by path.
        diffs: The differences between the two.
        changes: What audit and osquery say, any order, told twice or once.
        notes: What the sources say of themselves.
        since_ns: When the baseline was taken; ``None`` takes the last change time in it.
        accepted_ns: When a path was last accepted, where that was later.
        seen_ns: When the rescan was taken.
        around: What the whole host has, where states and changes are only those around a few paths.

    Returns:
        Findings, the most severe first, then by path and id.
    """
    since = baseline_time(before) if since_ns is None else since_ns
    timeline = Timeline(changes, before, after, since)

    def since_of(path: bytes) -> int:
        return max(since, (accepted_ns or {}).get(path, 0))

    def is_folder(path: bytes) -> bool:
        state = after.get(path) or before.get(path)
        return state is not None and state.type is FileType.DIRECTORY

    def watched(path: bytes) -> bool:
        return watches.watch_of(path, is_folder=is_folder(path)) is not None

    drafts = draft_lasting([diff for diff in diffs if watched(diff.path)], timeline, watched)
    _fold_attempts(drafts, draft_attempted(timeline, before, after, since_of, watched))
    taken = {draft.path for draft in drafts}
    drafts += [draft for draft in draft_transient(timeline, before, after, since_of, watched) if draft.path not in taken]
    span = _span(timeline) if around is None else around.span
    ordered_notes = sorted(notes, key=lambda note: (note.time_ns, note.kind, note.text))
    data_folders = DataFolders(before) if around is None else around.data_folders
    findings = []
    for draft in drafts:
        watch = watches.watch_of(draft.path, is_folder=is_folder(draft.path))
        if watch is None:
            continue
        add_witnesses(draft, timeline, since_of(draft.path))
        _add_osquery(draft, timeline)
        findings.append(
            judge(
                draft,
                host=host,
                watch=watch,
                data_folders=data_folders,
                seen_ns=seen_ns,
                gaps=explain_gaps(draft, ordered_notes, span, timeline.lost),
            )
        )
    return sorted(findings, key=lambda finding: (-finding.severity.rank, finding.path, finding.id))


def baseline_time(before: Mapping[bytes, FileState]) -> int:
    """Give the last change time of a baseline, where nobody says when it was taken."""
    return max((state.ctime_ns for state in before.values() if state.ctime_ns is not None), default=0)


def _span(timeline: Timeline) -> RecordSpan:
    times = [change.time_ns for change in timeline.table.changes if change.source is Source.AUDIT]
    return (min(times), max(times)) if times else None


def _fold_attempts(drafts: list[Draft], attempts: Sequence[Draft]) -> None:
    """Add denied tries: to the finding that the path has already, for a path has one finding at a time, else as their own."""
    by_path = {draft.path: draft for draft in drafts}
    for attempt in attempts:
        other = by_path.get(attempt.path)
        if other is None:
            drafts.append(attempt)
        else:
            other.denied += attempt.denied
            other.say(attempt.reasons)


def _add_osquery(draft: Draft, timeline: Timeline) -> None:
    """Note where osquery saw it too, and what it says of the bytes."""
    rows = [change for path in (draft.path, draft.moved_to) if path is not None for change in timeline.osquery.get(path, ())]
    own = draft.before
    if own is not None and own.ctime_ns is not None and draft.kind is not Kind.ATTEMPTED:
        rows = [change for change in rows if (change.last_ns or change.time_ns) + 1_000_000_000 >= (own.ctime_ns or 0)]
    if not rows:
        return
    draft.sources.add(Source.OSQUERY)
    if draft.attribution is Attribution.UNATTRIBUTED and not draft.steps():
        draft.say(["osquery saw it, and says what changed and not who"])
    if draft.after is None or draft.after.sha256 is None:
        return
    known = {draft.after.sha256, _EMPTY_SHA256, None if own is None else own.sha256}
    passing = sorted({change.sha256 for change in rows if change.sha256 and not change.hash_late} - known)
    draft.say([f"osquery saw other bytes in between (SHA-256 {', '.join(passing)})"] if passing else [])
