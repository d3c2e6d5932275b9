"""Rescans, reads what is new in the logs, correlates, stores, and tells what is new and what is still open."""

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.audit.logpart import LogPart
from fimkit.baseline.diff import diff_pairs
from fimkit.baseline.scan import Scan, scan_watches
from fimkit.correlate.ledger import ChangeLedger
from fimkit.evidence.finding_life import PASSING
from fimkit.evidence.known_states import KnownStates, open_known_states
from fimkit.evidence.lock import lock_state
from fimkit.evidence.log_rows import LAST_CHECK
from fimkit.evidence.seen_states import SeenStates
from fimkit.evidence.store import Store, open_store
from fimkit.evidence.ticket_rows import TicketEnd
from fimkit.model.changes import Action, Change, Source, StateDiff
from fimkit.model.config import Config
from fimkit.model.coverage import Cause, Gap, Sense, select_gaps, weighty
from fimkit.model.errors import HostError
from fimkit.model.findings import Attribution, Finding, Verdict
from fimkit.model.paths import render_path
from fimkit.model.records import AuditEvent
from fimkit.model.states import FileState
from fimkit.model.time import render_time
from fimkit.model.watches import WatchSet
from fimkit.panic.trigger import may_panic
from fimkit.verbs.baseline import new_watch_words, open_baseline, still_watched
from fimkit.verbs.canaries import Canaries
from fimkit.verbs.content_desk import ContentDesk, needs_desk
from fimkit.verbs.coverage import all_gaps, judge_now, keep_gaps, last_look_ns, unread_gaps
from fimkit.verbs.coverage_judge import GapsNow, gaps_of_gathered
from fimkit.verbs.earlier import Earlier
from fimkit.verbs.effective import effective_watches
from fimkit.verbs.evidence import find_chain_findings, note_head
from fimkit.verbs.expected_changes import find_unmet, judge_announced
from fimkit.verbs.explain import Explanation, explain, keep_pins
from fimkit.verbs.gather import Gathered, gather_audit, gather_osquery, mend_osquery, name_user
from fimkit.verbs.keep_contents import ContentKeeper, apply_limits
from fimkit.verbs.look import Looker
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.panic_line import RUNNER
from fimkit.verbs.panic_notices import send_waiting
from fimkit.verbs.report_file import append_report
from fimkit.verbs.scope import Scope
from fimkit.verbs.seal_findings import find_seal_findings
from fimkit.verbs.self_look import find_altered_logs, find_own_meddling, lasting_kinds
from fimkit.verbs.sight import Sight, recall_states
from fimkit.verbs.stored_changes import load_ledger
from fimkit.verbs.watch_status import load_watch_status

__all__ = ["CheckOptions", "Checked", "Look", "check", "explain_now", "look_at_all", "mark_told"]

_SLACK_NS = 1_000_000_000
_SETTLE_NS = 2_000_000_000
_SETTLE_PAUSE_S = 0.25
_SETTLE_TRIES = 4
_HANDLERS_S = 60.0
_FEW_STATES = 100_000
"""So many are loaded to correlate; of more only those that matter, which takes longer."""
_BEFORE_PANIC_S = 20.0
"""What may start a panic waits no longer for contents to be searched,"""
_BEFORE_PANIC_KEEP_S = 1.0
"""nor to be kept."""

# Without a difference there can only be tries and what came and went; these are in every one of them.
_PASSED = frozenset({Action.DENIED, Action.UNLINKED, Action.MOVED_FROM})

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What the caller may ask for. Logs given by hand take the place of the host's own, and leave their reading where it stands.

    ``since_ns`` leaves out tries and passing files of before, which a later check without it still finds; ``quick`` takes the hash
    of a file whose times did not move from the baseline; ``require_seal`` wants the baseline sealed, as
    ``[seal] require`` does. ``nomail`` and ``nokill`` are what a panic leaves out, ``runner`` is the command of its runner.
    """

    audit_logs: tuple[Path, ...] = ()
    osquery_logs: tuple[Path, ...] = ()
    since_ns: int | None = None
    quick: bool = False
    require_seal: bool = False
    on_progress: Progress | None = None
    nomail: bool = False
    nokill: bool = False
    runner: tuple[str, ...] = RUNNER


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found: ``new``, which nobody was shown yet, ``known`` and still open, what is ``gone``, and words.

    ``undone`` is what is gone from paths that are watched still, or whose place another difference on the same path has taken;
    ``gaps`` are the times since the last look in which not all could be seen.
    """

    new: tuple[Finding, ...] = ()
    known: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    undone: tuple[Finding, ...] = ()
    words: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def open(self) -> tuple[Finding, ...]:
        """Everything that is open now."""
        return (*self.new, *self.known)


@dataclass(slots=True, kw_only=True)
class Look:
    """One look at the host: the watches, the two states, what was open when it began, and what the logs said.

    ``changes`` are all that it was judged by: those of earlier readings too; ``relevant`` those that can bear on a finding.
    ``found`` are the findings whose files rules hit now; ``ends`` what came of announced changes.
    """

    watches: WatchSet
    was_open: Sequence[Finding]
    before: KnownStates
    after: SeenStates
    diffs: list[StateDiff]
    sight: Sight
    unread: GapsNow
    since_ns: int
    began_ns: int
    seen_ns: int
    audit: Gathered = field(default_factory=Gathered)
    osquery: Gathered = field(default_factory=Gathered)
    changes: ChangeLedger = field(default_factory=ChangeLedger)
    relevant: Sequence[Change] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    ends: Sequence[TicketEnd] = ()


def check(config: Config, options: CheckOptions) -> Checked:
    """Find out what changed on this host since the baseline, and who did it. Findings stay new until :func:`mark_told`.

    On an armed host a panic is run, where one is warranted, before this returns.

    Raises:
        UsageError: If there is no baseline.
        HostError: If another fimkit is at work on the same state folder, or the host refuses the store.
        StoreError: If the store cannot be used.
    """
    open_baseline(config)[0].close()  # says what is missing before the lock makes its file
    with contextlib.ExitStack() as stack:
        desk = stack.enter_context(ContentDesk(config, end_s=_HANDLERS_S)) if needs_desk(config) else None
        with lock_state(config.host.state_dir, verb="check"):
            store, meta = open_baseline(config)
            with store:
                checked, look = look_at_all(config, options, store, meta.time_ns, desk=desk)
                keeper = ContentKeeper(config)
                before, after = _kept_states(look, keeper.roots)
                look.before.close()
        checked = _judge_panic(config, options, checked)
        unkept = keeper.keep_unchanged(before, after)
        checked = replace(checked, words=(*checked.words, *send_waiting(config, nomail=options.nomail), *unkept))
        if desk is not None:
            desk.handle(checked.new)
        checked = replace(checked, words=(*checked.words, *_notify(config, options, checked.new)))
    try:
        append_report(config.host.report_file, checked.new, now_ns=look.seen_ns)
    except HostError as error:  # the findings must reach somebody all the same
        return replace(checked, words=(*checked.words, str(error)))
    return checked


def _kept_states(look: Look, roots: Sequence[bytes]) -> tuple[dict[bytes, FileState], dict[bytes, FileState]]:
    """Give the states below some folders that both looks have: what is kept of them is read after the store is closed."""
    before = {state.path: state for root in roots for state in look.before.below(root)}
    return before, {path: state for path in before if (state := look.after.get(path)) is not None}


def _notify(config: Config, options: CheckOptions, findings: Sequence[Finding]) -> list[str]:
    """Queue what is new for the general mail and the channels, and send what can be sent; the rest stays in the queue.

    Where nothing is new, what an earlier run could not send is tried again.
    """
    mail = config.mail
    if not (mail.smtp_server or config.channels or mail.general_recipients or any(watch.notify for watch in config.paths)):
        return []
    from fimkit.notify.notifier import Notifier
    from fimkit.verbs.panic_alarm import list_addresses

    followed = replace(config, paths=effective_watches(config.paths))  # findings have the names behind links
    notifier = Notifier(followed, addresses=list_addresses().value or (), nomail=options.nomail)
    notifier.take(findings)
    words = notifier.finish(hurry=True)
    problem = notifier.problem
    return [*words, *([problem] if problem and problem not in words else [])]


def _judge_panic(config: Config, options: CheckOptions, checked: Checked) -> Checked:
    """Have the panic's runner judge what is open, where this host is armed; the store is not locked meanwhile.

    Returns:
        The same findings: those that packages explained meanwhile, as they are judged now; and words on what came of it.
    """
    if not any(map(may_panic, (*checked.open, *checked.undone))):  # most nights: nothing of the panic is read, or loaded
        return checked
    from fimkit.verbs.check_panic import judge_open

    by_hand = bool(options.audit_logs or options.osquery_logs)
    judged = judge_open(
        config, checked.open, by_hand=by_hand, nomail=options.nomail, nokill=options.nokill, runner=options.runner,
        undone=checked.undone,
    )
    now = {finding.id: finding for finding in judged.findings}
    return replace(
        checked,
        new=tuple(now.get(finding.id, finding) for finding in checked.new),
        known=tuple(now.get(finding.id, finding) for finding in checked.known),
        words=(*checked.words, *judged.words),
    )


def look_at_all(
    config: Config,
    options: CheckOptions,
    store: Store,
    since_ns: int,
    *,
    mark: Callable[[Finding], Finding] = lambda finding: finding,
    desk: ContentDesk | None = None,
) -> tuple[Checked, Look]:
    """Look at the host, judge and store; the caller holds the lock, and tells.

    Args:
        config: The configuration.
        options: What is asked for.
        store: Open.
        since_ns: When the baseline was taken.
        mark: Adds what the caller knows of a finding that was not open before.
        desk: Has the files of findings searched that were not searched before, where any are to be.
    """
    look = _look(config, options, store, since_ns)
    known = {finding.id for finding in look.was_open}
    explained = explain(config, _settled_findings(config, options, store, look), store.pins(), look.was_open, look.relevant)
    look.words += explained.words
    announced = _judge_announced(config, options, store, look, explained.findings)
    findings = [finding if finding.id in known else mark(finding) for finding in announced]
    findings = _search(desk, look, findings)
    findings += find_seal_findings(config, store, require=options.require_seal)
    broken, words = find_chain_findings(config, store)
    findings, look.words = [*findings, *broken], [*look.words, *words]
    keep_pins(store, explained)  # before the findings: what is expected by them is never asked about again
    checked = _keep(config, options, store, look, findings)
    end_words = [] if broken else note_head(config, store)
    budget_s = _BEFORE_PANIC_KEEP_S if any(map(may_panic, findings)) else None
    unkept = ContentKeeper(config).keep_findings(checked.open, budget_s=budget_s)
    return replace(checked, words=(*checked.words, *unkept, *end_words)), look


def explain_now(config: Config, store: Store, since_ns: int) -> tuple[Look, Explanation]:
    """Look at the host and have its packages explain what differs; nothing is stored, and nothing of the logs counts as read.

    The caller holds the lock.
    """
    look, options = _look(config, CheckOptions(), store, since_ns), CheckOptions()
    return look, explain(config, _settled_findings(config, options, store, look), store.pins(), look.was_open, look.relevant)


def _judge_announced(
    config: Config, options: CheckOptions, store: Store, look: Look, findings: Sequence[Finding]
) -> Sequence[Finding]:
    """Judge by what was announced, and add what was and never came; a log given by hand proves no plan was kept."""
    tickets = [] if options.audit_logs or options.osquery_logs else store.tickets()
    if not tickets:
        return findings
    judged, met = judge_announced(findings, tickets)
    unmet = find_unmet(config.host.name, tickets, [*store.ticket_ends(), *met], look.watches, now_ns=look.began_ns)
    look.ends = (*met, *(end for _, end in unmet))
    return [*judged, *(finding for finding, _ in unmet)]


def _search(desk: ContentDesk | None, look: Look, findings: list[Finding]) -> list[Finding]:
    """Have the files of what is new searched; a difference that was open before keeps what was found in it then."""
    if desk is None:
        return findings
    searched = {finding.id for finding in look.was_open if finding.content is not None}
    asked = [finding for finding in findings if finding.id not in searched and desk.wants(finding)]
    budget_s = _BEFORE_PANIC_S if any(map(may_panic, findings)) else None
    judged = desk.search(asked, look.changes, budget_s=budget_s)
    look.words += judged.words
    by_id = {finding.id: finding for finding in judged.findings}
    # What was told before without this is another thing now.
    look.found = {finding.id for finding in judged.findings if finding.content and finding.verdict is Verdict.SUSPECT}
    return [by_id.get(finding.id, finding) for finding in findings]


def mark_told(config: Config, findings: Sequence[Finding]) -> None:
    """Note that findings were shown: the next check counts them as known.

    Raises:
        HostError: If the host refuses the store.
        StoreError: If the store cannot be used.
    """
    if findings:
        with open_store(config.host.state_dir) as store:
            store.tell([finding.id for finding in findings], time_ns=time.time_ns())


def _look(config: Config, options: CheckOptions, store: Store, since_ns: int) -> Look:
    before = open_known_states(config.host.state_dir)
    watches = scanned_watches(config)
    began_ns = time.time_ns()
    known = before if options.quick else None
    scan = scan_watches(watches, known=known, on_progress=options.on_progress, limits=config.scan)
    after = SeenStates(before, scan)
    seen_ns = time.time_ns()
    canary_words = _canaries(store).take_out(after, began_ns=began_ns, now_ns=seen_ns, look=Looker().look)
    was_open = store.findings()
    recall_states(after, was_open)
    sight = Sight(watches, scan, after)
    diffs, words = still_watched(sight.visible(diff_pairs(after.differences(), after)), config)
    words += new_watch_words(config, before, after)
    words += [*_scan_words(scan, after), *canary_words]
    if seen_ns < since_ns:
        words.append(
            f"the clock stands at {render_time(seen_ns)}, before the baseline of {render_time(since_ns)}: what is recorded now"
            " counts as older than the baseline; set the clock, or take a new baseline"
        )
    return Look(
        watches=WatchSet(watches),
        was_open=was_open,
        before=before,
        after=after,
        diffs=diffs,
        sight=sight,
        unread=_unread(scan, after, store, since_ns=since_ns, now_ns=seen_ns),
        since_ns=since_ns,
        began_ns=began_ns,
        seen_ns=seen_ns,
        words=words,
    )


def _canaries(store: Store) -> Canaries:
    """Load them after the look that they are held against: the store has each before the disk and the logs do."""
    return Canaries(store.canaries())


def _unread(scan: Scan, after: SeenStates, store: Store, *, since_ns: int, now_ns: int) -> GapsNow:
    """Give what could not be looked at, for the ledger; where a configured link leads is watched too, and is in ``after``."""
    problems = {state.path: state.problem or "" for state in after.troubled()}
    missed = (problem for problem in scan.problems if problem.path not in after)
    problems |= {problem.path: problem.text for problem in missed if os.path.lexists(problem.path)}
    last_ns = last_look_ns(store)
    return unread_gaps(scan.mounts, problems, since_ns=last_ns or since_ns, now_ns=now_ns, last_ns=last_ns)


def _judge_coverage(config: Config, options: CheckOptions, store: Store, look: Look) -> tuple[list[GapsNow], list[Gap]]:
    """Judge what the sources could not see; logs given by hand say nothing of this host, and what they lack is not kept."""
    last_ns = last_look_ns(store) or look.since_ns
    notes = [*store.notes(), *look.audit.notes]
    judged, by_hand = [look.unread], list[Gap]()
    for sense, gathered, given in (
        (Sense.AUDIT, look.audit, options.audit_logs), (Sense.OSQUERY, look.osquery, options.osquery_logs)
    ):  # fmt: skip
        found = gaps_of_gathered(sense, gathered, last_ns=last_ns, now_ns=look.seen_ns, notes=notes)
        if given:
            by_hand += found
        else:
            judged.append(GapsNow(over=tuple(found)))
    if not options.audit_logs:
        judged += [_judge_log(config, last_ns, look.seen_ns), judge_now(config, store, look.audit.notes)]
    return judged, by_hand


def _judge_log(config: Config, last_ns: int, now_ns: int) -> GapsNow:
    """Say that there is no log, or none that can be read; a watch that hears the kernel's records needs none."""
    kind, status = (Sense.AUDIT, Cause.LOG_GONE), load_watch_status(config.host.state_dir)
    words = _log_trouble(config.sources.audit_log)
    if not words or (status is not None and status.running and status.records == "kernel"):
        return GapsNow(judged=frozenset({kind}))
    gap = Gap(from_ns=min(last_ns, now_ns), to_ns=None, source=kind[0], cause=kind[1], words=words)
    return GapsNow(open=(gap,), judged=frozenset({kind}))


def _log_trouble(log: bytes) -> str:
    if not find_rotations(log):
        return f"there is no audit log at {render_path(log)}"
    try:
        LogPart.of_host(Path(os.fsdecode(log))).close()
    except FileNotFoundError:
        return ""  # a rotation is under way
    except OSError as error:
        return f"the audit log {render_path(log)} cannot be read: {error.strerror or error}"
    return ""


def _scan_words(scan: Scan, after: SeenStates) -> Iterator[str]:
    for problem in scan.problems:
        state = after.get(problem.path)
        if state is None or state.target is None:  # where a configured link leads is watched too
            yield f"{render_path(problem.path)} {problem.text}"
    yield from (f"{render_path(path)}: a file system is mounted here, and was not looked at" for path in scan.mounts)
    yield from (f"{render_path(state.path)}: {state.problem}" for state in after.troubled())


def _settled_findings(config: Config, options: CheckOptions, store: Store, look: Look) -> list[Finding]:
    """Read the logs and correlate; look again where a change is so young that its record may not be written yet."""
    scope = Scope(look.watches, look.before, look.after)
    stored = load_ledger(store, look.since_ns - _SLACK_NS)
    scope.learn(stored)
    earlier = list(stored.of_source(Source.OSQUERY))
    known = {finding.id for finding in look.was_open}
    for attempt in range(_SETTLE_TRIES):
        _read_logs(config, options, store, look, scope)
        mend_osquery(look.osquery, before=look.before, after=look.after, earlier=earlier, own=not options.osquery_logs)
        findings = _correlate(config, store, look, stored)
        waits = look.audit.cursor is not None and any(_is_young(finding, look) and finding.id not in known for finding in findings)
        if attempt == _SETTLE_TRIES - 1 or not waits:
            break
        time.sleep(_SETTLE_PAUSE_S)
    if options.since_ns is None:
        return findings
    return [finding for finding in findings if finding.kind not in PASSING or finding.last_seen_ns >= options.since_ns]


def _is_young(finding: Finding, look: Look) -> bool:
    if finding.attribution is not Attribution.UNATTRIBUTED:
        return False
    changed_ns = finding.after.ctime_ns if finding.after is not None else None
    return changed_ns is None or look.seen_ns - changed_ns < _SETTLE_NS


def _read_logs(config: Config, options: CheckOptions, store: Store, look: Look, scope: Scope) -> None:
    from_ns = look.since_ns - _SLACK_NS

    def wanted(change: Change) -> bool:
        return change.time_ns >= from_ns and scope.concerns(change)

    def worth(event: AuditEvent) -> bool:
        return event.event_id.time_ms * 1_000_000 >= from_ns and scope.may_concern(event)

    own_audit, own_osquery = not options.audit_logs, not options.osquery_logs
    look.audit = gather_audit(
        find_rotations(config.sources.audit_log) if own_audit else options.audit_logs,
        wanted=wanted,
        worth=worth,
        host=config.host.name,
        live=own_audit,
        user_of=name_user,
        scope=scope,
        cursor=_load_cursor(store, "audit", config.sources.audit_log) if own_audit else None,
    )
    look.osquery = gather_osquery(
        find_rotations(config.sources.osquery_log) if own_osquery else options.osquery_logs,
        wanted=wanted,
        live=own_osquery,
        host=config.host.name,
        user_of=name_user if own_osquery else None,
        is_known=lambda path: path in look.before or path in look.after,
        cursor=_load_cursor(store, "osquery", config.sources.osquery_log) if own_osquery else None,
    )


def _load_cursor(store: Store, source: str, log: bytes) -> LogCursor | None:
    saved = store.cursor(source, log)
    return None if saved is None else LogCursor(**saved)


def _correlate(config: Config, store: Store, look: Look, stored: ChangeLedger) -> list[Finding]:
    audit = look.audit.changes
    # Over one's own tables millions of rows are copied, and not made anew: over those of the longer one.
    longer = audit if isinstance(audit, ChangeLedger) and len(audit) > len(stored) else stored
    whole = ChangeLedger(stored, tables=longer.tables)
    whole.extend(audit)
    whole.extend(look.osquery.changes)
    look.changes = whole
    stripped = _canaries(store).strip(whole)
    changes = stripped if isinstance(stripped, ChangeLedger) else ChangeLedger(stripped)
    if not look.diffs and _PASSED.isdisjoint(changes.actions()):
        return []
    from fimkit.correlate.large import correlate_ledger  # pandas: a quiet host needs none

    earlier = Earlier(store)
    before, after = look.after.loaded() if len(look.before) + len(look.after) <= _FEW_STATES else (look.before, look.after)
    findings = correlate_ledger(
        host=config.host.name,
        watches=look.watches,
        before=before,
        after=after,
        diffs=look.diffs,
        changes=changes,
        notes=[*store.notes(), *look.audit.notes],
        since_ns=look.since_ns,
        accepted_ns=earlier.accepted_ns,
        seen_ns=look.seen_ns,
    )
    look.relevant = findings.changes
    return earlier.unsettled(findings, findings.changes)


def _keep(config: Config, options: CheckOptions, store: Store, look: Look, findings: Sequence[Finding]) -> Checked:
    """Store all of one look in one commit: what is read is never read again, and what is found is never lost."""
    judged, unkept = _judge_coverage(config, options, store, look)
    last_ns = last_look_ns(store) or look.since_ns
    heard = () if options.audit_logs else look.audit.notes
    lasted = lasting_kinds(store)
    cursors = {} if options.audit_logs else {"audit": look.audit.cursor}
    cursors |= {} if options.osquery_logs else {"osquery": look.osquery.cursor}
    altered, proofs = find_altered_logs(config, store, cursors, now_ns=look.seen_ns)
    meddled = find_own_meddling(config, store, judged, heard, lasted=lasted, now_ns=look.seen_ns)
    findings = [*findings, *altered, *meddled]
    with store.transaction():
        store.add_changes(itertools.chain(look.audit.changes, look.osquery.changes))
        store.add_notes(look.audit.notes)
        for source, log, gathered, by_hand in (
            ("audit", config.sources.audit_log, look.audit, options.audit_logs),
            ("osquery", config.sources.osquery_log, look.osquery, options.osquery_logs),
        ):
            if by_hand:
                _keep_bad_lines_once(store, gathered, look.seen_ns)
                continue
            store.add_bad_lines(gathered.bad_lines, time_ns=look.seen_ns, uncounted=gathered.uncounted)
            if gathered.cursor is not None:
                store.set_cursor(source, log, asdict(gathered.cursor))
        for one in judged:
            keep_gaps(store, one, now_ns=look.seen_ns)
        for place, proof in proofs.items():
            store.set_cursor(*place, proof)
        store.set_cursor(*LAST_CHECK, {"seen_ns": look.seen_ns})
        store.end_tickets(look.ends)
        hidden = [finding.path for finding in look.was_open if not look.sight.is_undone(finding)]
        known = {finding.id for finding in look.was_open}
        stored = store.put_findings(findings, now_ns=look.seen_ns, unseen=hidden, known=known)
        untold = store.untold() | look.found
    dropped = apply_limits(config, store, now_ns=look.seen_ns)
    every = sorted((*stored.new, *stored.still_open), key=lambda finding: (-finding.severity.rank, finding.path, finding.id))
    words = [*look.words, *_log_words(config, options, look), *_gone_words(look.watches, stored.gone), *dropped]
    return Checked(
        new=tuple(finding for finding in every if finding.id in untold),
        known=tuple(finding for finding in every if finding.id not in untold),
        gone=stored.gone,
        undone=tuple(one for one in (*stored.gone, *stored.superseded) if look.watches.watch_of(one.path) is not None),
        words=tuple(dict.fromkeys(words)),
        gaps=tuple(weighty([*_gaps_since(store, last_ns, look.seen_ns), *unkept])),
    )


def _gaps_since(store: Store, since_ns: int, now_ns: int) -> list[Gap]:
    """Give what could not be seen since the look before this one, which told of what ended with it; the clock may be set back."""
    first_ns, last_ns = sorted((since_ns, now_ns))
    return select_gaps(all_gaps(store.gaps(), store.notes(), now_ns=now_ns), since_ns=first_ns + 1, until_ns=last_ns)


def _keep_bad_lines_once(store: Store, gathered: Gathered, now_ns: int) -> None:
    """Count the bad lines of a log given by hand, which may be given again."""
    kept = set(store.bad_lines())
    store.add_bad_lines([line for line in gathered.bad_lines if line not in kept], time_ns=now_ns)


def _gone_words(watches: WatchSet, gone: Sequence[Finding]) -> Iterator[str]:
    left = sum(watches.watch_of(finding.path) is None for finding in gone)
    if left:
        yield f"{left} open findings were closed: the configuration does not name their paths any more"


def _log_words(config: Config, options: CheckOptions, look: Look) -> Iterable[str]:
    if not options.audit_logs and not find_rotations(config.sources.audit_log):
        yield f"no audit log at {render_path(config.sources.audit_log)}: what changed is known, who did it is not"
    yield from look.audit.problems
    yield from look.osquery.problems
    for line in (*look.audit.bad_lines, *look.osquery.bad_lines):
        yield f"{line.file}:{line.line}: {line.error}"
