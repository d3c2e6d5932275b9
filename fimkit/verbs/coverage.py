"""The coverage ledger of this host: what check and watch write into it, and the one question that is asked of it."""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fimkit.baseline.problems import VANISHED
from fimkit.evidence.full_disk import load_full, prepare_mark
from fimkit.evidence.log_rows import LAST_CHECK
from fimkit.evidence.reader import Reader, open_reader
from fimkit.evidence.store import Store
from fimkit.model.changes import Note
from fimkit.model.config import Config
from fimkit.model.coverage import Cause, Gap, Interval, Sense, cut_intervals, gaps_of_notes, say_gaps, select_gaps, weighty
from fimkit.model.errors import FimkitError
from fimkit.verbs.coverage_host import ask_host
from fimkit.verbs.coverage_judge import LONG_NS, GapsNow, first_enabling, gaps_of_full_disk, gaps_of_watch, judge_host
from fimkit.verbs.old_processes import load_boot_time
from fimkit.verbs.watch_status import WatchStatus, load_watch_status

__all__ = [
    "COVERAGE_STATE", "Coverage", "all_gaps", "close_downtime", "coverage", "coverage_of", "gap_words", "judge_now", "keep_gaps",
    "last_look_ns", "unread_gaps",
]  # fmt: skip

COVERAGE_STATE = ("coverage", b"")
"""The cursor that says how the sources stood when they were last asked."""

_MOST_UNREAD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What could be seen of a path (``None``: of all) in a time: the gaps by their beginning, and which sources there are."""

    since_ns: int
    until_ns: int
    path: bytes | None
    senses: tuple[Sense, ...]
    gaps: tuple[Gap, ...]

    def intervals(self) -> Iterable[Interval]:
        """Cut the time into intervals in which the same sources could see."""
        return cut_intervals(self.gaps, self.senses, since_ns=self.since_ns, until_ns=self.until_ns)


# What is written.


def judge_now(config: Config, store: Store, notes: Sequence[Note] = ()) -> GapsNow:
    """Ask the host, and judge what it says by what was known before.

    Args:
        config: The configuration.
        store: Open; nothing is written.
        notes: What the sources said that is not stored yet.
    """
    every = [*store.notes(), *notes]
    was = store.cursor(*COVERAGE_STATE) or {}
    sight = ask_host(config, was, first_enabled_s=first_enabling(every, load_boot_time()))
    status = load_watch_status(config.host.state_dir)
    reads_kernel = status is not None and status.running and status.records == "kernel"
    judged = judge_host(sight, was, every, known=store.gaps(), reads_kernel=reads_kernel)
    down = gaps_of_watch(status, now_ns=sight.now_ns)
    prepare_mark(config.host.state_dir)
    full = load_full(config.host.state_dir)
    told_ns = int(was.get("full_ns", 0)) if full is None else full.to_ns
    return GapsNow(
        open=(*judged.open, *down), over=(*judged.over, *gaps_of_full_disk(full, was)),
        judged=judged.judged | {(Sense.LIVE, Cause.WATCH_DOWN)}, state={**(judged.state or {}), "full_ns": told_ns},
    )  # fmt: skip


def keep_gaps(store: Store, judged: GapsNow, *, now_ns: int) -> None:
    """Write a judgement, in the caller's transaction if there is one."""
    with store.transaction():
        store.add_gaps(judged.over)
        store.settle_gaps(judged.open, judged=judged.judged, now_ns=now_ns)
        if judged.state is not None:
            store.set_cursor(*COVERAGE_STATE, judged.state)


def close_downtime(store: Store, before: WatchStatus | None, *, now_ns: int) -> None:
    """Write that no watch was at work until now: the first thing that a watch does."""
    ended = None if before is None else replace(before, running=False)  # its lock is held by now: by the watch that begins
    over = [replace(gap, to_ns=now_ns) for gap in gaps_of_watch(ended, now_ns=now_ns)]
    with store.transaction():
        store.settle_gaps([], judged={(Sense.LIVE, Cause.WATCH_DOWN)}, now_ns=now_ns)
        store.add_gaps(over)


def unread_gaps(
    mounts: Iterable[bytes], problems: Mapping[bytes, str], *, since_ns: int, now_ns: int, last_ns: int | None
) -> GapsNow:
    """Give what one scan could not look at.

    Args:
        mounts: Folders in watched trees where another file system is mounted, which is not looked at.
        problems: What could not be read, with why.
        since_ns: Since when that may be so: the look before.
        now_ns: When the scan was taken.
        last_ns: When a check looked last; ``None`` if none did.
    """

    def gap(cause: Cause, path: bytes | None, words: str) -> Gap:
        return Gap(from_ns=min(since_ns, now_ns), to_ns=None, source=Sense.SCAN, cause=cause, words=words, path=path)

    mounted = "a file system is mounted here, and what lies on it is not looked at"
    found = [gap(Cause.MOUNT, path, mounted) for path in sorted(mounts)]
    unread = sorted((path, words) for path, words in problems.items() if words != VANISHED)
    found += [gap(Cause.UNREAD, path, words) for path, words in unread[:_MOST_UNREAD]]
    if (left := len(unread) - _MOST_UNREAD) > 0:
        found.append(gap(Cause.UNREAD, None, f"{left} more paths could not be read"))
    over = []
    if last_ns is not None and now_ns - last_ns > LONG_NS:
        words = "nobody looked at the host: what came and went is known from logs alone"
        over.append(Gap(from_ns=last_ns, to_ns=now_ns, source=Sense.SCAN, cause=Cause.NO_CHECK, words=words))
    return GapsNow(
        open=tuple(found), over=tuple(over), judged=frozenset({(Sense.SCAN, Cause.MOUNT), (Sense.SCAN, Cause.UNREAD)})
    )


# What is asked.


def all_gaps(
    stored: Sequence[Gap], notes: Iterable[Note], *, now_ns: int, last_ns: int | None = None, status: WatchStatus | None = None
) -> list[Gap]:
    """Join what is stored with what the sources said, and with what nobody can have written: that nobody looks.

    Args:
        stored: The ledger's own rows.
        notes: What the sources said, in any order.
        now_ns: The present.
        last_ns: When a check looked last, if one did.
        status: How the watch is doing: it looks too.
    """
    settled = {(gap.source, gap.cause, gap.from_ns) for gap in stored}
    said = gaps_of_notes(notes, until_ns=now_ns, told=stored)
    found = [*stored, *(gap for gap in said if (gap.source, gap.cause, gap.from_ns) not in settled)]
    if not any(gap.cause is Cause.WATCH_DOWN and gap.to_ns is None for gap in stored):
        found += gaps_of_watch(status, now_ns=now_ns)
    looked_ns = max(last_ns or 0, status.last_rescan_ns if status is not None and status.running else 0)
    if looked_ns and now_ns - looked_ns > LONG_NS:
        words = "nobody looks at the host: no check has run"
        found.append(Gap(from_ns=looked_ns, to_ns=None, source=Sense.SCAN, cause=Cause.NO_CHECK, words=words))
    return found


def coverage_of(
    reader: Reader, *, since_ns: int | None, until_ns: int, path: bytes | None = None, status: WatchStatus | None = None
) -> Coverage:
    """Ask a store what could be seen of a path and what lies below it between two times, by default since the baseline."""
    known = reader.status(count_baseline=False)
    start_ns = since_ns if since_ns is not None else known.baseline_ns or 0
    found = all_gaps(reader.gaps(), reader.notes(), now_ns=until_ns, last_ns=known.last_check_ns, status=status)
    senses = [Sense.SCAN, Sense.AUDIT]
    if reader.has_cursor("osquery"):
        senses.append(Sense.OSQUERY)
    if status is not None:
        senses.append(Sense.LIVE)
    gaps = select_gaps(found, since_ns=start_ns, until_ns=until_ns, path=path)
    return Coverage(since_ns=min(start_ns, until_ns), until_ns=until_ns, path=path, senses=tuple(senses), gaps=tuple(gaps))


def coverage(config: Config, *, since_ns: int | None = None, until_ns: int | None = None, path: bytes | None = None) -> Coverage:
    """Tell what could be seen on this host.

    Args:
        config: The configuration.
        since_ns: From when; by default since the baseline was taken.
        until_ns: Up to when; by default now.
        path: What it is about, with all that lies below; by default everything.

    Raises:
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read.
    """
    now_ns = time.time_ns() if until_ns is None else until_ns
    with open_reader(config.host.state_dir) as reader:
        status = load_watch_status(config.host.state_dir)
        return coverage_of(reader, since_ns=since_ns, until_ns=now_ns, path=path, status=status)


def gap_words(config: Config, *, since_ns: int | None = None) -> str:
    """Say in a clause what was not seen on this host; empty where all was, or where there is no store to say it."""
    with contextlib.suppress(FimkitError):
        return say_gaps(weighty(coverage(config, since_ns=since_ns).gaps))
    return ""


def last_look_ns(store: Store) -> int | None:
    """Give when a check last looked at the host."""
    cursor = store.cursor(*LAST_CHECK)
    return int(cursor["seen_ns"]) if cursor else None
