"""Judges files collected elsewhere: two snapshots, audit logs, osquery logs; needs neither root nor this host's state."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fimkit.baseline.diff import diff_states
from fimkit.baseline.snapshot import read_snapshot
from fimkit.correlate.large import correlate_ledger
from fimkit.correlate.ledger import ChangeLedger
from fimkit.model.changes import Actor, Note, Source
from fimkit.model.config import Config
from fimkit.model.errors import clip
from fimkit.model.findings import Finding
from fimkit.model.paths import render_path
from fimkit.model.states import FileState
from fimkit.model.watches import WatchSet
from fimkit.verbs.gather import gather_audit, gather_osquery, mend_osquery
from fimkit.verbs.report_parents import parents_among
from fimkit.verbs.scope import Scope

__all__ = ["Investigation", "investigate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """What was found, and what could not be read, in words.

    ``notes`` are what the logs say of themselves, ``processes`` recorded ones that may have started those of the findings, and
    ``sources`` words on what was read.
    """

    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    processes: tuple[Actor, ...] = ()
    sources: tuple[str, ...] = ()


def investigate(
    config: Config,
    *,
    baseline: Path,
    after: Path,
    audit_logs: Sequence[Path] = (),
    osquery_logs: Sequence[Path] = (),
    now_ns: int | None = None,
) -> Investigation:
    """Find out what changed between two snapshots, and who did it.

    Args:
        config: Which paths matter, and the host's name.
        baseline: The earlier snapshot, JSON lines.
        after: The later one.
        audit_logs: Audit logs, in any order.
        osquery_logs: osquery result logs, in any order.
        now_ns: When this look is taken; the clock's time by default.

    Raises:
        SnapshotError: If a snapshot cannot be read at all.
        HostError: If a log cannot be opened.
    """
    before_rows, after_rows = read_snapshot(baseline), read_snapshot(after)
    before, later = dict(before_rows.states), dict(after_rows.states)
    watches = WatchSet(config.paths)
    scope = Scope(watches, before, later)
    audit = gather_audit(audit_logs, wanted=scope.concerns, worth=scope.may_concern, host=config.host.name, scope=scope)
    osquery = gather_osquery(
        osquery_logs, wanted=scope.concerns, host=config.host.name, is_known=lambda path: path in before or path in later
    )
    mend_osquery(osquery, before=before, after=later)
    bad = [f"{line.file}:{line.line}: {line.error}" for line in (*audit.bad_lines, *osquery.bad_lines)]
    changes = audit.changes if isinstance(audit.changes, ChangeLedger) else ChangeLedger(audit.changes)
    changes.extend(osquery.changes)
    findings = correlate_ledger(
        host=config.host.name,
        watches=watches,
        before=before,
        after=later,
        diffs=diff_states(before, later),
        changes=changes,
        notes=audit.notes,
        seen_ns=time.time_ns() if now_ns is None else now_ns,
    )
    recorded = [change for change in changes.first_of_each_process() if change.source is Source.AUDIT]
    problems = (
        *before_rows.problems, *after_rows.problems, *_foreign(config, watches, before, later), *audit.problems, *osquery.problems,
        *bad,
    )  # fmt: skip
    return Investigation(
        findings=tuple(findings),
        problems=problems,
        notes=tuple(audit.notes),
        processes=parents_among(findings, recorded),
        sources=(
            f"Compared: {baseline}, {len(before):,} paths, with {after}, {len(later):,} paths",
            f"Audit logs: {', '.join(map(str, audit_logs)) or 'none'}",
            f"osquery logs: {', '.join(map(str, osquery_logs)) or 'none'}",
        ),
    )


def _foreign(config: Config, watches: WatchSet, *snapshots: Mapping[bytes, FileState]) -> Iterator[str]:
    """Say that a configuration is another host's: nothing of the snapshots could be found by it, whatever changed."""
    if any(snapshots) and not any(watches.watch_of(path) for snapshot in snapshots for path in snapshot):
        named = ", ".join(render_path(watch.path) for watch in config.paths)
        yield f"no path of the snapshots is watched by the configuration ({clip(named)}): give the one that was collected with them"
