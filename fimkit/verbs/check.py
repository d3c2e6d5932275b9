"""Rescans, reads what is new in the logs, correlates, stores, and tells what is new and what is still open."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import Scan, scan_watches
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Change, StateDiff
from fimkit.model.config import Config
from fimkit.model.errors import UsageError
from fimkit.model.findings import Attribution, Finding
from fimkit.model.paths import render_path
from fimkit.model.states import FileState
from fimkit.model.watches import WatchSet
from fimkit.verbs.baseline import new_watch_words, still_watched
from fimkit.verbs.gather import Gathered, gather_audit, gather_osquery, name_user
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.report_file import append_report
from fimkit.verbs.scope import Scope

__all__ = ["CheckOptions", "Checked", "check"]

_SETTLE_NS = 2_000_000_000
_SETTLE_PAUSE_S = 0.25
_SETTLE_TRIES = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What the caller may ask for. Logs given by hand take the place of the host's own.

    ``since_ns`` leaves out what was recorded before; ``quick`` takes the hash of a file whose times did not move from the baseline.
    """

    audit_logs: tuple[Path, ...] = ()
    osquery_logs: tuple[Path, ...] = ()
    since_ns: int | None = None
    quick: bool = False
    on_progress: Progress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found: ``new`` since the last one, ``known`` before and still open, what is ``gone``, and words."""

    new: tuple[Finding, ...] = ()
    known: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[Finding, ...]:
        """Everything that is open now."""
        return (*self.new, *self.known)


@dataclass(slots=True)
class _Look:
    """One look at the host: the two states, and what the logs said."""

    before: dict[bytes, FileState]
    after: dict[bytes, FileState]
    diffs: list[StateDiff]
    scan: Scan
    seen_ns: int
    audit: Gathered = field(default_factory=Gathered)
    osquery: Gathered = field(default_factory=Gathered)
    words: list[str] = field(default_factory=list)


def check(config: Config, options: CheckOptions) -> Checked:
    """Find out what changed on this host since the baseline, and who did it.

    Raises:
        UsageError: If there is no baseline.
        HostError: If another fimkit is at work on the same state folder, or a log given by hand cannot be read.
        StoreError: If the store cannot be used.
    """
    # Without the folder there is no baseline either; a check makes none.
    if not os.path.isdir(config.host.state_dir):
        raise UsageError(f"no baseline in {render_path(config.host.state_dir)}: run `fimkit baseline create` first")
    with lock_state(config.host.state_dir, verb="check"), open_store(config.host.state_dir) as store:
        meta = store.baseline_meta()
        if meta is None:
            raise UsageError(f"no baseline in {render_path(config.host.state_dir)}: run `fimkit baseline create` first")
        look = _look(config, options, store)
        since_ns = meta.time_ns if options.since_ns is None else max(options.since_ns, meta.time_ns)
        findings = _settled_findings(config, options, store, look, since_ns)
        checked = _keep(config, options, store, look, findings)
    append_report(config.host.report_file, checked.new, now_ns=look.seen_ns)
    return checked


def _look(config: Config, options: CheckOptions, store: Store) -> _Look:
    before = store.baseline()
    scan = scan_watches(scanned_watches(config), known=before if options.quick else None, on_progress=options.on_progress)
    after = {state.path: state for state in scan}
    diffs, words = still_watched(diff_states(before, after), config)
    look = _Look(before, after, diffs, scan, time.time_ns(), words=words)
    look.words += new_watch_words(config, before, after)
    look.words += [f"{render_path(problem.path)} {problem.text}" for problem in scan.problems]
    look.words += [f"{render_path(state.path)}: {state.problem}" for state in after.values() if state.problem is not None]
    return look


def _settled_findings(config: Config, options: CheckOptions, store: Store, look: _Look, since_ns: int) -> list[Finding]:
    """Read the logs and correlate; look again where a change is so young that its record may not be written yet."""
    scope = Scope(WatchSet(scanned_watches(config)), look.before, look.after)
    for attempt in range(_SETTLE_TRIES):
        _read_logs(config, options, store, look, scope, since_ns)
        findings = _correlate(config, store, look, since_ns)
        if attempt == _SETTLE_TRIES - 1 or not any(_is_young(finding, look) for finding in findings):
            break
        time.sleep(_SETTLE_PAUSE_S)
    return findings


def _is_young(finding: Finding, look: _Look) -> bool:
    if finding.attribution is not Attribution.UNATTRIBUTED:
        return False
    changed_ns = finding.after.ctime_ns if finding.after is not None else None
    return changed_ns is None or look.seen_ns - changed_ns < _SETTLE_NS


def _read_logs(config: Config, options: CheckOptions, store: Store, look: _Look, scope: Scope, since_ns: int) -> None:
    def wanted(change: Change) -> bool:
        return change.time_ns >= since_ns - 1_000_000_000 and scope.concerns(change)

    own_audit, own_osquery = not options.audit_logs, not options.osquery_logs
    audit_paths = find_rotations(config.sources.audit_log) if own_audit else options.audit_logs
    osquery_paths = find_rotations(config.sources.osquery_log) if own_osquery else options.osquery_logs
    look.audit = gather_audit(
        audit_paths,
        wanted=wanted,
        live=own_audit,
        user_of=name_user,
        cursor=_load_cursor(store, "audit", config.sources.audit_log) if own_audit else None,
    )
    look.osquery = gather_osquery(
        osquery_paths,
        wanted=wanted,
        live=own_osquery,
        host=config.host.name,
        cursor=_load_cursor(store, "osquery", config.sources.osquery_log) if own_osquery else None,
    )


def _load_cursor(store: Store, source: str, log: bytes) -> LogCursor | None:
    saved = store.cursor(source, log)
    return None if saved is None else LogCursor(**saved)


def _correlate(config: Config, store: Store, look: _Look, since_ns: int) -> list[Finding]:
    changes = [*store.changes(since_ns - 1_000_000_000), *look.audit.changes, *look.osquery.changes]
    if not look.diffs and not changes:
        return []
    from fimkit.correlate.correlate import correlate  # pandas: a quiet host needs none

    return correlate(
        host=config.host.name,
        watches=WatchSet(scanned_watches(config)),
        before=look.before,
        after=look.after,
        diffs=look.diffs,
        changes=changes,
        notes=[*store.notes(), *look.audit.notes],
        since_ns=since_ns,
        accepted_ns=_accepted_times(store),
        seen_ns=look.seen_ns,
    )


def _accepted_times(store: Store) -> dict[bytes, int]:
    return {row.path: row.acceptance.time_ns for row in store.history() if row.acceptance.kind == "accept"}


def _keep(config: Config, options: CheckOptions, store: Store, look: _Look, findings: Sequence[Finding]) -> Checked:
    """Store all of one look in one commit: what is read is never read again, and what is found is never lost."""
    with store.transaction():
        store.add_changes((*look.audit.changes, *look.osquery.changes))
        store.add_notes(look.audit.notes)
        store.add_bad_lines((*look.audit.bad_lines, *look.osquery.bad_lines), time_ns=look.seen_ns)
        for source, log, gathered in (
            ("audit", config.sources.audit_log, look.audit),
            ("osquery", config.sources.osquery_log, look.osquery),
        ):
            if gathered.cursor is not None:
                store.set_cursor(source, log, asdict(gathered.cursor))
        unseen = [*look.scan.mounts, *(problem.path for problem in look.scan.problems)]
        stored = store.put_findings(findings, now_ns=look.seen_ns, unseen=unseen)
    dropped = store.apply_limits(keep_days=config.store.keep_days, max_mb=config.store.max_mb, now_ns=look.seen_ns)
    words = [*look.words, *_log_words(config, options, look), *dropped]
    return Checked(new=stored.new, known=stored.still_open, gone=stored.gone, words=tuple(words))


def _log_words(config: Config, options: CheckOptions, look: _Look) -> Iterable[str]:
    if not options.audit_logs and look.audit.cursor is None:
        yield f"no audit log at {render_path(config.sources.audit_log)}: what changed is known, who did it is not"
    yield from look.audit.problems
    yield from look.osquery.problems
    for line in (*look.audit.bad_lines, *look.osquery.bad_lines):
        yield f"{line.file}:{line.line}: {line.error}"
