"""The accepted baseline: take one of this host, write a snapshot, show it as it is or was, compare the host with it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import Scan, scan_watches
from fimkit.evidence.baseline_rows import BaselineMeta
from fimkit.evidence.connection import store_path
from fimkit.evidence.history_rows import HistoryRow
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store, open_shared_store, open_store
from fimkit.model.changes import StateDiff
from fimkit.model.config import Config
from fimkit.model.errors import HostError, StoreError, UsageError
from fimkit.model.findings import Kind
from fimkit.model.paths import is_below, render_path
from fimkit.model.states import FileState, FileType, content_differs
from fimkit.model.time import render_time
from fimkit.model.watches import WatchSet
from fimkit.verbs.canaries import Canaries
from fimkit.verbs.evidence import has_seen_chain
from fimkit.verbs.keep_contents import ContentKeeper
from fimkit.verbs.look import Looker
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.pins import Collected, collect_for_baseline
from fimkit.verbs.sight import Sight

__all__ = [
    "Compared",
    "Created",
    "Shown",
    "compare_with_baseline",
    "create_baseline",
    "kind_of",
    "new_watch_words",
    "open_baseline",
    "recreate_baseline",
    "save_snapshot",
    "show_baseline",
    "show_history",
    "still_watched",
]

Progress = Callable[[int, int], None]

_MOUNTED = "a file system is mounted here, and was not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A baseline or snapshot that was taken: how many paths, and what could not be known of the host, in words.

    ``pinned`` is what packages are believed by from now on; ``None`` where none can lie in what is watched.
    """

    count: int
    problems: tuple[str, ...]
    pinned: Collected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Rows of a baseline, sorted by path, and whose they are."""

    meta: BaselineMeta
    states: tuple[FileState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How the host differs from the baseline, and what could not be known, in words."""

    diffs: tuple[StateDiff, ...]
    problems: tuple[str, ...]


def open_baseline(config: Config) -> tuple[Store, BaselineMeta]:
    """Open the store of a host that has a baseline.

    Raises:
        UsageError: If it has none.
        StoreError: If the store cannot be used, or is gone.
        HostError: If the host refuses it.
    """
    state_dir = config.host.state_dir
    # A folder that may not be entered seems empty; opening says what is the matter.
    if not os.path.lexists(state_dir) or (os.access(state_dir, os.X_OK) and not os.path.lexists(store_path(state_dir))):
        raise _missing(state_dir)
    store = open_shared_store(state_dir)
    meta = store.baseline_meta()
    if meta is None:
        store.close()
        raise _missing(state_dir)
    return store, meta


def _missing(state_dir: bytes) -> UsageError | StoreError:
    """Say that there is no baseline; where a check has seen a chain of evidence, that there was one."""
    where = render_path(state_dir)
    if has_seen_chain(state_dir):
        return StoreError(
            f"no baseline in {where} any more: its evidence store was there at the last check, and is gone or empty; keep what is"
            " left of it aside, then restore a backup, or make a new baseline (fimkit evidence set-aside)"
        )
    return UsageError(f"no baseline in {where} yet: run `fimkit baseline create` first")


def kind_of(diff: StateDiff) -> Kind:
    """Name what a difference is by the two states alone: no rename is seen here."""
    if diff.before is None:
        return Kind.CREATED
    if diff.after is None:
        return Kind.DELETED
    return Kind.MODIFIED if content_differs(diff.before, diff.after, diff.changed) else Kind.ATTRIBUTES


class _Told:
    """A scan's states on their way, with the words of what could not be known."""

    def __init__(self, config: Config, on_progress: Progress | None, known: Mapping[bytes, FileState] | None = None) -> None:
        self.scan: Scan = scan_watches(
            scanned_watches(config), known=known, on_progress=on_progress, limits=config.scan
        )
        self.words: list[str] = []
        self.notes: list[str] = []
        self._links: set[bytes] = set()

    def __iter__(self) -> Iterator[FileState]:
        for state in self.scan:
            if state.problem is not None:
                self.words.append(f"{render_path(state.path)}: {state.problem}")
            if state.target is not None:
                self._links.add(state.path)
            yield state
        # Where a configured link leads is watched too: nobody has to be told to configure it.
        told = (problem for problem in self.scan.problems if problem.path not in self._links)
        self.notes += [f"{render_path(problem.path)}: {problem.text}" for problem in told]
        self.notes += [f"{render_path(path)}: {_MOUNTED}" for path in self.scan.mounts]
        if self.scan.count == 0:
            raise HostError("; ".join(["nothing of what is configured can be seen", *self.notes]))


def create_baseline(config: Config, *, who: str, why: str, on_progress: Progress | None = None) -> Created:
    """Scan the configured paths and store the result as the baseline.

    Raises:
        UsageError: If there is one already.
        HostError: If another fimkit is at work, or none of the paths is there.
    """
    with lock_state(config.host.state_dir, verb="baseline create"), open_store(config.host.state_dir, create=True) as store:
        meta = store.baseline_meta()
        if meta is not None:
            raise UsageError(
                f"there is a baseline of {meta.count} paths already, of {render_time(meta.time_ns)} by {meta.who}: see what"
                " differs by `fimkit baseline diff`, take single paths in by `fimkit baseline accept PATH`, or begin anew with"
                " --force"
            )
        return _write(config, store, who=who, why=why, on_progress=on_progress)


def recreate_baseline(config: Config, *, who: str, why: str, on_progress: Progress | None = None) -> Created:
    """Do the same whether there is one or not; the old one goes to the history, and what is open is accepted by it.

    Raises:
        HostError: If another fimkit is at work, or none of the paths is there: the old baseline stays.
    """
    with lock_state(config.host.state_dir, verb="baseline create"), open_store(config.host.state_dir, create=True) as store:
        return _write(config, store, who=who, why=why, on_progress=on_progress)


def _write(config: Config, store: Store, *, who: str, why: str, on_progress: Progress | None) -> Created:
    told = _Told(config, on_progress)
    # The time, and the packages' versions, before the scan: what changes while it runs is later than the baseline.
    time_ns = time.time_ns()
    pinned = collect_for_baseline(config)
    states = _without_canaries(store, told)
    with store.transaction():
        count = store.write_baseline(states, who=who, why=why, time_ns=time_ns, notes=told.notes)
        if pinned is not None:
            store.set_pins(pinned.row(who=who, time_ns=time_ns))
    unkept = ContentKeeper(config).keep_baseline(store)
    return Created(count=count, problems=(*told.notes, *told.words, *unkept), pinned=pinned)


def _without_canaries(store: Store, told: _Told) -> Iterator[FileState]:
    """Leave out what a selftest has planted. Loaded at the first state: from then on the transaction holds the next one off."""
    yield from Canaries(store.canaries()).without(told, began_ns=time.time_ns(), look=Looker().look)


def save_snapshot(config: Config, output: str, *, on_progress: Progress | None = None) -> Created:
    """Scan the configured paths and write the result to a file alone, for `fimkit investigate`; the store is not touched.

    Raises:
        HostError: If it cannot be written, or none of the paths is there.
    """
    from fimkit.baseline.snapshot import write_snapshot  # with all ways to compress

    told = _Told(config, on_progress)
    try:
        count = write_snapshot(output, told)
    except HostError:
        raise
    except OSError as error:
        raise HostError(f"cannot write the snapshot {output!r}: {error.strerror or error}") from error
    return Created(count=count, problems=(*told.notes, *told.words))


def show_baseline(config: Config, paths: Sequence[bytes], *, at_ns: int | None = None) -> Shown:
    """Load the rows at and below some paths (all without one), of now or as they were at a time.

    Raises:
        UsageError: If there is no baseline, was none at that time, or has no row at one of the paths.
        StoreError: If the old states were dropped.
    """
    store, meta = open_baseline(config)
    with store:
        if at_ns is None and paths:
            found = {path: state for folder in paths for path, state in store.baseline_below(folder).items()}
        else:
            found = store.baseline(at_ns=at_ns)
    for folder in paths:
        if not any(is_below(path, folder) for path in found):
            raise UsageError(f"the baseline has nothing at or below {render_path(folder)}")
    states = (state for path, state in sorted(found.items()) if not paths or any(is_below(path, folder) for folder in paths))
    return Shown(meta=meta, states=tuple(states))


def show_history(config: Config, paths: Sequence[bytes]) -> Iterator[HistoryRow]:
    """Load what acceptances made of the paths at and below some, the oldest first.

    Raises:
        UsageError: If there is no baseline.
    """
    store, _ = open_baseline(config)
    with store:
        for row in store.history():
            if not paths or any(is_below(row.path, folder) for folder in paths):
                yield row


def compare_with_baseline(config: Config, *, quick: bool = False, on_progress: Progress | None = None) -> Compared:
    """Rescan and compare; nothing is stored.

    Args:
        config: The configuration.
        quick: Take over the hash of a file whose times, size and inode are those of the baseline.
        on_progress: Told of the scan.

    Raises:
        UsageError: If there is no baseline.
        HostError: If none of the configured paths is there.
    """
    store, _ = open_baseline(config)
    with store:
        before = store.baseline()
        began_ns = time.time_ns()
        told = _Told(config, on_progress, before if quick else None)
        after = {state.path: state for state in told}
        canaries = Canaries(store.canaries())
    canary_words = canaries.take_out(after, began_ns=began_ns, now_ns=time.time_ns(), look=Looker().look)
    sight = Sight(scanned_watches(config), told.scan, after)
    diffs, words = still_watched(sight.visible(diff_states(before, after)), config)
    words += new_watch_words(config, before, after)
    return Compared(diffs=tuple(diffs), problems=(*words, *canary_words, *told.notes, *told.words))


def new_watch_words(config: Config, before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> list[str]:
    """Say which configured paths the baseline does not have yet."""
    return [
        f"{render_path(watch.path)}: is configured and not in the baseline yet; take it in by `fimkit baseline accept PATH`"
        for watch in config.paths
        if watch.path in after and watch.path not in before
    ]


def still_watched(diffs: Sequence[StateDiff], config: Config) -> tuple[list[StateDiff], list[str]]:
    """Leave out rows that are missing only because the configuration does not name them any more."""
    watches = WatchSet(scanned_watches(config))
    kept = [
        diff
        for diff in diffs
        if diff.after is not None
        or diff.before is None
        or watches.watch_of(diff.path, is_folder=diff.before.type is FileType.DIRECTORY) is not None
    ]
    left = len(diffs) - len(kept)
    words = [f"{left} paths of the baseline are not configured any more, and were not compared"] if left else []
    return kept, words
