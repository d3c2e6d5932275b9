"""Follows the records live: what changed is found, attributed, stored and told as it happens, until it is stopped."""

import contextlib
import gc
import os
import select
import selectors
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.evidence.limiting import Limiting
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store
from fimkit.model.changes import Change, Source
from fimkit.model.config import Config
from fimkit.model.coverage import say_gaps
from fimkit.model.errors import ConfigError, FimkitError, HostError
from fimkit.model.findings import Finding, Verdict, is_announced
from fimkit.model.records import BadLine
from fimkit.model.watches import WatchSet
from fimkit.verbs import notify_systemd
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.check import Checked, CheckOptions, look_at_all
from fimkit.verbs.content_desk import ContentDesk, Judged
from fimkit.verbs.explain import may_be_explained
from fimkit.verbs.keep_contents import ContentKeeper, begin_limits, is_too_big
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.panic_line import RUNNER
from fimkit.verbs.seal_watch import SealWatch
from fimkit.verbs.self_look import find_killed_watch
from fimkit.verbs.watch_coverage import WatchCoverage
from fimkit.verbs.watch_downtime import mark_downtime
from fimkit.verbs.watch_engine import Batch, Engine
from fimkit.verbs.watch_explain import Explained, PackageHold
from fimkit.verbs.watch_heap import keep_large_blocks_apart
from fimkit.verbs.watch_hearing import Hearing
from fimkit.verbs.watch_mail import WatchMail
from fimkit.verbs.watch_numbers import render_numbers, write_numbers
from fimkit.verbs.watch_panic import WatchPanic, frozen_config
from fimkit.verbs.watch_records import AuditLogTail, Blind, Heard, KernelLost, OsqueryTail
from fimkit.verbs.watch_rescans import Rescans
from fimkit.verbs.watch_rest import Rest, render_rest
from fimkit.verbs.watch_signals import Signals
from fimkit.verbs.watch_sources import Records, drop_start_rights, open_dirty, open_sources
from fimkit.verbs.watch_status import LOCK_NAME, StatusFile, WatchStatus, load_watch_status
from fimkit.verbs.watch_telling import Sink, Telling, Told
from fimkit.verbs.watch_unstored import Unstored

__all__ = ["WatchOptions", "watch"]

_TICK_S = 1.0
_OSQUERY_S = 0.25
_OSQUERY_REST_S = 5.0
"""A log that has not grown for so long is asked for with the tick alone: each look beside it wakes a core."""
_LOG_S = 0.02
_SHOWN_S = 0.05
_SWITCH_S = 0.0001
"""So long the thread that shows waits for this one, which would be 5 ms."""
_COLLECT = 10_000, 20, 100
"""What goes in circles is rare here, and each walk through all that is remembered holds an alarm up."""
_CATCH_UP_S = 10.0
_CATCH_UP_BYTES = 1 << 16
"""Much at once would hold an alarm up."""
_IDLE_READ_S = 0.3
_LIMITS_S = 3600.0
_SIZE_S = 60.0
_LIMIT_ROWS = 300
"""Of old evidence that goes in one commit: some tens of milliseconds."""
_LIMIT_REST, _LIMIT_REST_FULL, _LIMIT_FULL = 3, 1, 1.05
"""A part that took a second is followed by so many for all else; by fewer where the store grows past the limit all the same."""
"""A storm fills gigabytes in an hour."""
_LIMIT_LONGEST_S = 0.25
_KEEP_S = 0.5
_FIRST_NS = 10_000_000_000
_UNSEEN_S = 60.0
_OVERDUE_S = 10
"""What was announced and came at the last moment is recorded, judged and stored by then."""
_STORE_S = 1.0
"""So long a write waits for somebody else's to end: what is found goes on after that, and comes again."""
_STORE_END_S = 10.0
_END_S = 30.0
_END_LOG_S = 10.0
"""So long the log is read at the end in any case: it has what there was no time for."""
_END_SHOW_S = 3.0
_START_LOCK_S = 600.0

@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What the caller may ask for: where records come from, how much may wait in the socket, and what a panic leaves out.

    ``runner`` is the command of the panic's runner.
    """

    records: Records = Records.AUTO
    buffer_bytes: int = 64 << 20
    nomail: bool = False
    nokill: bool = False
    runner: tuple[str, ...] = RUNNER


def watch(
    load: Callable[[], Config], options: WatchOptions, tell: Callable[[Told], None], sinks: Sequence[Sink] = ()
) -> WatchStatus:
    """Watch until SIGTERM or SIGINT. SIGHUP reads the configuration anew, SIGUSR1 looks at everything anew.

    Args:
        load: Reads the configuration; called again at SIGHUP.
        options: What is asked for.
        tell: Shows what is to be shown; a finding counts as shown when it has returned. It is called in a thread of its own, and
            holds nothing up: what it does not take in time stays new for the next look.
        sinks: Given the new findings of each batch, whole and at once.

    Returns:
        The numbers of the run, ``open`` among them.

    Raises:
        ConfigError: If the configuration is wrong.
        UsageError: If there is no baseline.
        HostError: If another watch is at work on the same state folder, or the host refuses.
        StoreError: If the store cannot be used.
    """
    config = load()
    keep_large_blocks_apart()
    open_baseline(config)[0].close()  # says what is missing before the lock makes its file
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock_state(config.host.state_dir, verb="watch", name=LOCK_NAME))
        before = load_watch_status(config.host.state_dir)
        # Before the sources: their opening drops rights that the panic's runner needs.
        panic = stack.enter_context(
            WatchPanic(config, nomail=options.nomail, nokill=options.nokill, runner=options.runner)
        )
        content = stack.enter_context(ContentDesk(config))  # as the panic's runner
        signals = stack.enter_context(Signals())
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(*_COLLECT)
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_S)
        watcher = _Watcher(load, config, options, tell, sinks, stack, panic, content)
        watcher.start(before)
        watcher.run(signals)
        return watcher.status


class _Watcher:
    """One run: the sources, the engine, and what is told of it."""

    def __init__(
        self,
        load: Callable[[], Config],
        config: Config,
        options: WatchOptions,
        tell: Callable[[Told], None],
        sinks: Sequence[Sink],
        stack: contextlib.ExitStack,
        panic: WatchPanic,
        content: ContentDesk,
    ) -> None:
        self.config = config
        self.status = WatchStatus(pid=os.getpid(), started_ns=time.time_ns())
        self._load, self._stack, self._panic, self._content = load, stack, panic, content
        self._status_file = stack.enter_context(StatusFile(config.host.state_dir))
        self._sources = open_sources(config, options.records, stack, buffer_bytes=options.buffer_bytes)
        self.status.records = self._sources.name
        self._status_file.write(self.status)
        self._kernel_lost = KernelLost() if self._sources.kernel is not None else None
        self._sources.words += drop_start_rights(config)  # where no kernel's records were to be had, for the first time here
        self._telling = Telling(tell, sinks, config.host.report_file, stack)  # after it: each thread has rights of its own
        self._contents = ContentKeeper(config)
        self._mail = WatchMail(config, nomail=options.nomail)
        name = self._sources.name
        self._hearing = None if name == "files" else Hearing(config, needs_log=name == "log")
        self._osquery_changes: list[Change] = []
        self._next = dict.fromkeys(("tick", "osquery", "log", "catch_up", "unseen", "part"), 0.0)
        self._next |= {"limits": time.monotonic() + _LIMITS_S, "size": time.monotonic() + _SIZE_S}
        self._shown_s, self._osquery_s = float("inf"), time.monotonic()
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=11)
        self._limiting: Limiting | None = None
        self._stopping = ""
        self._helpers: set[int] = set()
        self._stand_in: DirtyPaths | None = None
        self._files_ns = time.time_ns()
        self._unseen: frozenset[str] = frozenset()

    # The start.

    def start(self, before: WatchStatus | None) -> None:
        """Look at everything once, as `check` does: what happened while nobody watched is found by that, and said."""
        config = self.config
        store, _ = open_baseline(config)
        self.store: Store = self._stack.enter_context(store)
        with lock_state(config.host.state_dir, wait_s=_START_LOCK_S, verb="watch"):
            meta = self.store.baseline_meta()
            assert meta is not None
            mark = mark_downtime(before, look_ns=time.time_ns())
            self._coverage = WatchCoverage(config, self.store, before, senses_files=self._sources.name == "files")
            checked, look = look_at_all(config, CheckOptions(), self.store, meta.time_ns, mark=mark, desk=self._content)
            killed = find_killed_watch(config, self.store, before, now_ns=look.began_ns)
            self._meddled = self.store.add_findings(killed, now_ns=look.seen_ns).new if killed else ()
            before_states, after_states = look.after.loaded()  # under the lock: nobody changes the baseline meanwhile
            look.before.close()
            self._coverage.begin()
        self.engine = Engine(
            config,
            self.store,
            watches=scanned_watches(config),
            since_ns=meta.time_ns,
            before=before_states,
            after=after_states,
            hidden=lambda path: False,
            changes=look.changes,
            has_records=self._sources.dirty is None,
        )
        self._unstored = Unstored(self.engine, lambda finding: may_be_explained(self.config, finding))
        self.store.wait_at_most(_STORE_S)
        self.engine.is_hidden = look.sight.as_of(self.engine.looks.after).is_hidden
        self._seal = SealWatch(config, self.store)
        self._packages = PackageHold(frozen_config(config), self.store)
        self._osquery_changes = list(look.changes.of_source(Source.OSQUERY))[-self.engine.picture.changes.most :]
        sources = config.sources
        self._log = AuditLogTail(sources.audit_log, config.host.name, self._cursor("audit", sources.audit_log))
        self._osquery = OsqueryTail(sources.osquery_log, config.host.name, self._cursor("osquery", sources.osquery_log))
        self._rescans = Rescans(config, self.status, lambda: self.engine.looks.watches.watches, self._telling.say)
        unseen = say_gaps(checked.gaps)
        self._telling.say((*self._sources.words, *checked.words, *([unseen] if unseen else [])))
        self._tell_first(checked)
        self._tell_new(self._meddled)
        self._panic.send_waiting()
        gc.collect()
        gc.freeze()  # the picture stays: a walk through a million states of it would hold an alarm up
        self.status.ready = True
        self._tick()
        notify_systemd.ready(self._words())

    def _tell_first(self, checked: Checked) -> None:
        """Tell what the first look found. In the middle of an upgrade, what it may be explained by is asked about first."""
        if not any(may_be_explained(self.config, finding) for finding in checked.new) or not self._packages.at_work():
            self._panic.whole(checked.open)
            self._tell_new(checked.new)
            return
        explained = self._packages.take(checked.new)
        self._panic.whole((*explained.findings, *checked.known))
        self._tell_explained(explained)

    def _cursor(self, source: str, log: bytes) -> LogCursor | None:
        saved = self.store.cursor(source, log)
        return None if saved is None else LogCursor(**saved)

    # The loop.

    def run(self, signals: Signals) -> None:
        """Go on until a stop is asked for, then finish what there is."""
        selector = self._stack.enter_context(selectors.DefaultSelector())
        selector.register(signals.reader, selectors.EVENT_READ)
        selector.register(self._telling.outlet, selectors.EVENT_READ)
        for source in (self._sources.kernel, self._sources.dirty):
            if source is not None:
                selector.register(source, selectors.EVENT_READ)
        try:
            while not self._stopping:
                self._rescans.listen(selector)
                self._listen(selector)
                selector.select(self._pause())
                for number in signals.take():
                    self._signal(number)
                self._turn(selector)
            self._finish()
        finally:
            if self._stand_in is not None:
                self._stand_in.close()
            self._rescans.end()
            self._packages.end()
            self.engine.close()
            self._seal.end()
            self.status.stopped_ns = time.time_ns()
            self._write_status()
            notify_systemd.stopping()

    def _pause(self) -> float:
        dues = [self._next["tick"], self.engine.next_s, self._telling.next_s, self._packages.next_s]
        dues += [self._content.next_s, self._mail.next_s, self._shown_s]
        if time.monotonic() - self._osquery_s < _OSQUERY_REST_S:
            dues.append(self._next["osquery"])
        if self._sources.name == "log":
            dues.append(self._next["log"])
        if self._limiting is not None:
            dues.append(self._next["part"])
        due = min(one for one in dues if one is not None)
        return max(0.0, due - time.monotonic())

    def _signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._rescans.start(quick=False)
        else:
            self._stopping = signal.Signals(number).name

    def _listen(self, selector: selectors.BaseSelector) -> None:
        """Hear those too that a new configuration brought, or that were started anew, and inotify while nothing is recorded."""
        if self._stand_in is not None and self._stand_in.fileno() not in selector.get_map():
            selector.register(self._stand_in, selectors.EVENT_READ)
        if self._stand_in is not None and self._hearing is not None and not self._hearing.problem:
            selector.unregister(self._stand_in)
            self._stand_in.close()
            self._stand_in = None
        now = {one for one in (self._panic.descriptor(), self._content.descriptor()) if one is not None}
        for descriptor in self._helpers - now:
            if descriptor in selector.get_map():
                selector.unregister(descriptor)
        for descriptor in now:
            if descriptor not in selector.get_map():
                selector.register(descriptor, selectors.EVENT_READ)
        self._helpers = now

    def _read_panic(self) -> None:
        words, phase = self._panic.read()
        self._telling.say(words)
        if phase is not None:  # armed or not any more: how long packages may hold a finding back is frozen with the rest
            self._packages.config = frozen_config(self.config)

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Hear every source, work on what is due, and do what is to be done now and then."""
        now_s = time.monotonic()
        if self._sources.kernel is not None:
            self._take(self._sources.kernel.hear(), self.engine.take)
        elif self._sources.dirty is not None:
            self._take_dirty(self._sources.dirty)
        elif now_s >= self._next["log"]:
            self._next["log"] = now_s + _LOG_S
            self._take_log(self._log.hear(self.engine.concerns), self.engine.take)
        if self._stand_in is not None:
            self._take_dirty(self._stand_in)
        if now_s >= self._next["osquery"]:
            self._take_osquery()
            self._next["osquery"] = now_s + _OSQUERY_S
        if (result := self._rescans.read(selector)) is not None:
            self.engine.take_rescan(result.differing, result.hidden)
        self._told(self.engine.step())
        self._tell_explained(self._packages.read())
        self._tell_judged(self._content.read(self.store))
        self._telling.say(self._mail.step())
        self._telling.release()
        self._note_shown(now_s)
        self._read_panic()
        if now_s >= self._next["tick"]:
            self._tick()
        self._go_on_limiting()

    def _note_shown(self, now_s: float) -> None:
        """Have it stored what was shown: with the next batch, or soon where none comes."""
        if ids := self._telling.take_shown():
            self.engine.set_shown(ids)
            self._shown_s = min(self._shown_s, now_s + _SHOWN_S)
        elif not self.engine.holds_shown:  # a batch took it along
            self._shown_s = float("inf")
        if now_s >= self._shown_s:
            self._shown_s = float("inf")
            self.engine.flush()

    def _take(self, heard: Heard, take: Callable[[list[Change]], int]) -> None:
        """Take in what was heard; what may have been read at the start too is told apart by what it says."""
        first_ns = self.status.started_ns + _FIRST_NS
        if heard.changes and heard.changes[0].time_ns < first_ns:
            take = self.engine.take_again
        self.status.changes += take(heard.changes)
        for note in heard.notes:
            self.engine.add_note(note)
        self._coverage.hear(heard.notes)
        if self._hearing is not None:
            self._hearing.note(heard.notes)
        self._keep_bad(heard.bad_lines, heard.uncounted)
        self._coverage.take_gaps(heard.gaps)
        for blind in heard.blind:
            self._go_blind(blind)
        if heard.words:
            self._telling.say(dict.fromkeys(heard.words))

    def _keep_bad(self, lines: Sequence[BadLine], uncounted: Counter[str]) -> None:
        if lines or uncounted:
            self.engine.add_bad_lines(lines, uncounted)

    def _take_log(self, heard: Heard, take: Callable[[list[Change]], int]) -> None:
        self._take(heard, take)
        if heard.cursor is not None:
            self.engine.set_cursor("audit", self._log.log, heard.cursor)

    def _take_osquery(self) -> None:
        looks = self.engine.looks
        heard = self._osquery.hear(self.engine.concerns, looks.before, looks.after, lambda: self._osquery_changes)
        if heard.changes:
            self._osquery_s = time.monotonic()
            self._osquery_changes = [*self._osquery_changes, *heard.changes][-self.engine.picture.changes.most :]
        self._take(heard, self.engine.take)
        if heard.cursor is not None:
            self.engine.set_cursor("osquery", self._osquery.log, heard.cursor)

    def _take_dirty(self, source: DirtyPaths) -> None:
        """Have looked at what inotify names; where it lost events, everything, in a process of its own."""
        overflows, from_ns, self._files_ns = source.overflows, self._files_ns, time.time_ns()
        paths = source.read()
        if source.overflows > overflows:
            self._go_blind(Blind(from_ns=from_ns, to_ns=time.time_ns(), lost=source.overflows - overflows, source="inotify"))
            roots = {watch.path for watch in self.engine.looks.watches.watches}
            paths = [dirty for dirty in paths if not (dirty.recursive and dirty.path in roots)]
        for dirty in paths:
            self.engine.mark_dirty(dirty.path, below=dirty.recursive, settles=not dirty.closed_write)

    def _say_unseen(self, source: DirtyPaths, now_s: float) -> None:
        """Say what inotify cannot see, or not at once: when it comes up, and what is new of it once a minute."""
        new = tuple(words for words in source.problems if words not in self._unseen)
        if new and now_s >= self._next["unseen"]:
            self._next["unseen"] = now_s + _UNSEEN_S
            self._unseen = frozenset(source.problems)
            self._telling.say(new)

    # What cannot be heard.

    def _go_blind(self, blind: Blind) -> None:
        """Say that records were lost, fill the gap from the log where there is one, and look at everything by metadata."""
        self.engine.add_note(blind.note())
        if blind.lost:
            self._coverage.lose(blind)
            self.status.lost[blind.source] = self.status.lost.get(blind.source, 0) + blind.lost
        self.status.blind_intervals += 1
        self.status.last_blind_ns = blind.to_ns
        self._telling.show(Told(blind=(blind,)))
        self._catch_up()
        self._rescans.start(quick=True)

    def _ask_hearing(self) -> None:
        """Say it where nothing is recorded any more, or is again; what happens meanwhile is found by looking."""
        if self._hearing is None:
            return
        heeded = self._hearing.ask()
        if self._kernel_lost is not None and (lost := self._kernel_lost.take(self._hearing.lost)) is not None:
            self._go_blind(lost)
        if heeded.blind is not None:
            self._coverage.go_deaf(self._hearing.cause, self._hearing.problem, since_ns=self._hearing.since_ns)
        self.status.problem = self._hearing.problem
        self._telling.say(heeded.words)
        if self.status.problem and heeded.blind is not None:
            self._stand_in_for_records()  # before everything is looked at: nothing falls between
        if heeded.blind is not None:
            self._go_blind(heeded.blind)
        elif heeded.rescan:
            self._rescans.start(quick=True)

    def _stand_in_for_records(self) -> None:
        """Have inotify say what may have changed: who stops the records first would have a minute for each change."""
        if self._stand_in is not None:
            return
        self._files_ns = time.time_ns()
        try:
            self._stand_in = open_dirty(self.config)
        except HostError as error:
            self._telling.say((str(error),))

    def _catch_up(self) -> None:
        """Read auditd's log up to its end: it fills gaps, and its cursor moves in step with what is stored."""
        while self._read_log():
            pass

    def _catch_up_idly(self) -> None:
        """Do the same while nothing else is to be done, for a while: after a storm there is much, and an alarm comes first."""
        kernel, until_s = self._sources.kernel, time.monotonic() + _IDLE_READ_S
        while self._read_log() and time.monotonic() < until_s:
            if kernel is not None and select.select([kernel], [], [], 0)[0]:
                return

    def _read_log(self) -> bool:
        """Read a part of auditd's log, and tell whether there is more."""
        self._next["catch_up"] = time.monotonic() + _CATCH_UP_S
        kernel = self._sources.kernel
        if kernel is None or not find_rotations(self._log.log):
            return False
        heard = self._log.hear(self.engine.concerns, kernel.is_news)
        if heard.cursor is not None:
            heard.words.clear()
            heard.gaps.clear()  # what the log lacks the kernel has told
            self._take_log(heard, self.engine.take_again)
        return self._log.has_more

    # What is told.

    def _told(self, batch: Batch) -> None:
        self.status.looks += batch.looked
        self._panic.gone(batch.undone)
        if batch.gone:
            self._telling.show(Told(gone=len(batch.gone)))
        if batch.unstored:
            self._tell_unstored(self._packages.take(self._unstored.take_early(batch)))
        new = self._unstored.take_new(batch.new)
        self._tell_explained(self._packages.take(new))
        # After the alarm, and before any mail: a letter is made in a later step.
        self._telling.say(self._contents.keep_findings(new, budget_s=_KEEP_S))

    def _tell_unstored(self, explained: Explained) -> None:
        """Tell what the store refused, without a search of contents: that is for what is stored."""
        self._telling.say(explained.words)
        if explained.findings:
            self.status.findings += len(explained.findings)
            self._panic.take(explained.findings)
            self._telling.tell_new(explained.findings)
            self._mail.take(explained.findings)

    def _tell_explained(self, explained: Explained) -> None:
        """Tell what packages cannot have done, or were asked about; the rest waits for their answer."""
        self._telling.say(explained.words)
        self.engine.note_explained(explained.findings)
        self._tell_new(explained.findings)

    def _tell_new(self, findings: Sequence[Finding]) -> None:
        if findings:
            self.status.findings += len(findings)
            self._panic.take(findings)  # which waits for nothing: what is in a file makes nothing less critical
            self._tell_judged(Judged(self._content.take(findings), []))

    def _tell_judged(self, judged: Judged) -> None:
        """Tell what was searched, or is not to be, or has waited for long enough."""
        self._telling.say(judged.words)
        if judged.findings:
            # What was announced was nobody's alarm before it was looked into.
            if found_out := [one for one in judged.findings if one.verdict is Verdict.SUSPECT and is_announced(one)]:
                self._panic.take(found_out)
            self._telling.tell_new(judged.findings)
            self._mail.take(judged.findings)

    # Now and then.

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._next["tick"] = now_s + _TICK_S
        self._ask_hearing()
        if self._sources.dirty is not None:
            self._say_unseen(self._sources.dirty, now_s)
            self._coverage.set_unseen(self._sources.dirty.unseen)
        elif self._stand_in is not None:
            self._say_unseen(self._stand_in, now_s)
        self._telling.say(self._coverage.step())
        self._tell_new(self._unstored.add(self._coverage.take_findings()))
        self._tell_refusal()
        if self.engine.notice_others():
            self._seal.note_write()
        self._tell_seal()
        quiet = self.engine.waiting == 0 and self.status.backlog_bytes < 1 << 20
        if quiet:
            late_s = _OVERDUE_S if self._sources.name == "kernel" else _OVERDUE_S + self.config.sources.osquery_interval_s
            self._tell_new(self.engine.find_unmet(now_ns=time.time_ns() - late_s * 1_000_000_000))
        if quiet and (now_s >= self._next["catch_up"] or self._log.unread_bytes > _CATCH_UP_BYTES):
            self._catch_up_idly()
        self._rescans.start_due(now_s)
        if now_s >= self._next["limits"]:
            self._next["limits"] = now_s + _LIMITS_S
            self._panic.send_waiting()
            self._limit_store()
        elif now_s >= self._next["size"]:
            self._next["size"] = now_s + _SIZE_S
            if is_too_big(self.config, self.store):
                self._limit_store()
        if quiet:
            self.engine.flush()
        self._write_status()
        notify_systemd.alive()
        notify_systemd.status(self._words())

    def _tell_seal(self) -> None:
        """Look at the seal where that is due, and tell what came of it."""
        findings, words = self._seal.step()
        self._telling.say(words)
        self._tell_new(self._unstored.add(findings))

    def _tell_refusal(self) -> None:
        """Say that nothing can be stored, or can again; what could not wait for that is looked for by a look at everything."""
        words, lost = self._unstored.step()
        self._telling.say(words)
        if lost is not None:
            self._go_blind(lost)
        if self._hearing is None or not self._hearing.problem:
            self.status.problem = self.engine.trouble

    def _limit_store(self) -> None:
        """Begin to drop what the store has too much of, unless that is under way."""
        if self._limiting is not None:
            return
        try:
            words, self._limiting = begin_limits(self.config, self.store, now_ns=time.time_ns(), rows=_LIMIT_ROWS)
            self._telling.say(words)
        except HostError as error:
            self._telling.say((str(error),))

    def _go_on_limiting(self) -> None:
        """Drop another part where it is time: a storm fills the store as fast as it is emptied, and an alarm waits for neither."""
        began_s = time.monotonic()
        if self._limiting is None or began_s < self._next["part"]:
            return
        rest = _LIMIT_REST_FULL if is_too_big(self.config, self.store, by=_LIMIT_FULL) else _LIMIT_REST
        until_s = began_s + min((began_s - self._next["part"]) / rest, _LIMIT_LONGEST_S)  # it is late itself after a long turn
        limiting, has_more, words = self._limiting, True, []
        now_s = began_s
        while has_more and (now_s == began_s or now_s < until_s):
            try:
                has_more = limiting.step()
            except HostError as error:
                has_more, words = False, [str(error)]
            now_s = time.monotonic()
        self._next["part"] = now_s + rest * (now_s - began_s)
        if not has_more:
            self._limiting = None
            self._telling.say([*limiting.words(), *words])

    def _write_status(self) -> None:
        write_numbers(
            self.status, self._status_file, self._rates, sources=self._sources, engine=self.engine, telling=self._telling,
            osquery=self._osquery, panic=self._panic, content=self._content, mail=self._mail,
        )

    def _words(self) -> str:
        return render_numbers(self.status)

    def _reload(self) -> None:
        notify_systemd.reloading()
        try:
            config = self._load()
            old, new = self.config, config
            same = (old.host.name, old.host.state_dir, old.sources) == (new.host.name, new.host.state_dir, new.sources)
            if not same:
                words = "host.name, host.state_dir and [sources] cannot change while it runs: stop it and start it again"
                raise ConfigError([words])
        except (FimkitError, OSError) as error:
            problems = error.problems if isinstance(error, ConfigError) else (str(error),)
            self._telling.say((*problems, "the new configuration is refused: the old one stays in force"))
        else:
            self.config, self._packages.config = config, frozen_config(config)
            self._seal.config = config
            self._telling.report_file = config.host.report_file
            self._panic.reconfigure(config)
            self._coverage.config = config
            self._content.reconfigure(config)
            self._contents = ContentKeeper(config)
            self._mail.reconfigure(config)
            self.engine.reconfigure(config, scanned_watches(config))
            if self._hearing is not None:
                self._hearing.reconfigure(config)
            for dirty in (self._sources.dirty, self._stand_in):
                if dirty is not None:
                    dirty.reconfigure(WatchSet(scanned_watches(config)))
            self._rescans.reconfigure(config)
            self._telling.say(("the configuration was read anew",))
        notify_systemd.ready(self._words())

    def _finish(self) -> None:
        """Take what was recorded until now, look at all that waits, and leave the cursors where the store stands.

        In a storm there may be more than can be read in time: that is counted and said, and the next start reads it from the log.
        """
        until = time.monotonic() + _END_S
        self.store.wait_at_most(_STORE_END_S)
        left_bytes = self._finish_records(until)
        until_log = max(until, time.monotonic() + _END_LOG_S)
        while self._read_log() and time.monotonic() < until_log:
            pass
        self.engine.notice_others()  # what was accepted in the last second is open no more
        while self.engine.waiting and time.monotonic() < until:
            self._told(self.engine.step(everything=True))
            if self.engine.refusal is not None:
                break
        self._tell_rest(left_bytes)
        self._telling.say([] if self._limiting is None else self._limiting.words())
        self._tell_judged(self._content.flush(self.store, until - time.monotonic()))
        self.engine.flush()
        self._telling.say(self._mail.finish())
        self._telling.say(self._coverage.last_words())
        self._panic.say_stopped(self._stopping, since_ns=self.status.started_ns)
        self._read_panic()
        self._telling.release(everything=True)
        self.status.stuck = not self._telling.outlet.end(_END_SHOW_S)
        self.engine.set_shown(self._telling.take_shown())
        self.engine.flush()
        if self.engine.refusal is not None:
            raise self.engine.refusal

    def _finish_records(self, until: float) -> int:
        """Take the kernel's records that there are; give how many bytes of them could not be taken in time."""
        kernel = self._sources.kernel
        if kernel is None:
            return 0
        kernel.drain.finish()
        while time.monotonic() < until:
            heard = kernel.hear()
            self._take(heard, self.engine.take)
            self._told(self.engine.step())
            if heard.ended:
                return 0
            if not heard.changes:
                time.sleep(0.005)
        return max(1, kernel.drain.backlog_bytes)

    def _tell_rest(self, left_bytes: int) -> None:
        """Say what is left to the next start; records that it cannot read any more are a gap."""
        kernel = self._sources.kernel
        rest = Rest(
            records_bytes=left_bytes, log_bytes=self._log.left_bytes if kernel is not None else 0, paths=self.engine.waiting,
            has_log=bool(find_rotations(self._log.log)),
        )  # fmt: skip
        if kernel is not None and rest.is_lost:
            self._coverage.leave(from_ns=kernel.newest_ns, words=f"{rest.records_bytes} bytes of records were not read at the end")
        self._telling.say(render_rest(rest))
