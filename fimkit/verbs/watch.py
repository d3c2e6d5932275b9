"""Follows the records live: what changed is found, attributed, stored and told as it happens, until it is stopped."""

import contextlib
import os
import resource
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import FrameType

from fimkit.audit.drain import Drain
from fimkit.audit.logfile import LogCursor, find_rotations
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.evidence.folder import file_access
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store
from fimkit.model.changes import Change, Source
from fimkit.model.config import Config
from fimkit.model.errors import ConfigError, FimkitError, HostError
from fimkit.model.findings import Finding
from fimkit.model.paths import render_path
from fimkit.model.records import BadLine
from fimkit.model.time import render_time
from fimkit.model.watches import WatchSet
from fimkit.panic.rights import drop_rights, join_group
from fimkit.verbs import notify_systemd
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.check import CheckOptions, look_at_all
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.place import list_mounts
from fimkit.verbs.report_file import append_lines, render_report_line
from fimkit.verbs.watch_engine import Batch, Engine
from fimkit.verbs.watch_explain import Explained, PackageHold
from fimkit.verbs.watch_groups import FindingGroup, Grouper
from fimkit.verbs.watch_hearing import Hearing
from fimkit.verbs.watch_outlet import Outlet
from fimkit.verbs.watch_records import AuditLogTail, Blind, Heard, KernelLost, KernelRecords, OsqueryTail
from fimkit.verbs.watch_rescan import Rescan, RescanResult
from fimkit.verbs.watch_status import LOCK_NAME, StatusFile, WatchStatus, load_watch_status

__all__ = ["Records", "Told", "WatchOptions", "watch"]

_TICK_S = 1.0
_OSQUERY_S = 0.25
_LOG_S = 0.02
_CATCH_UP_S = 10.0
_LIMITS_S = 3600.0
_FIRST_NS = 10_000_000_000
_UNSEEN_S = 60.0
_END_S = 30.0
_END_SHOW_S = 3.0
_HELD_UP_S = 5.0
_START_LOCK_S = 600.0
_SLACK_NS = 2_000_000_000
_KEPT_RIGHTS = ("AUDIT_READ", "AUDIT_CONTROL", "DAC_READ_SEARCH")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_NO_WHO = "so what changes is seen by inotify, and there will be no who"

Sink = Callable[[Sequence[Finding]], None]


class Records(StrEnum):
    """Where the records of who does what come from."""

    AUTO = "auto"      # the first of the three that this host gives
    KERNEL = "kernel"  # the multicast group
    LOG = "log"        # auditd's log as it grows
    FILES = "files"    # none: inotify says what may have changed


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """What the caller may ask for: where records come from, and how much may wait in the socket."""

    records: Records = Records.AUTO
    buffer_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is to be shown now: findings, bursts of them, blind intervals, how many differences are no more, and words."""

    findings: tuple[Finding, ...] = ()
    groups: tuple[FindingGroup, ...] = ()
    blind: tuple[Blind, ...] = ()
    gone: int = 0
    words: tuple[str, ...] = ()


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
    open_baseline(config)[0].close()  # says what is missing before the lock makes its file
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock_state(config.host.state_dir, verb="watch", name=LOCK_NAME))
        before = load_watch_status(config.host.state_dir)
        signals = stack.enter_context(_Signals())
        watcher = _Watcher(load, config, options, tell, sinks, stack)
        watcher.start(before)
        watcher.run(signals)
        return watcher.status


class _Signals(contextlib.AbstractContextManager["_Signals"]):
    """Signals as something to be read beside the rest; none of them interrupts a batch."""

    def __init__(self) -> None:
        self.caught: deque[int] = deque()
        self.reader, self._writer = socket.socketpair()
        for end in (self.reader, self._writer):
            end.setblocking(False)
        self._before = {number: signal.signal(number, self._catch) for number in _SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.caught.append(number)

    def take(self) -> Iterator[int]:
        """Give what came since."""
        with contextlib.suppress(BlockingIOError):
            self.reader.recv(4096)
        while self.caught:
            yield self.caught.popleft()

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self.reader.close()
        self._writer.close()


@dataclass(slots=True)
class _Sources:
    """The sources of one run. Exactly one of ``kernel``, ``dirty`` and neither (then the log is followed closely)."""

    kernel: KernelRecords | None = None
    dirty: DirtyPaths | None = None
    words: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return "kernel" if self.kernel is not None else "files" if self.dirty is not None else "log"


def _open_sources(config: Config, options: WatchOptions, stack: contextlib.ExitStack) -> _Sources:
    """Take the best source that the host gives: the kernel's records, auditd's log, inotify."""
    sources = _Sources()
    wanted = options.records
    if wanted in (Records.AUTO, Records.KERNEL):
        try:
            drain = Drain(
                buffer_bytes=options.buffer_bytes,
                spool_dir=os.fsdecode(config.host.state_dir),
                opened=lambda: sources.words.extend(_drop_rights(config)),
            )
            sources.kernel = KernelRecords(stack.enter_context(drain))
        except HostError as error:
            if wanted is Records.KERNEL:
                raise
            sources.words.append(str(error))
    if sources.kernel is not None:
        return sources
    if wanted is not Records.FILES:
        shown, trouble = render_path(config.sources.audit_log), _try_log(config.sources.audit_log)
        if trouble is None:
            sources.words.append(f"the records are read from {shown} as it grows; if nobody writes it here: --records files")
            return sources
        if wanted is Records.LOG:
            raise HostError(f"no audit log can be read at {shown}: {trouble}")
        sources.words.append(f"no audit log can be read at {shown}: {trouble}")
    sources.dirty = stack.enter_context(_open_dirty(config))
    sources.words.append(f"neither live audit records nor a log of them can be had, {_NO_WHO}")
    return sources


def _try_log(log: bytes) -> str | None:
    """Say why neither a log nor a rotation of it can be read: its folder may be missing, or closed to this user."""
    trouble = "No such file or directory"
    for path in reversed(find_rotations(log)):
        try:
            with open(path, "rb"):
                return None
        except OSError as error:
            trouble = error.strerror or str(error)
    return trouble


def _drop_rights(config: Config) -> list[str]:
    """Give up what the start alone needs, as the large buffer's right; say it where that cannot be. Again, it changes nothing."""
    if os.geteuid() != 0:
        return []
    try:
        join_group(file_access(config.host.state_dir)[1])  # a member gives its files to the group without a right
        drop_rights(_KEPT_RIGHTS)
    except HostError as error:
        return [f"the rights that are not needed any more were kept: {error}"]
    return []


def _open_dirty(config: Config) -> DirtyPaths:
    return DirtyPaths(WatchSet(scanned_watches(config)), mounts=list_mounts)


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
    ) -> None:
        self.config = config
        self.status = WatchStatus(pid=os.getpid(), started_ns=time.time_ns())
        self._load, self._options, self._sinks, self._stack = load, options, sinks, stack
        self._status_file = stack.enter_context(StatusFile(config.host.state_dir))
        self._sources = _open_sources(config, options, stack)
        self.status.records = self._sources.name
        self._status_file.write(self.status)
        self._kernel_lost = KernelLost() if self._sources.kernel is not None else None
        self._sources.words += _drop_rights(config)  # where no kernel's records were to be had, for the first time here
        self._outlet: Outlet[Told] = stack.enter_context(Outlet(tell))  # after the rights are dropped: each thread has its own
        self._unshown_said = 0
        name = self._sources.name
        self._hearing = None if name == "files" else Hearing(config, needs_log=name == "log")
        self._groups = Grouper(time.monotonic)
        self._rescan: Rescan | None = None
        self._rescan_again = False
        self._osquery_changes: list[Change] = []
        self._next = dict.fromkeys(("tick", "osquery", "log", "catch_up", "unseen"), 0.0)
        self._next["limits"] = time.monotonic() + _LIMITS_S
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=11)
        self._stopping = False
        self._files_ns = time.time_ns()
        self._unseen: frozenset[str] = frozenset()
        self._said_by_rescans: frozenset[str] = frozenset()

    # The start.

    def start(self, before: WatchStatus | None) -> None:
        """Look at everything once, as `check` does: what happened while nobody watched is found by that, and said."""
        config = self.config
        store, _ = open_baseline(config)
        self.store: Store = self._stack.enter_context(store)
        with lock_state(config.host.state_dir, wait_s=_START_LOCK_S, verb="watch"):
            meta = self.store.baseline_meta()
            assert meta is not None
            mark = _mark_downtime(before, look_ns=time.time_ns())
            checked, look = look_at_all(config, CheckOptions(), self.store, meta.time_ns, mark=mark)
        self.engine = Engine(
            config,
            self.store,
            watches=scanned_watches(config),
            since_ns=meta.time_ns,
            before=look.before,
            after=look.after,
            hidden=lambda path: False,
            changes=look.changes,
            has_records=self._sources.dirty is None,
        )
        self.engine.is_hidden = look.sight.as_of(self.engine.looks.after).is_hidden
        self._packages = PackageHold(config, self.store)
        self._osquery_changes = [change for change in look.changes if change.source is Source.OSQUERY]
        sources = config.sources
        self._log = AuditLogTail(sources.audit_log, config.host.name, self._cursor("audit", sources.audit_log))
        self._osquery = OsqueryTail(sources.osquery_log, config.host.name, self._cursor("osquery", sources.osquery_log))
        self._next_rescan = self._rescan_due()
        self._show(Told(words=(*self._sources.words, *checked.words)))
        self._tell_new(checked.new)
        self.status.ready = True
        self._tick()
        notify_systemd.ready(self._words())

    def _cursor(self, source: str, log: bytes) -> LogCursor | None:
        saved = self.store.cursor(source, log)
        return None if saved is None else LogCursor(**saved)

    def _rescan_due(self) -> float:
        seconds = self.config.watch.rescan_s
        return time.monotonic() + seconds if seconds else float("inf")

    # The loop.

    def run(self, signals: _Signals) -> None:
        """Go on until a stop is asked for, then finish what there is."""
        selector = self._stack.enter_context(selectors.DefaultSelector())
        selector.register(signals.reader, selectors.EVENT_READ)
        selector.register(self._outlet, selectors.EVENT_READ)
        for source in (self._sources.kernel, self._sources.dirty):
            if source is not None:
                selector.register(source, selectors.EVENT_READ)
        try:
            while not self._stopping:
                if self._rescan is not None and self._rescan.fileno() not in selector.get_map():
                    selector.register(self._rescan.fileno(), selectors.EVENT_READ)
                selector.select(self._pause())
                for number in signals.take():
                    self._signal(number)
                self._turn(selector)
            self._finish()
        finally:
            if self._rescan is not None:
                self._rescan.end()
            self._packages.end()
            self.status.stopped_ns = time.time_ns()
            self._write_status()
            notify_systemd.stopping()

    def _pause(self) -> float:
        dues = [self._next["tick"], self._next["osquery"], self.engine.next_s, self._groups.next_s, self._packages.next_s]
        if self._sources.name == "log":
            dues.append(self._next["log"])
        due = min(one for one in dues if one is not None)
        return max(0.0, due - time.monotonic())

    def _signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            self._start_rescan(quick=False)
        else:
            self._stopping = True

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
        if now_s >= self._next["osquery"]:
            self._next["osquery"] = now_s + _OSQUERY_S
            self._take_osquery()
        self._read_rescan(selector)
        self._told(self.engine.step())
        self._tell_explained(self._packages.read())
        self._release()
        self._note_shown()
        if now_s >= self._next["tick"]:
            self._tick()

    def _take(self, heard: Heard, take: Callable[[list[Change]], int]) -> None:
        """Take in what was heard; what may have been read at the start too is told apart by what it says."""
        first_ns = self.status.started_ns + _FIRST_NS
        if heard.changes and heard.changes[0].time_ns < first_ns:
            take = self.engine.take_again
        self.status.changes += take(heard.changes)
        for note in heard.notes:
            self.engine.add_note(note)
        if self._hearing is not None:
            self._hearing.note(heard.notes)
        self._keep_bad(heard.bad_lines)
        for blind in heard.blind:
            self._go_blind(blind)
        if heard.words:
            self._show(Told(words=tuple(dict.fromkeys(heard.words))))

    def _keep_bad(self, lines: Sequence[BadLine]) -> None:
        if lines:
            self.store.add_bad_lines(lines, time_ns=time.time_ns())

    def _take_log(self, heard: Heard, take: Callable[[list[Change]], int]) -> None:
        self._take(heard, take)
        if heard.cursor is not None:
            self.engine.set_cursor("audit", self._log.log, heard.cursor)

    def _take_osquery(self) -> None:
        looks = self.engine.looks
        heard = self._osquery.hear(self.engine.concerns, looks.before, looks.after, lambda: self._osquery_changes)
        if heard.changes:
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
            self._show(Told(words=new))

    # What cannot be heard.

    def _go_blind(self, blind: Blind) -> None:
        """Say that records were lost, fill the gap from the log where there is one, and look at everything by metadata."""
        self.engine.add_note(blind.note())
        if blind.lost:
            self.status.lost[blind.source] = self.status.lost.get(blind.source, 0) + blind.lost
        self.status.blind_intervals += 1
        self.status.last_blind_ns = blind.to_ns
        self._show(Told(blind=(blind,)))
        self._catch_up()
        self._start_rescan(quick=True)

    def _ask_hearing(self) -> None:
        """Say it where nothing is recorded any more, or is again; what happens meanwhile is found by looking."""
        if self._hearing is None:
            return
        heeded = self._hearing.ask()
        self.status.problem = self._hearing.problem
        self._show(Told(words=heeded.words))
        if heeded.blind is not None:
            self._go_blind(heeded.blind)
        elif heeded.rescan:
            self._start_rescan(quick=True)

    def _catch_up(self) -> None:
        """Read auditd's log up to its end: it fills gaps, and its cursor moves in step with what is stored."""
        self._next["catch_up"] = time.monotonic() + _CATCH_UP_S
        if self._sources.name != "kernel" or not find_rotations(self._log.log):
            return
        heard = self._log.hear(self.engine.concerns)
        if heard.cursor is not None:
            heard.words.clear()
            self._take_log(heard, self.engine.take_again)

    def _start_rescan(self, *, quick: bool) -> None:
        if self._rescan is not None:
            self._rescan_again = True
            return
        self._next_rescan = self._rescan_due()
        self._rescan = Rescan(self.config.host.state_dir, self.engine.looks.watches.watches, quick=quick)
        self.status.rescanning = True

    def _read_rescan(self, selector: selectors.BaseSelector) -> None:
        if self._rescan is None or (result := self._rescan.read()) is None:
            return
        if self._rescan.fileno() in selector.get_map():
            selector.unregister(self._rescan.fileno())
        self._rescan.end()
        self._rescan = None
        self._use_rescan(result)
        if self._rescan_again:
            self._rescan_again = False
            self._start_rescan(quick=True)

    def _use_rescan(self, result: RescanResult) -> None:
        self.status.rescanning = False
        self._show(Told(words=tuple(words for words in result.words if words not in self._said_by_rescans)))
        self._said_by_rescans = frozenset(result.words)
        if not result.is_whole:
            return
        self.engine.take_rescan(result.differing, result.hidden)
        self.status.rescans += 1
        self.status.last_rescan_ns = time.time_ns()

    # What is told.

    def _told(self, batch: Batch) -> None:
        self.status.looks += batch.looked
        if batch.gone:
            self._show(Told(gone=len(batch.gone)))
        self._tell_explained(self._packages.take(batch.new))

    def _tell_explained(self, explained: Explained) -> None:
        """Tell what packages cannot have done, or were asked about; the rest waits for their answer."""
        self._show(Told(words=tuple(explained.words)))
        self._tell_new(explained.findings)

    def _tell_new(self, findings: Sequence[Finding]) -> None:
        if not findings:
            return
        self.status.findings += len(findings)
        for sink in self._sinks:
            sink(findings)
        at_once = self._groups.take(findings)
        if at_once:
            self._show(Told(findings=tuple(at_once)), [finding.id for finding in at_once])
            self._report([render_report_line(finding, now_ns=time.time_ns()) for finding in at_once])

    def _release(self, *, everything: bool = False) -> None:
        for group in self._groups.release(everything=everything):
            self._show(Told(groups=(group,)), group.ids)
            line = render_report_line(group.worst, now_ns=time.time_ns())
            self._report([f"{line} and {group.count - 1} more like it"])

    def _show(self, told: Told, ids: Sequence[str] = ()) -> None:
        if told != Told():
            self._outlet.put(told, ids, size=1 + len(told.findings) + len(told.groups))

    def _note_shown(self) -> None:
        """Note in the store what was shown, and say how much was not for want of a reader."""
        if ids := self._outlet.shown():
            self.store.tell(ids, time_ns=time.time_ns())
        unshown = self._outlet.unshown - self._unshown_said
        if unshown and not self._outlet.held_up_s():
            words = f"{unshown} findings were not shown, for nobody read the output in time: `fimkit check` prints them"
            if self._outlet.put(Told(words=(words,))):
                self._unshown_said += unshown

    def _report(self, lines: Sequence[str]) -> None:
        try:
            append_lines(self.config.host.report_file, lines)
        except HostError as error:
            self._show(Told(words=(str(error),)))

    # Now and then.

    def _tick(self) -> None:
        now_s = time.monotonic()
        self._next["tick"] = now_s + _TICK_S
        if self._kernel_lost is not None and (blind := self._kernel_lost.hear()) is not None:
            self._go_blind(blind)
        self._ask_hearing()
        if self._sources.dirty is not None:
            self._say_unseen(self._sources.dirty, now_s)
        self.engine.notice_others()
        quiet = self.engine.waiting == 0 and self.status.backlog_bytes < 1 << 20
        if quiet and now_s >= self._next["catch_up"]:
            self._catch_up()
        if now_s >= self._next_rescan:
            self._start_rescan(quick=False)
        if now_s >= self._next["limits"]:
            self._next["limits"] = now_s + _LIMITS_S
            limits = self.config.store
            words = self.store.apply_limits(keep_days=limits.keep_days, max_mb=limits.max_mb, now_ns=time.time_ns())
            self._show(Told(words=tuple(words)))
        if quiet:
            self.engine.flush()
        self._write_status()
        notify_systemd.alive()
        notify_systemd.status(self._words())

    def _write_status(self) -> None:
        status, kernel = self.status, self._sources.kernel
        if kernel is not None:
            status.events, status.lag_s = kernel.events, kernel.lag_s
            status.backlog_bytes = kernel.drain.backlog_bytes
        status.open, status.waiting = self.engine.open_count, self.engine.waiting
        status.unshown, status.held_up_s = self._outlet.unshown, round(self._outlet.held_up_s(), 1)
        status.held, status.remembered = self._groups.held, len(self.engine.picture.changes)
        status.osquery_rows = self._osquery.rows
        usage = resource.getrusage(resource.RUSAGE_SELF)
        status.cpu_s = usage.ru_utime + usage.ru_stime
        status.memory_bytes = _memory_bytes(os.getpid()) + (0 if kernel is None else _memory_bytes(kernel.drain.process.pid))
        self._rates.append((time.monotonic(), status.events, status.findings))
        first = self._rates[0]
        seconds = max(time.monotonic() - first[0], 1.0)
        status.events_per_s = round((status.events - first[1]) / seconds, 1)
        status.findings_per_s = round((status.findings - first[2]) / seconds, 1)
        self._status_file.write(status)

    def _words(self) -> str:
        status = self.status
        lost = f", {sum(status.lost.values())} lost" if status.lost else ""
        held_up = f"; nobody has read the output for {status.held_up_s:.0f} s" if status.held_up_s > _HELD_UP_S else ""
        problem = (f"; {status.problem}" if status.problem else "") + held_up
        return f"{status.open} open, {status.events_per_s:.0f} events/s, lag {status.lag_s:.1f} s{lost}{problem}"

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
            self._show(Told(words=(*problems, "the new configuration is refused: the old one stays in force")))
        else:
            self.config = self._packages.config = config
            self.engine.reconfigure(config, scanned_watches(config))
            if self._hearing is not None:
                self._hearing.reconfigure(config)
            if self._sources.dirty is not None:
                self._sources.dirty.reconfigure(WatchSet(scanned_watches(config)))
            self._next_rescan = min(self._next_rescan, self._rescan_due())
            self._show(Told(words=("the configuration was read anew",)))
        notify_systemd.ready(self._words())

    def _finish(self) -> None:
        """Take what was recorded until now, look at all that waits, and leave the cursors where the store stands."""
        until = time.monotonic() + _END_S
        kernel = self._sources.kernel
        if kernel is not None:
            kernel.drain.finish()
            ended = False
            while not ended and time.monotonic() < until:
                heard = kernel.hear()
                ended = heard.ended
                self._take(heard, self.engine.take)
                self._told(self.engine.step())
                if not ended and not heard.changes:
                    time.sleep(0.005)
        self._catch_up()
        while self.engine.waiting and time.monotonic() < until:
            self._told(self.engine.step(everything=True))
        self.engine.flush()
        self._release(everything=True)
        self.status.stuck = not self._outlet.end(_END_SHOW_S)
        self._note_shown()


def _memory_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _mark_downtime(before: WatchStatus | None, *, look_ns: int) -> Callable[[Finding], Finding]:
    """Give what says of a finding of the first look that it is of the time when no watch was at work."""
    alive_ns = 0 if before is None else before.stopped_ns or before.written_ns

    def mark(finding: Finding) -> Finding:
        times = [actor.time_ns for actor in finding.actors]
        if finding.after is not None and finding.after.ctime_ns is not None:
            times.append(finding.after.ctime_ns)
        if not alive_ns or (times and max(times) < alive_ns - _SLACK_NS):
            return finding
        words = f"it happened while no watch was at work (from {render_time(alive_ns)} to {render_time(look_ns)})"
        return replace(finding, reasons=(*finding.reasons, words))

    return mark
