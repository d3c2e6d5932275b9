"""The ledger in the store: what lasts is one open row, is closed when it is over, and survives a killed process."""

from pathlib import Path

import pytest

from fimkit.evidence.store import Store, open_store
from fimkit.model.coverage import Cause, Gap, Sense

OFF = (Sense.AUDIT, Cause.AUDIT_OFF)
MOUNT = (Sense.SCAN, Cause.MOUNT)


def gap(from_ns: int, to_ns: int | None = None, *, kind: tuple[Sense, Cause] = OFF, **more: object) -> Gap:
    return Gap(from_ns=from_ns, to_ns=to_ns, source=kind[0], cause=kind[1], words=str(more.pop("words", "auditing is off")), **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(bytes(tmp_path / "state"), create=True)


def spans(store: Store) -> list[tuple[int, int | None]]:
    return [(one.from_ns, one.to_ns) for one in store.gaps()]


def test_what_lasts_is_opened_once_and_closed_when_it_is_over(store: Store) -> None:
    for now_ns, begins in ((10, 5), (20, 12), (30, 25)):
        store.settle_gaps([gap(begins)], judged={OFF}, now_ns=now_ns)
    assert spans(store) == [(5, None)]
    assert store.gaps()[0].seen_ns == 30
    store.settle_gaps([], judged={OFF}, now_ns=40)
    assert spans(store) == [(5, 40)]
    store.settle_gaps([gap(50)], judged={OFF}, now_ns=50)
    assert spans(store) == [(5, 40), (50, None)]


def test_only_what_was_judged_is_closed(store: Store) -> None:
    store.settle_gaps([gap(5)], judged={OFF}, now_ns=5)
    store.settle_gaps([], judged={MOUNT}, now_ns=9)
    assert spans(store) == [(5, None)]


def test_paths_have_gaps_of_their_own(store: Store) -> None:
    both = [gap(1, kind=MOUNT, path=path, words="mounted") for path in (b"/a", b"/b\xff")]
    store.settle_gaps(both, judged={MOUNT}, now_ns=1)
    store.settle_gaps(both[:1], judged={MOUNT}, now_ns=7)
    assert {one.path: one.to_ns for one in store.gaps()} == {b"/a": None, b"/b\xff": 7}


def test_the_same_gap_given_again_is_one_and_may_have_grown(store: Store) -> None:
    store.add_gaps([gap(1, 4, lost=3, evidence=("1.000:7",))])
    store.add_gaps([gap(1, 6, lost=2, evidence=("1.000:7", "1.000:9"))])
    (one,) = store.gaps()
    assert (one.to_ns, one.lost, one.evidence) == (6, 3, ("1.000:7", "1.000:9"))


def test_a_clock_that_was_set_back_gives_no_gap_that_ends_before_it_begins(store: Store) -> None:
    store.settle_gaps([gap(100)], judged={OFF}, now_ns=100)
    store.settle_gaps([], judged={OFF}, now_ns=40)
    assert spans(store) == [(100, 100)]


def test_since_leaves_out_what_was_over_before(store: Store) -> None:
    store.add_gaps([gap(1, 4), gap(6, 9)])
    store.settle_gaps([gap(2, kind=MOUNT)], judged={MOUNT}, now_ns=2)
    assert [(one.from_ns, one.to_ns) for one in store.gaps(5)] == [(2, None), (6, 9)]


def test_a_cause_of_a_later_fimkit_is_left_out_and_left_alone(store: Store) -> None:
    store.settle_gaps([gap(5)], judged={OFF}, now_ns=5)
    with store.transaction():
        store._connection.execute("UPDATE coverage SET cause = 'of-tomorrow'")
    assert spans(store) == []
    store.settle_gaps([], judged={OFF}, now_ns=9)
    assert store._connection.execute("SELECT to_ns FROM coverage").fetchall() == [(None,)]


def test_old_gaps_go_with_the_age_limit_and_open_ones_never(store: Store) -> None:
    day = 86_400 * 10**9
    store.add_gaps([gap(1, 4), gap(200 * day, 200 * day + 1)])
    store.settle_gaps([gap(2, kind=MOUNT)], judged={MOUNT}, now_ns=2)
    words = store.apply_limits(keep_days=90, max_mb=4096, now_ns=201 * day)
    assert any("gaps in what was seen" in one for one in words)
    assert spans(store) == [(2, None), (200 * day, 200 * day + 1)]
