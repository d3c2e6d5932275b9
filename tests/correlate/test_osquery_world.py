"""Random histories as osquery alone tells of them: nobody is named that did not do it."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from fimkit.correlate.correlate import correlate
from fimkit.model.changes import Change, Source
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.states import FileState, FileType
from tests.correlate.osquery_world import OsqueryWorld
from tests.correlate.test_world import ACTIONS, PIDS, WATCHES, content_changed, play
from tests.correlate.world import differences

SECOND = 1_000_000_000
STEP = st.tuples(
    st.sampled_from(ACTIONS),
    st.integers(0, 99),
    st.integers(0, 99),
    st.sampled_from(PIDS),
    st.sampled_from([100_000, 30_000_000, 400_000_000, 1_200_000_000, 7 * SECOND, 20 * SECOND]),
)
STEPS = st.lists(STEP, max_size=20)
LAGS = st.sampled_from([0, 1_000_000, 300_000_000, 3 * SECOND])


def prepared(lag_ns: int) -> OsqueryWorld:
    world = OsqueryWorld()
    world.lag_ns = lag_ns
    for folder in (b"/w/x", b"/w/y", b"/out/z"):
        world.mkdir(1, folder)
    for path in (b"/w/a", b"/w/b", b"/w/x/a", b"/w/x/b", b"/w/y/c", b"/out/a", b"/out/z/b"):
        world.write(1, path)
    world.wait(3600 * SECOND)
    return world


def judged(world: OsqueryWorld, before: dict[bytes, FileState], changes: list[Change]) -> list[Finding]:
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


def hold_exact(world: OsqueryWorld, findings: list[Finding]) -> Counter[str]:
    """Hold every exact one against what was done; count them by kind."""
    found: Counter[str] = Counter()
    for finding in findings:
        if finding.attribution is not Attribution.EXACT:
            continue
        found[finding.kind.value] += 1
        head, pids = finding.actors[0].pid, {actor.pid for actor in finding.actors}
        if finding.kind is Kind.DELETED:
            assert head in (world.removers[finding.path], world.first[finding.path].killer), finding
        elif finding.kind is Kind.TRANSIENT:
            assert pids <= world.touched[finding.path], finding
        else:
            name = finding.moved_to or finding.path
            node = world.names[name]
            if content_changed(finding) and node.type is FileType.FILE:
                assert head in node.writers, finding
                assert {head} == set(node.writers) or node.hidden, finding
            if finding.kind is Kind.CREATED or "inode" in finding.changed:
                assert world.makers[name] in pids, finding
            if finding.kind is Kind.MOVED:
                assert world.movers[id(node)] in pids, finding
    return found


def lived(steps: list[tuple[str, int, int, int, int]], lag_ns: int) -> tuple[OsqueryWorld, dict[bytes, FileState]]:
    world = prepared(lag_ns)
    before = world.begin()
    for step in steps:
        play(world, step)
    world.wait(60 * SECOND)
    return world, before


@settings(max_examples=250)
@given(STEPS, LAGS)
def test_no_exact_attribution_by_osquery_alone_is_wrong(steps: list[tuple[str, int, int, int, int]], lag_ns: int) -> None:
    world, before = lived(steps, lag_ns)
    hold_exact(world, judged(world, before, world.told(before)))


@settings(max_examples=150)
@given(STEPS, STEPS, LAGS)
def test_rows_from_before_the_baseline_make_none_wrong(
    earlier: list[tuple[str, int, int, int, int]], steps: list[tuple[str, int, int, int, int]], lag_ns: int
) -> None:
    world = prepared(lag_ns)
    for step in earlier:
        play(world, step)
    before = world.begin(keep_records=True)
    for step in steps:
        play(world, step)
    world.wait(60 * SECOND)
    hold_exact(world, judged(world, before, world.told(before)))


@settings(max_examples=100)
@given(STEPS, LAGS)
def test_file_events_alone_name_nobody(steps: list[tuple[str, int, int, int, int]], lag_ns: int) -> None:
    world, before = lived(steps, lag_ns)
    for finding in judged(world, before, world.told(before, processes=False)):
        assert (finding.attribution, finding.actors) == (Attribution.UNATTRIBUTED, ()), finding
        assert finding.reasons


@settings(max_examples=100)
@given(STEPS, LAGS)
def test_partial_rows_make_nothing_exact(steps: list[tuple[str, int, int, int, int]], lag_ns: int) -> None:
    world, before = lived(steps, lag_ns)
    for finding in judged(world, before, world.half_told(before)):
        assert finding.attribution is not Attribution.EXACT, finding


@settings(max_examples=150)
@given(STEPS, LAGS)
def test_with_audit_beside_it_none_is_wrong_and_none_is_surer_without_cause(
    steps: list[tuple[str, int, int, int, int]], lag_ns: int
) -> None:
    world, before = lived(steps, lag_ns)
    for finding in judged(world, before, [*world.changes, *world.told(before)]):
        if finding.attribution is Attribution.EXACT and content_changed(finding) and finding.kind is not Kind.TRANSIENT:
            node = world.names[finding.moved_to or finding.path] if finding.kind is not Kind.DELETED else None
            assert node is None or not node.writers or node.hidden or {finding.actors[0].pid} == set(node.writers), finding


def test_osquery_alone_does_find_who_where_that_is_plain() -> None:
    world = prepared(0)
    before = world.begin()
    world.wait(20 * SECOND)
    for pid, act in enumerate(
        [
            lambda pid: world.write(pid, b"/w/a"),
            lambda pid: world.write(pid, b"/w/new"),
            lambda pid: world.unlink(pid, b"/w/b"),
            lambda pid: (world.write(pid, b"/w/x/t"), world.rename(pid, b"/w/x/t", b"/w/x/a")),
            lambda pid: (world.write(pid, b"/w/y/t"), world.rename(pid, b"/w/y/t", b"/w/y/made")),
            lambda pid: (world.write(pid, b"/w/y/p"), world.unlink(pid, b"/w/y/p")),
        ],
        2001,
    ):
        act(pid)
        world.wait(7 * SECOND)
    findings = judged(world, before, world.told(before))
    said = {finding.path: (finding.kind, finding.attribution, [actor.pid for actor in finding.actors]) for finding in findings}
    assert said == {
        b"/w/a": (Kind.MODIFIED, Attribution.EXACT, [2001]),
        b"/w/new": (Kind.CREATED, Attribution.EXACT, [2002]),
        b"/w/b": (Kind.DELETED, Attribution.EXACT, [2003]),
        b"/w/x/a": (Kind.MODIFIED, Attribution.EXACT, [2004]),
        b"/w/y/made": (Kind.CREATED, Attribution.EXACT, [2005]),
        b"/w/y/p": (Kind.TRANSIENT, Attribution.EXACT, [2006]),
    }
    assert hold_exact(world, findings).total() == 6
    assert {finding.sources for finding in findings} == {(Source.SCAN, Source.OSQUERY), (Source.OSQUERY,)}


@settings(max_examples=60)
@given(STEPS, LAGS)
def test_process_rows_without_file_events_beside_them_make_nothing_exact(
    steps: list[tuple[str, int, int, int, int]], lag_ns: int
) -> None:
    """What happens out of their sight (an exchange, a rename of a file not met) could have brought another file."""
    world, before = lived(steps, lag_ns)
    for finding in judged(world, before, world.told(before, files=False)):
        assert finding.attribution is not Attribution.EXACT, finding


@settings(max_examples=60)
@given(STEPS, LAGS)
def test_rows_that_are_not_whole_still_name_who_may_have_been(steps: list[tuple[str, int, int, int, int]], lag_ns: int) -> None:
    world, before = lived(steps, lag_ns)
    for finding in judged(world, before, world.told(before)):
        if finding.attribution is Attribution.AMBIGUOUS:
            assert finding.actors and len(finding.reasons) > 1, finding
