"""Random histories, looked at bit by bit as they happen: the findings at the end are those of one look at the whole."""

from collections.abc import Collection
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.correlate.correlate import correlate
from fimkit.correlate.neighbourhood import Affected, Neighbourhood, Picture
from fimkit.correlate.picture import ChangeIndex, Snapshot
from fimkit.correlate.recall import Recall
from fimkit.model.changes import Change
from fimkit.model.findings import Finding, Kind
from fimkit.model.states import FileState
from tests.correlate.test_world import STEP, WATCHES, judged, play, prepared
from tests.correlate.world import World, differences


class LiveLooks:
    """Looks at what the records name, batch by batch, and keeps the findings by path as a watch does."""

    def __init__(self, world: World, before: dict[bytes, FileState]) -> None:
        self.world = world
        self.picture = Picture(Snapshot(before.values()), Snapshot(before.values()), ChangeIndex())
        self.findings: dict[bytes, list[Finding]] = {}
        self.read = 0
        self.correlated = 0

    def batch(self, dirty: set[bytes] = frozenset()) -> None:
        new = self.world.changes[self.read :]
        self.read = len(self.world.changes)
        now = self.world.snapshot()
        paths = set(dirty)
        for change in new:
            self.picture.add(change)
        for change in new:
            for one in self.affected(change):
                paths.add(one.path)
                if one.below:
                    paths.update(path for path in (*self.picture.before, *self.picture.after, *now)
                                 if path.startswith(one.path + b"/"))
        for path in paths:
            if path in now:
                self.picture.after.put(now[path])
            else:
                self.picture.after.drop(path)
        if paths:
            self._judge(paths)

    def affected(self, change: Change) -> list[Affected]:
        return self.picture.affected(change)

    def near(self, paths: set[bytes]) -> Neighbourhood:
        return self.picture.neighbourhood(paths)

    def _judge(self, paths: set[bytes]) -> None:
        near = self.near(paths)
        assert paths <= near.core
        self.correlated += len(near.changes)
        findings = correlate(
            host="h",
            watches=WATCHES,
            before=near.before,
            after=near.after,
            diffs=differences(near.before, near.after),
            changes=near.changes,
            since_ns=self.world.begun_ns,
            seen_ns=self.world.now,
        )
        for path in near.core:
            self.findings.pop(path, None)
        for finding in findings:
            if finding.path in near.core:
                self.findings.setdefault(finding.path, []).append(finding)

    def rescan(self) -> None:
        now = self.world.snapshot()
        after = self.picture.after
        self.batch({path for path in {*now, *after} if now.get(path) != after.get(path)})

    def told(self) -> list[Finding]:
        found = [plain(finding) for findings in self.findings.values() for finding in findings]
        return sorted(found, key=lambda finding: (finding.path, finding.id))


def plain(finding: Finding) -> Finding:
    """Leave out when it was last looked at."""
    return replace(finding, last_seen_ns=0, first_seen_ns=0 if not finding.actors else finding.first_seen_ns, reasons=())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(STEP, st.booleans()), max_size=30))
def test_looks_bit_by_bit_find_what_one_look_at_the_whole_finds(
    steps: list[tuple[tuple[str, int, int, int, int], bool]],
) -> None:
    world = prepared()
    before = world.begin()
    live = LiveLooks(world, before)
    for step, look in steps:
        play(world, step)
        if look:
            live.batch()
    live.batch()
    live.rescan()
    expected = sorted((plain(finding) for finding in judged(world, before, world.changes)), key=lambda one: (one.path, one.id))
    assert live.told() == expected


def test_a_file_that_went_on_from_a_changed_name_is_no_longer_said_to_be_there() -> None:
    world = prepared()
    before = world.begin()
    live = LiveLooks(world, before)
    world.exchange(1000, b"/w/y/c", b"/w/x/a")
    world.rename(1000, b"/w/y/c", b"/w/a")
    live.batch()
    assert (b"/w/y/c", b"/w/x/a") in [(finding.path, finding.moved_to) for finding in live.told()]
    world.rename(1001, b"/w/x", b"/out/z/d")
    live.batch()
    kinds = {finding.path: (finding.kind, finding.moved_to) for finding in live.told()}
    assert kinds[b"/w/y/c"] == (Kind.DELETED, None)
    live.rescan()
    expected = sorted((plain(finding) for finding in judged(world, before, world.changes)), key=lambda one: (one.path, one.id))
    assert live.told() == expected


class ForgetfulLooks(LiveLooks):
    """Holds very few changes at hand, and asks for the older ones as a watch asks its store, which has those of earlier batches."""

    def __init__(self, world: World, before: dict[bytes, FileState], most: int) -> None:
        super().__init__(world, before)
        self.picture = Picture(Snapshot(before.values()), Snapshot(before.values()), ChangeIndex(most))
        self.recall = Recall(self.picture, self.load)
        self.stored = 0

    def batch(self, dirty: set[bytes] = frozenset()) -> None:
        super().batch(dirty)
        self.stored = self.read
        self.picture.changes.note_stored()

    def load(self, paths: Collection[bytes], inodes: Collection[int]) -> list[Change]:
        return [change for change in self.world.changes[: self.stored] if change.path in paths or change.inode in inodes]

    def affected(self, change: Change) -> list[Affected]:
        return self.recall.affected(change)

    def near(self, paths: set[bytes]) -> Neighbourhood:
        return self.recall.neighbourhood(paths)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(STEP, st.sampled_from([True, True, False])), max_size=60), st.sampled_from([8, 12, 20]))
def test_looks_that_forget_and_recall_find_the_same(steps: list[tuple[tuple[str, int, int, int, int], bool]], most: int) -> None:
    world = prepared()
    before = world.begin()
    live = ForgetfulLooks(world, before, most)
    for step, look in steps:
        play(world, step)
        if look:
            live.batch()
    live.batch()
    live.rescan()
    expected = sorted((plain(finding) for finding in judged(world, before, world.changes)), key=lambda one: (one.path, one.id))
    assert live.told() == expected
