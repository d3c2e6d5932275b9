"""Random histories of a simulated file system: what correlate says must be what happened."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.correlate.correlate import correlate
from fimkit.model.config import Watch
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from tests.correlate.world import OUTSIDE, ROOT, World, differences

WATCHES = WatchSet([Watch(path=ROOT)])
PIDS = range(1000, 1006)
NAMES = [b"a", b"b", b"c", b"d"]
ACTIONS = ["write", "write", "hidden", "open", "mkdir", "link", "unlink", "dirfd", "rename", "replace", "exchange", "chmod"]
STEP = st.tuples(
    st.sampled_from(ACTIONS),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(PIDS),
    st.sampled_from([100_000, 3_000_000, 30_000_000]),
)


def prepared() -> World:
    world = World()
    for folder in (b"/w/x", b"/w/y", b"/out/z"):
        world.mkdir(1, folder)
    for path in (b"/w/a", b"/w/b", b"/w/x/a", b"/w/x/b", b"/w/y/c", b"/out/a", b"/out/z/b"):
        world.write(1, path)
    return world


def free_name(world: World, choice: int) -> bytes:
    folders = world.folders()
    return folders[choice % len(folders)] + b"/" + NAMES[choice // 7 % len(NAMES)]


def play(world: World, step: tuple[str, int, int, int, int]) -> None:
    """Do one step where it makes sense; else nothing."""
    action, first, second, pid, pause = step
    world.wait(pause)
    files = [path for path in world.files() if path.startswith(ROOT)]
    everything = world.files()
    folders = [path for path in world.folders() if path not in (ROOT, OUTSIDE)]
    target = free_name(world, second)
    taken = world.names.get(target)
    if action == "write":
        path = target if first % 3 == 0 and taken is None else everything[first % len(everything)] if everything else target
        if world.names.get(path) is None or world.names[path].type is FileType.FILE:
            world.write(pid, path)
    elif action == "hidden" and files:
        world.write(pid, files[first % len(files)], recorded=False)
    elif action == "open" and files:
        world.open_only(pid, files[first % len(files)])
    elif action == "mkdir" and taken is None:
        world.mkdir(pid, target)
    elif action == "link" and everything and taken is None:
        world.link(pid, everything[first % len(everything)], target)
    elif action in ("unlink", "dirfd") and everything:
        world.unlink(pid, everything[first % len(everything)], by_dirfd=action == "dirfd")
    elif action == "rename":
        sources = everything if first % 4 else folders
        source = sources[first % len(sources)] if sources else None
        if source is None or target == source or target.startswith(source + b"/"):
            return
        folder = world.names[source].type is FileType.DIRECTORY
        if taken is None or (not folder and taken.type is FileType.FILE):
            world.rename(pid, source, target)
    elif action == "replace" and files:
        path = files[first % len(files)]
        temporary = path + b".tmp"
        if temporary not in world.names:
            world.write(pid, temporary)
            world.rename(pid, temporary, path)
    elif action == "exchange" and len(files) > 1:
        one, other = files[first % len(files)], files[second % len(files)]
        if world.names[one] is not world.names[other]:
            world.exchange(pid, one, other)
    elif action == "chmod" and files:
        world.chmod(pid, files[first % len(files)], 0o600 if second % 2 else 0o4755)


def judged(world: World, before: dict[bytes, FileState], changes: list) -> list[Finding]:  # type: ignore[type-arg]
    after = world.snapshot()
    return correlate(
        host="h",
        watches=WATCHES,
        before=before,
        after=after,
        diffs=differences(before, after),
        changes=changes,
        since_ns=world.begun_ns,
        seen_ns=world.now,
    )


def content_changed(finding: Finding) -> bool:
    return finding.kind is Kind.CREATED or "sha256" in finding.changed


def hold_exact_against_the_truth(world: World, before: dict[bytes, FileState]) -> None:
    for finding in judged(world, before, world.changes):
        if finding.attribution is not Attribution.EXACT:
            continue
        head = finding.actors[0].pid
        if finding.kind is Kind.DELETED:
            assert head in (world.removers[finding.path], world.first[finding.path].killer), finding
        elif finding.kind in (Kind.CREATED, Kind.MODIFIED, Kind.MOVED) and content_changed(finding):
            node = world.names[finding.moved_to or finding.path]
            assert not node.writers or node.hidden or {head} == set(node.writers), finding
            baseline = [path for path, first in world.first.items() if first is node and path.startswith(ROOT)]
            if node.hidden and not node.writers and not node.opened and baseline:
                assert finding.after.sha256 == before[baseline[0]].sha256, finding
        elif finding.kind is Kind.ATTRIBUTES and finding.changed[0] == "mode":
            assert head == world.names[finding.path].mode_setter or world.names[finding.path].number != finding.before.inode, (
                finding
            )


@settings(max_examples=150)
@given(st.lists(STEP, max_size=25))
def test_no_exact_attribution_is_wrong_in_any_history(steps: list[tuple[str, int, int, int, int]]) -> None:
    world = prepared()
    before = world.begin()
    for step in steps:
        play(world, step)
    hold_exact_against_the_truth(world, before)


@settings(max_examples=150)
@given(st.lists(STEP, max_size=15), st.lists(STEP, max_size=20))
def test_records_from_before_the_baseline_make_no_exact_attribution_wrong(
    earlier: list[tuple[str, int, int, int, int]], steps: list[tuple[str, int, int, int, int]]
) -> None:
    world = prepared()
    for step in earlier:
        play(world, step)
    before = world.begin(keep_records=True)
    for step in steps:
        play(world, step)
    hold_exact_against_the_truth(world, before)
    for finding in judged(world, before, [change for change in world.changes if change.time_ns < world.begun_ns]):
        assert finding.attribution is not Attribution.EXACT, finding


@settings(max_examples=150)
@given(st.lists(STEP, max_size=25))
def test_every_difference_is_found_once_and_nothing_else(steps: list[tuple[str, int, int, int, int]]) -> None:
    world = prepared()
    before = world.begin()
    for step in steps:
        play(world, step)
    after = world.snapshot()
    findings = judged(world, before, world.changes)
    paths = [finding.path for finding in findings]
    assert len(paths) == len(set(paths))
    covered = {*paths, *(finding.moved_to for finding in findings)}
    carried = [
        (finding.path, finding.moved_to) for finding in findings if finding.moved_to and finding.before.type is FileType.DIRECTORY
    ]
    for diff in differences(before, after):
        inside_moved = any(diff.path.startswith(old + b"/") or diff.path.startswith(new + b"/") for old, new in carried)
        link_count = set(diff.changed) <= {"nlink", "ctime_ns"} and diff.before and diff.after
        assert diff.path in covered or inside_moved or link_count, diff
    for finding in findings:
        if finding.kind is Kind.TRANSIENT:
            assert finding.path not in before
            assert finding.path not in after
        elif finding.kind is not Kind.MOVED:
            assert finding.before == before.get(finding.path)
            assert finding.after == after.get(finding.path)
        else:
            assert finding.after == after[finding.moved_to]


@settings(max_examples=60)
@given(st.lists(STEP, max_size=20), st.randoms(use_true_random=False))
def test_the_order_of_the_input_and_telling_it_twice_change_nothing(
    steps: list[tuple[str, int, int, int, int]], shuffler: random.Random
) -> None:
    world = prepared()
    before = world.begin()
    for step in steps:
        play(world, step)
    changes = list(world.changes)
    expected = judged(world, before, changes)
    shuffled = changes + changes[: len(changes) // 2]
    shuffler.shuffle(shuffled)
    assert judged(world, before, shuffled) == expected


@settings(max_examples=60)
@given(st.lists(STEP, max_size=20))
def test_without_any_record_nothing_is_attributed(steps: list[tuple[str, int, int, int, int]]) -> None:
    world = prepared()
    before = world.begin()
    for step in steps:
        play(world, step)
    for finding in judged(world, before, []):
        assert finding.attribution is Attribution.UNATTRIBUTED
        assert not finding.actors
        assert finding.reasons
