"""Takes findings and differences into the baseline: what was seen, and only while it still is so."""

import glob
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fimkit.baseline.diff import diff_states
from fimkit.baseline.scan import scan_watches
from fimkit.evidence.finding_life import PASSING
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store
from fimkit.model.config import Config, Watch
from fimkit.model.errors import UsageError
from fimkit.model.findings import Finding, Kind, Verdict
from fimkit.model.paths import is_below, render_path
from fimkit.model.states import TIMES_ONLY, FileKey, FileState, FileType, compare_states
from fimkit.model.watches import WatchSet
from fimkit.verbs.accept_notice import notify_accepted
from fimkit.verbs.baseline import Progress, kind_of, open_baseline
from fimkit.verbs.canaries import Canaries
from fimkit.verbs.keep_contents import ContentKeeper
from fimkit.verbs.look import Looker
from fimkit.verbs.own_files import scanned_watches

__all__ = ["PROVED", "Accepted", "Item", "Plan", "accept", "plan_acceptance", "plan_findings"]

PROVED = "proved by signed packages"
"""The reason that is written down for expected findings where none is given: each has its own proof in its words."""

_LINK_COUNT = frozenset({"nlink", "ctime_ns"})

Pairs = tuple[tuple[bytes, FileState | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to accept: an open finding, or a difference that is none yet. ``pairs`` are the rows that it makes."""

    path: bytes
    moved_to: bytes | None = None
    kind: Kind
    finding_id: str | None
    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be accepted, and what would not, in words."""

    items: tuple[Item, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was accepted, and what was not, in words; on an armed host, what came of telling it, in words.

    ``words`` say what was accepted and could not be kept for text diffs.
    """

    items: tuple[Item, ...]
    refused: tuple[str, ...]
    notice: str | None = None
    words: tuple[str, ...] = ()


def plan_acceptance(
    config: Config, paths: Sequence[bytes], *, verdict: Verdict | None = None, on_progress: Progress | None = None
) -> Plan:
    """Find what can be accepted, and look at all of it again.

    Without paths it is every open finding. With paths it is the open findings at and below them, and the differences there that no
    finding speaks of yet. With a verdict it is the open findings that are judged so, if any, and no other difference.

    Raises:
        UsageError: If there is no baseline, or (without a verdict) nothing to accept.
    """
    store, _ = open_baseline(config)
    with store:
        return _plan(store, config, paths, verdict, on_progress)


def accept(
    config: Config,
    paths: Sequence[bytes],
    *,
    who: str,
    why: str,
    verdict: Verdict | None = None,
    agreed: Plan | None = None,
    on_progress: Progress | None = None,
) -> Accepted:
    """Take it into the baseline, in one transaction, with who, when and why; where the host is armed, others are told.

    Args:
        config: The configuration.
        paths: As in :func:`plan_acceptance`.
        who: The name.
        why: The reason.
        verdict: As in :func:`plan_acceptance`.
        agreed: What a person was shown: nothing else is accepted, should there be more meanwhile, or something else.
        on_progress: Told of the rescan.

    Raises:
        UsageError: If there is no baseline, or (without a verdict) nothing to accept.
        HostError: If another fimkit is at work.
    """
    open_baseline(config)[0].close()  # says what is missing before the lock makes the folder
    unkept: list[str] = []
    with lock_state(config.host.state_dir, verb="baseline accept"):
        store, _ = open_baseline(config)
        with store:
            plan = _plan(store, config, paths, verdict, on_progress)
            items = list(plan.items) if agreed is None else _both(plan.items, agreed.items)
            late = [] if agreed is None else _beyond(agreed.items, items)
            if items:
                pairs = [pair for item in items for pair in item.pairs]
                ids = [item.finding_id for item in items if item.finding_id is not None]
                store.accept(pairs, who=who, why=why, time_ns=time.time_ns(), finding_ids=ids)
                unkept = ContentKeeper(config).keep_accepted(pairs)
    refused = list(dict.fromkeys((*plan.refused, *(_changed_again(item.path) for item in late))))
    notice = notify_accepted(config, [item.path for item in items], who=who, why=why)
    return Accepted(items=tuple(items), refused=tuple(refused), notice=notice, words=tuple(unkept))


def _both(items: Iterable[Item], others: Iterable[Item]) -> list[Item]:
    """Give the items that are among the others too; by path first, for there may be very many."""
    there = _by_path(others)
    return [item for item in items if item in there.get(item.path, ())]


def _beyond(items: Iterable[Item], others: Iterable[Item]) -> list[Item]:
    there = _by_path(others)
    return [item for item in items if item not in there.get(item.path, ())]


def _by_path(items: Iterable[Item]) -> Mapping[bytes, Sequence[Item]]:
    found: dict[bytes, list[Item]] = {}
    for item in items:
        found.setdefault(item.path, []).append(item)
    return found


def _changed_again(path: bytes) -> str:
    return f"{render_path(path)}: changed again since it was seen; run `fimkit check`, and look at it"


def _plan(
    store: Store, config: Config, paths: Sequence[bytes], verdict: Verdict | None, on_progress: Progress | None
) -> Plan:
    findings = [finding for finding in store.findings() if finding.host == config.host.name]
    chosen = [
        finding
        for finding in findings
        if verdict in (None, finding.verdict) and (not paths or any(_concerns(finding, folder) for folder in paths))
    ]
    planner = _Planner(store)
    items: list[Item] = []
    refused: list[str] = []
    settled = {path for finding in findings if finding.kind not in PASSING for path in _names(finding)}
    for finding in chosen:
        pairs = planner.pairs_of(finding)
        if isinstance(pairs, str):
            refused.append(pairs)
        else:
            items.append(
                Item(path=finding.path, moved_to=finding.moved_to, kind=finding.kind, finding_id=finding.id, pairs=pairs)
            )
            settled.update(path for path, _ in pairs)
    for folder in paths if verdict is None else ():
        found, unseen = _differences(store, config, folder, on_progress)
        items += [item for item in found if item.path not in settled]
        refused += unseen
        settled.update(item.path for item in found)
    if not items and not refused and verdict is None:
        raise UsageError(_nothing(paths))
    return Plan(items=tuple(items), refused=tuple(refused))


def plan_findings(store: Store, findings: Iterable[Finding]) -> Plan:
    """Plan to accept findings that a look just made, each looked at again; nothing else is accepted beside them."""
    planner = _Planner(store)
    planned = [(finding, planner.pairs_of(finding)) for finding in findings]
    return Plan(
        items=tuple(
            Item(path=one.path, moved_to=one.moved_to, kind=one.kind, finding_id=one.id, pairs=pairs)
            for one, pairs in planned
            if not isinstance(pairs, str)
        ),
        refused=tuple(pairs for _, pairs in planned if isinstance(pairs, str)),
    )


def _nothing(paths: Sequence[bytes]) -> str:
    if not paths:
        return "nothing is open: run `fimkit check`, or name the paths to compare and accept"
    return f"nothing is open, and nothing differs, at or below {', '.join(map(render_path, paths))}"


def _names(finding: Finding) -> Iterator[bytes]:
    yield finding.path
    if finding.moved_to is not None:
        yield finding.moved_to


def _concerns(finding: Finding, folder: bytes) -> bool:
    return any(is_below(path, folder) for path in _names(finding))


def _refusal(path: bytes, seen: FileState | None, now: FileState | None) -> str | None:
    """Say why a path is not to be accepted as it was seen.

    Times, link counts and inode numbers may have moved: the finding is the same by its identity, and so are the bytes and rights.
    """
    if now is not None and now.problem is not None:
        return f"{render_path(path)}: cannot be looked at again: {now.problem}"
    if seen is None or now is None:
        return None if seen is now else _changed_again(path)
    if seen.type is FileType.FILE and seen.sha256 is None:
        return f"{render_path(path)}: its bytes could not be read when it was found; run `fimkit check` when they can"
    return None if TIMES_ONLY.issuperset(compare_states(seen, now)) else _changed_again(path)


class _Planner:
    """Makes the rows of findings, each looked at again. The whole baseline is loaded only for a file of several names."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looker = Looker()
        self._by_key: dict[FileKey, list[FileState]] | None = None

    def pairs_of(self, finding: Finding) -> Pairs | str:
        """Give the rows that a finding makes, or say why it is not to be accepted."""
        if finding.kind in PASSING:
            return ()  # it left no difference
        new_path = finding.moved_to or finding.path
        now = self._looker.look(new_path)
        refusal = _refusal(finding.path, finding.after, now)
        if finding.moved_to is not None and self._looker.look(finding.path) is not None:
            refusal = refusal or _changed_again(finding.path)
        if refusal is not None:
            return refusal
        pairs: dict[bytes, FileState | None] = {new_path: now}
        if finding.moved_to is not None:
            pairs[finding.path] = None
            pairs |= self._carried(finding.path, finding.moved_to)
        return (*pairs.items(), *self._other_names(finding, now, set(pairs)))

    def _carried(self, old: bytes, new: bytes) -> Mapping[bytes, FileState | None]:
        """Take along what a renamed folder took along: it has no finding of its own, unless it differs."""
        carried: dict[bytes, FileState | None] = {}
        for path, state in self._store.baseline_below(old).items():
            place = new + path[len(old) :]
            now = None if path == old else self._looker.look(place)
            if now is not None and now.problem is None and not compare_states(state, now) and self._looker.look(path) is None:
                carried |= {path: None, place: now}
        return carried

    def _other_names(self, finding: Finding, now: FileState | None, own: set[bytes]) -> Iterator[tuple[bytes, FileState]]:
        """Take the new link count along to the file's other names: it has no finding of its own there."""
        for state in (finding.before, now):
            if state is None or state.type is FileType.DIRECTORY or state.key is None or (state.nlink or 1) < 2:
                continue
            for row in self._rows_of(state.key):
                other = self._looker.look(row.path)
                if row.path in own or other is None or other.problem is not None:
                    continue
                changed = compare_states(row, other)
                if "nlink" in changed and _LINK_COUNT.issuperset(changed):
                    own.add(row.path)
                    yield row.path, other

    def _rows_of(self, key: FileKey) -> Iterable[FileState]:
        if self._by_key is None:
            self._by_key = {}
            for row in self._store.baseline().values():
                if row.key is not None and row.type is not FileType.DIRECTORY:
                    self._by_key.setdefault(row.key, []).append(row)
        return self._by_key.get(key, ())


def _differences(store: Store, config: Config, folder: bytes, on_progress: Progress | None) -> tuple[list[Item], list[str]]:
    """Compare what is at and below a path with its rows.

    Returns:
        The differences (a row that the configuration does not take any more is one: it goes), and words for what cannot be seen.
    """
    before = store.baseline_below(folder)
    # What the shortcut by times does not see is not accepted, and stays to be found.
    scan = scan_watches(_watches_at(config, folder), known=before, on_progress=on_progress, limits=config.scan)
    began_ns = time.time_ns()
    after = {state.path: state for state in scan if is_below(state.path, folder)}
    Canaries(store.canaries()).take_out(after, began_ns=began_ns, now_ns=time.time_ns(), look=Looker().look)
    items: list[Item] = []
    refused = [f"{render_path(path)}: a file system is mounted here, and was not looked at" for path in scan.mounts]
    for diff in diff_states(before, after):
        if diff.after is not None and diff.after.problem is not None:
            refused.append(f"{render_path(diff.path)}: {diff.after.problem}")
        elif not any(is_below(diff.path, mount) for mount in scan.mounts):
            items.append(Item(path=diff.path, kind=kind_of(diff), finding_id=None, pairs=((diff.path, diff.after),)))
    return items, refused


def _watches_at(config: Config, folder: bytes) -> list[Watch]:
    """Narrow the configuration to what is at and below a path: the watches in it, and the part of the one around it."""
    watches = scanned_watches(config)
    below = [watch for watch in watches if is_below(watch.path, folder)]
    around = WatchSet(watches).watch_of(folder, is_folder=os.path.isdir(folder) and not os.path.islink(folder))
    if around is None or around.path == folder:
        return below
    if not around.recursive:  # its folders are watched themselves, and nothing in them
        return [*below, replace(around, path=folder, exclude=(*around.exclude, glob.escape(os.fsdecode(folder)) + "/*"))]
    return [*below, replace(around, path=folder)]
