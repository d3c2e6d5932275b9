"""The baseline is replaced as a whole or not at all, and its past can be shown."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.schema import migrate
from fimkit.evidence.store import Store
from fimkit.model.errors import StoreError, UsageError
from fimkit.model.findings import Kind
from fimkit.model.states import FileState
from tests.evidence.examples import NOW, a_finding, a_state, states

HOUR = 3600 * 1_000_000_000


def write(store: Store, *rows: FileState, at: int = NOW, why: str = "") -> int:
    return store.write_baseline(rows, who="eve", why=why, time_ns=at)


def test_baseline_comes_back_sorted_by_path(store: Store) -> None:
    assert write(store, a_state(b"/b"), a_state(b"/a\xff\n", sha256=None, problem="it vanished")) == 2
    assert list(store.baseline().items()) == [
        (b"/a\xff\n", a_state(b"/a\xff\n", sha256=None, problem="it vanished")),
        (b"/b", a_state(b"/b")),
    ]
    assert store.baseline_row(b"/b") == a_state(b"/b")
    assert store.baseline_row(b"/c") is None


@given(st.lists(states, max_size=20))
def test_any_states_are_stored_and_loaded_unchanged(rows: list[FileState]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    store = Store(connection, b":memory:")
    store.write_baseline(rows, who="x", why="", time_ns=1)
    assert store.baseline() == {row.path: row for row in rows}
    store.close()


def test_rows_below_a_path_are_its_own_and_no_namesakes(store: Store) -> None:
    names = [b"/lib", b"/lib/a", b"/lib/b/c", b"/lib-x", b"/lib.x/y", b"/lib0", b"/lib\xff", b"/li", b"/"]
    write(store, *map(a_state, names))
    assert list(store.baseline_below(b"/lib")) == [b"/lib", b"/lib/a", b"/lib/b/c"]
    assert list(store.baseline_below(b"/")) == sorted(names)
    assert list(store.baseline_below(b"/nothing")) == []


def test_meta_says_who_when_why_how_many_and_what_could_not_be_read(store: Store) -> None:
    assert store.baseline_meta() is None
    notes: list[str] = []

    def scan() -> Iterator[FileState]:
        yield a_state(b"/a", problem="not readable")
        notes.append("/missing is missing")
        yield a_state(b"/b")

    store.write_baseline(scan(), who="eve as root", why="after the upgrade", time_ns=NOW, notes=notes)
    meta = store.baseline_meta()
    assert (meta.who, meta.why, meta.time_ns, meta.count, meta.problems) == ("eve as root", "after the upgrade", NOW, 2, 1)
    assert meta.notes == ("/missing is missing",)
    assert (meta.accepts, meta.accepted_ns) == (0, None)


def test_scan_that_fails_leaves_the_old_baseline(store: Store) -> None:
    write(store, a_state(b"/a"))

    def broken() -> Iterator[FileState]:
        yield a_state(b"/b")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write_baseline(broken(), who="eve", why="", time_ns=NOW + HOUR)
    assert list(store.baseline()) == [b"/a"]
    assert len(store.acceptances()) == 1
    write(store, a_state(b"/c"))
    assert list(store.baseline()) == [b"/c"]


def test_accept_keeps_who_when_why_and_the_old_state(store: Store) -> None:
    old, new = a_state(b"/a"), a_state(b"/a", sha256="cd" * 32)
    write(store, old, a_state(b"/b"))
    number = store.accept([(b"/a", new), (b"/b", None), (b"/c", a_state(b"/c"))], who="eve", why="upgrade", time_ns=NOW + HOUR)
    assert store.baseline() == {b"/a": new, b"/c": a_state(b"/c")}
    rows = list(store.history())
    assert [(row.path, row.before, row.after) for row in rows] == [
        (b"/a", old, new), (b"/b", a_state(b"/b"), None), (b"/c", None, a_state(b"/c")),
    ]  # fmt: skip
    assert {(row.acceptance.id, row.acceptance.who, row.acceptance.why, row.acceptance.time_ns) for row in rows} == {
        (number, "eve", "upgrade", NOW + HOUR)
    }
    assert store.acceptances()[-1].paths == 3
    assert [row.before for row in store.history(b"/a")] == [old]
    meta = store.baseline_meta()
    assert (meta.count, meta.accepts, meta.accepted_ns) == (2, 1, NOW + HOUR)


def test_accept_of_what_is_there_already_adds_no_history(store: Store) -> None:
    write(store, a_state(b"/a"))
    store.accept([(b"/a", a_state(b"/a")), (b"/z", None)], who="eve", why="", time_ns=NOW)
    assert list(store.history()) == []
    assert store.acceptances()[-1].paths == 0


def test_accept_without_a_baseline_is_refused_and_closes_nothing(store: Store) -> None:
    store.put_findings([a_finding()], now_ns=NOW)
    with pytest.raises(StoreError, match="no baseline yet"):
        store.accept([(b"/etc/x", None)], who="eve", why="", time_ns=NOW, finding_ids=["a1"])
    assert [finding.id for finding in store.findings()] == ["a1"]


def test_accept_closes_its_findings_and_says_so_on_them(store: Store) -> None:
    write(store, a_state(b"/etc/x"))
    store.put_findings([a_finding("a1"), a_finding("b2", b"/etc/y")], now_ns=NOW)
    number = store.accept([(b"/etc/x", a_finding().after)], who="eve", why="mine", time_ns=NOW + 5, finding_ids=["a1"])
    assert [finding.id for finding in store.findings()] == ["b2"]
    row = store.finding("a1")
    assert (row.status.value, row.closed_ns, row.acceptance) == ("accepted", NOW + 5, number)


def test_baseline_at_an_earlier_time_is_shown(store: Store) -> None:
    first, second = a_state(b"/a"), a_state(b"/a", mode=0o600)
    write(store, first, a_state(b"/b"), at=NOW)
    store.accept([(b"/a", second), (b"/c", a_state(b"/c"))], who="eve", why="", time_ns=NOW + HOUR)
    store.accept([(b"/c", None), (b"/b", None)], who="eve", why="", time_ns=NOW + 2 * HOUR)
    write(store, a_state(b"/d"), a_state(b"/a", mode=0), at=NOW + 3 * HOUR)
    assert store.baseline(at_ns=NOW) == {b"/a": first, b"/b": a_state(b"/b")}
    assert store.baseline(at_ns=NOW + 2 * HOUR - 1) == {b"/a": second, b"/b": a_state(b"/b"), b"/c": a_state(b"/c")}
    assert store.baseline(at_ns=NOW + 2 * HOUR) == {b"/a": second}
    assert store.baseline(at_ns=NOW + 9 * HOUR) == store.baseline() == {b"/a": a_state(b"/a", mode=0), b"/d": a_state(b"/d")}
    with pytest.raises(UsageError, match="no baseline yet at 2026-11-22"):
        store.baseline(at_ns=NOW - 1)


def test_new_baseline_puts_only_what_differs_into_the_history(store: Store) -> None:
    write(store, a_state(b"/same"), a_state(b"/gone"), a_state(b"/other", target=None))
    write(store, a_state(b"/same"), a_state(b"/new"), a_state(b"/other", target=b"x"), at=NOW + HOUR)
    assert [(row.path, row.before is None, row.after is None) for row in store.history()] == [
        (b"/gone", False, True), (b"/new", True, False), (b"/other", False, False),
    ]  # fmt: skip


def test_new_baseline_accepts_the_open_differences_and_not_the_tries(store: Store) -> None:
    write(store, a_state(b"/etc/x"))
    store.put_findings([a_finding("a1"), a_finding("t1", kind=Kind.ATTEMPTED)], now_ns=NOW)
    write(store, a_state(b"/etc/x", sha256="cd" * 32), at=NOW + HOUR)
    assert [finding.id for finding in store.findings()] == ["t1"]
    assert store.finding("a1").acceptance == store.acceptances()[-1].id


_wanted = st.dictionaries(st.sampled_from([b"/a", b"/b", b"/c"]), st.none() | st.integers(0, 3))
_steps = st.lists(st.tuples(st.sampled_from(["create", "accept"]), _wanted), max_size=6)


@given(_steps)
def test_every_past_baseline_can_be_shown_after_any_acceptances(steps: list[tuple[str, dict[bytes, int | None]]]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    store = Store(connection, b":memory:")
    write(store, at=0)
    truth: list[dict[bytes, FileState]] = [{}]
    for time_ns, (kind, wanted) in enumerate(steps, start=1):
        pairs = [(path, None if mode is None else a_state(path, mode=mode)) for path, mode in wanted.items()]
        if kind == "create":
            now = {path: state for path, state in pairs if state}
            write(store, *now.values(), at=time_ns)
        else:
            now = {path: state for path, state in {**truth[-1], **dict(pairs)}.items() if state}
            store.accept(pairs, who="x", why="", time_ns=time_ns)
        truth.append(now)
    assert [store.baseline(at_ns=time_ns) for time_ns in range(len(truth))] == truth
    store.close()
