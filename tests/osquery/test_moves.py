"""The two halves of a rename are paired by their cookie, on one host and within a window."""

import itertools
from dataclasses import replace

import pytest

from fimkit.model.changes import Action, Change, Source
from fimkit.osquery.moves import WINDOW_NS, Move, pair_moves

SECOND = 1_000_000_000
_numbers = itertools.count(1)


def half(action: Action, path: bytes, *, cookie: str | None = "7", at_s: int = 100, node: str | None = "web01") -> Change:
    return Change(
        source=Source.OSQUERY, action=action, time_ns=at_s * SECOND, serial=next(_numbers), path=path, cookie=cookie, node=node
    )


def gone(path: bytes, **more: object) -> Change:
    return half(Action.MOVED_FROM, path, **more)  # type: ignore[arg-type]


def came(path: bytes, **more: object) -> Change:
    return half(Action.MOVED_TO, path, **more)  # type: ignore[arg-type]


def names(*changes: Change) -> list[tuple[bytes, bytes]]:
    return [(move.old, move.new) for move in pair_moves(changes)]


@pytest.mark.parametrize("apart_s", [0, 3, -3, 10])
def test_halves_of_one_rename_are_a_pair_in_any_order_and_query_run(apart_s: int) -> None:
    first, second = gone(b"/a"), came(b"/b", at_s=100 + apart_s)
    assert names(first, second) == names(second, first) == [(b"/a", b"/b")]


@pytest.mark.parametrize(
    "other",
    [
        came(b"/b", at_s=100 + WINDOW_NS // SECOND + 1),
        came(b"/b", at_s=5000),
        came(b"/b", node="db01"),
        came(b"/b", cookie="8"),
        came(b"/b", cookie=None),
        gone(b"/b"),
        replace(came(b"/b"), source=Source.AUDIT),
    ],
)
def test_another_host_another_boot_or_another_cookie_is_no_pair(other: Change) -> None:
    assert names(gone(b"/a"), other) == []


def test_a_cookie_that_is_used_again_pairs_each_with_its_own() -> None:
    changes = [gone(b"/a"), came(b"/b"), gone(b"/c", at_s=9000), came(b"/d", at_s=9001)]
    assert names(*changes) == [(b"/a", b"/b"), (b"/c", b"/d")]


def test_a_move_in_or_out_alone_is_no_pair() -> None:
    assert names(gone(b"/a"), came(b"/z", cookie="9")) == []


def test_a_log_read_twice_has_each_rename_once() -> None:
    changes = [gone(b"/a"), came(b"/b")]
    again = [replace(change, serial=change.serial + 1000) for change in changes]
    assert names(*changes, *again) == [(b"/a", b"/b")]


def test_the_later_half_gives_the_time() -> None:
    arrival = came(b"/b", at_s=102)
    assert pair_moves([gone(b"/a"), arrival]) == [Move(b"/a", b"/b", 102 * SECOND, arrival)]
