"""A finding opens once, lasts as long as its difference, and closes with a reason."""

import pytest

from fimkit.evidence.finding_life import FindingStatus
from fimkit.evidence.store import Store
from fimkit.model.errors import UsageError
from fimkit.model.findings import Attribution, Kind, Severity
from tests.evidence.examples import DAY_NS, NOW, a_finding, a_state, an_actor

LATER = NOW + DAY_NS


def ids(findings) -> list[str]:
    return [finding.id for finding in findings]


def test_new_finding_is_new_once(store: Store) -> None:
    first = store.put_findings([a_finding()], now_ns=NOW)
    again = store.put_findings([a_finding(actors=(), attribution=Attribution.UNATTRIBUTED)], now_ns=LATER)
    assert (ids(first.new), ids(first.known), ids(first.still_open)) == (["a1"], [], [])
    assert (ids(again.new), ids(again.known), ids(again.still_open)) == ([], ["a1"], ["a1"])
    assert store.findings() == [a_finding(last_seen_ns=LATER)] == list(again.known)


def test_finding_comes_back_whole_from_the_store(store: Store) -> None:
    odd = a_finding(path=b"/etc/\xff\n%", moved_to=b"/\x00x", after=a_state(b"/\x00x", xattrs={"user.x": b"\xff"}),
                    actors=(an_actor(exe=b"/\xfe", comm=None, cmdline="half \udcff"),))
    store.put_findings([odd], now_ns=NOW)
    assert store.findings() == [odd]


def test_more_surely_attributed_finding_is_told(store: Store) -> None:
    store.put_findings([a_finding(actors=(), attribution=Attribution.UNATTRIBUTED, evidence=())], now_ns=NOW)
    stored = store.put_findings([a_finding()], now_ns=LATER)
    assert ids(stored.improved) == ["a1"]
    assert store.findings()[0].actors == a_finding().actors


def test_undone_difference_is_gone_and_new_when_it_comes_back(store: Store) -> None:
    store.put_findings([a_finding()], now_ns=NOW)
    undone = store.put_findings([], now_ns=NOW + 1)
    row = store.finding("a1")
    assert (ids(undone.gone), row.status, row.closed_ns) == (["a1"], FindingStatus.GONE, NOW + 1)
    back = store.put_findings([a_finding(actors=(an_actor(99),), first_seen_ns=LATER)], now_ns=LATER)
    assert ids(back.new) == ["a1"]
    assert (store.finding("a1").status, store.findings()[0].actors) == (FindingStatus.OPEN, (an_actor(99),))
    assert [row.status for row in store.finding_rows(None)] == [FindingStatus.GONE, FindingStatus.OPEN]


@pytest.mark.parametrize("kind", [Kind.ATTEMPTED, Kind.TRANSIENT])
def test_what_happened_once_stays_open_though_it_is_not_seen_again(store: Store, kind: Kind) -> None:
    store.put_findings([a_finding(kind=kind)], now_ns=NOW)
    later = store.put_findings([], now_ns=LATER)
    assert (ids(later.gone), ids(later.still_open), ids(store.findings())) == ([], ["a1"], ["a1"])


def test_accepted_try_read_again_from_an_old_log_stays_accepted(store: Store) -> None:
    store.write_baseline([], who="eve", why="", time_ns=NOW)
    store.put_findings([a_finding(kind=Kind.ATTEMPTED)], now_ns=NOW)
    store.accept([], who="eve", why="it was me", time_ns=NOW, finding_ids=["a1"])
    again = store.put_findings([a_finding(kind=Kind.ATTEMPTED)], now_ns=LATER)
    assert (ids(again.new), ids(again.accepted), store.findings()) == ([], ["a1"], [])


def test_accepted_difference_that_comes_back_is_new(store: Store) -> None:
    store.write_baseline([], who="eve", why="", time_ns=NOW)
    store.put_findings([a_finding()], now_ns=NOW)
    store.accept([], who="eve", why="", time_ns=NOW, finding_ids=["a1"])
    assert ids(store.put_findings([a_finding()], now_ns=LATER).new) == ["a1"]


def test_other_difference_on_the_path_supersedes_the_older(store: Store) -> None:
    store.put_findings([a_finding("a1")], now_ns=NOW)
    stored = store.put_findings([a_finding("b2", after=a_state(b"/etc/x", sha256="ef" * 32))], now_ns=LATER)
    row = store.finding("a1")
    assert (ids(stored.new), ids(stored.superseded), ids(stored.gone)) == (["b2"], ["a1"], [])
    assert (row.status, row.superseded_by, row.closed_ns) == (FindingStatus.SUPERSEDED, "b2", LATER)


def test_move_supersedes_what_was_open_at_its_end(store: Store) -> None:
    store.put_findings([a_finding("c1", b"/etc/new", kind=Kind.CREATED)], now_ns=NOW)
    stored = store.put_findings([a_finding("m1", b"/etc/old", kind=Kind.MOVED, moved_to=b"/etc/new")], now_ns=LATER)
    assert (ids(stored.superseded), ids(store.findings())) == (["c1"], ["m1"])


def test_try_on_the_path_does_not_supersede_its_difference(store: Store) -> None:
    store.put_findings([a_finding("a1")], now_ns=NOW)
    stored = store.put_findings([a_finding("a1"), a_finding("t1", kind=Kind.ATTEMPTED)], now_ns=LATER)
    assert (ids(stored.superseded), sorted(ids(store.findings()))) == ([], ["a1", "t1"])


def test_same_path_on_another_host_is_left_alone_by_superseding(store: Store) -> None:
    store.add_findings([a_finding("a1", host="db01")], now_ns=NOW)
    assert store.add_findings([a_finding("b2", host="web01")], now_ns=LATER).superseded == ()


def test_live_look_closes_nothing_that_it_does_not_mention(store: Store) -> None:
    store.put_findings([a_finding("a1")], now_ns=NOW)
    stored = store.add_findings([a_finding("b2", b"/etc/y")], now_ns=LATER)
    assert (ids(stored.new), sorted(ids(store.findings()))) == (["b2"], ["a1", "b2"])


def test_where_a_look_could_not_see_findings_stay_open(store: Store) -> None:
    store.put_findings([a_finding("a1", b"/etc/ssh/x"), a_finding("b2", b"/etc/sshx"), a_finding("c3", b"/srv")], now_ns=NOW)
    stored = store.put_findings([], now_ns=LATER, unseen=[b"/etc/ssh/", b"/srv"])
    assert (ids(stored.gone), ids(store.findings())) == (["b2"], ["a1", "c3"])
    store.put_findings([], now_ns=LATER, unseen=[b"/"])
    assert ids(store.findings()) == ["a1", "c3"]


def test_findings_come_the_most_severe_first_then_by_path(store: Store) -> None:
    store.put_findings([a_finding("i", b"/a", severity=Severity.INFO), a_finding("d", b"/z"), a_finding("c", b"/y"),
                        a_finding("h", b"/b", severity=Severity.HIGH)], now_ns=NOW)  # fmt: skip
    assert ids(store.findings()) == ["c", "d", "h", "i"]


def test_finding_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    store.put_findings([a_finding("abc1", b"/a"), a_finding("abd2", b"/b")], now_ns=NOW)
    assert store.finding("abc").finding.id == "abc1"
    assert store.finding("x") is store.finding("") is store.finding("%") is None
    with pytest.raises(UsageError, match="more than one finding's id begins with 'ab': abc1, abd2"):
        store.finding("ab")


def test_same_finding_twice_in_one_look_is_one(store: Store) -> None:
    stored = store.put_findings([a_finding(), a_finding()], now_ns=NOW)
    assert (ids(stored.new), len(store.findings())) == (["a1"], 1)


def test_try_of_another_takes_the_older_one_in_and_one_of_other_records_does_not(store: Store) -> None:
    first = [a_finding("t1", kind=Kind.ATTEMPTED, evidence=("1",)), a_finding("p1", kind=Kind.TRANSIENT, evidence=("1",))]
    store.put_findings(first, now_ns=NOW)
    apart = store.put_findings([a_finding("t2", kind=Kind.ATTEMPTED, evidence=("2",))], now_ns=LATER)
    both = store.put_findings([a_finding("t3", kind=Kind.ATTEMPTED, evidence=("1", "2", "3"))], now_ns=LATER)
    assert (ids(apart.superseded), ids(both.superseded)) == ([], ["t1", "t2"])
    assert ids(store.findings()) == ["p1", "t3"]
    assert store.finding("t1").superseded_by == "t3"


def test_difference_takes_in_the_tries_that_it_names_and_no_others(store: Store) -> None:
    store.put_findings([a_finding("t1", kind=Kind.ATTEMPTED, evidence=("1",)),
                        a_finding("t2", kind=Kind.ATTEMPTED, evidence=("9",)), a_finding("t3", kind=Kind.ATTEMPTED, evidence=())],
                       now_ns=NOW)  # fmt: skip
    stored = store.put_findings([a_finding("m1", evidence=("1", "2"))], now_ns=LATER)
    assert (ids(stored.superseded), sorted(ids(store.findings()))) == (["t1"], ["m1", "t2", "t3"])


def test_later_try_than_the_accepted_one_is_new_though_it_has_its_name(store: Store) -> None:
    store.write_baseline([], who="eve", why="", time_ns=NOW)
    store.put_findings([a_finding(kind=Kind.TRANSIENT)], now_ns=NOW)
    store.accept([], who="eve", why="", time_ns=NOW, finding_ids=["a1"])
    assert ids(store.put_findings([a_finding(kind=Kind.TRANSIENT, last_seen_ns=LATER)], now_ns=LATER).new) == ["a1"]


def test_finding_is_untold_until_it_was_told(store: Store) -> None:
    store.put_findings([a_finding("a1"), a_finding("b2", b"/b")], now_ns=NOW)
    assert store.untold() == {"a1", "b2"}
    store.tell(["a1"], time_ns=LATER)
    store.put_findings([a_finding("a1"), a_finding("b2", b"/b")], now_ns=LATER)
    assert store.untold() == {"b2"}
    store.put_findings([], now_ns=LATER)
    assert store.untold() == set()


def test_difference_that_comes_back_is_told_again_and_a_try_is_not(store: Store) -> None:
    attempt = a_finding("t1", kind=Kind.ATTEMPTED, evidence=("1",))
    store.put_findings([a_finding("a1", b"/a"), attempt], now_ns=NOW)
    store.tell(["a1", "t1"], time_ns=NOW)
    store.put_findings([a_finding("m1", evidence=("1", "2"))], now_ns=LATER)
    back = store.put_findings([a_finding("a1", b"/a"), attempt], now_ns=LATER)
    assert (ids(back.new), store.untold()) == (["a1", "t1"], {"a1"})
