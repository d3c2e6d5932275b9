"""What is told is shown in order, by a thread that may be held up: nothing else is, and nothing is called shown that was not."""

import select
import threading

import pytest

from fimkit.verbs.watch_outlet import Outlet

__all__: list[str] = []


def test_what_is_put_in_is_shown_in_order_and_its_ids_come_back() -> None:
    seen: list[int] = []
    with Outlet(seen.append) as outlet:
        assert all(outlet.put(number, [f"id{number}"]) for number in range(100))
        assert outlet.end(10)
        assert seen == list(range(100))
        assert select.select([outlet], [], [], 10)[0]
        assert outlet.shown() == [f"id{number}" for number in range(100)]
        assert outlet.shown() == []
        assert not select.select([outlet], [], [], 0)[0]
    assert outlet.unshown == 0


def test_a_reader_that_takes_nothing_holds_up_nobody_and_what_has_no_room_is_counted() -> None:
    gate, entered = threading.Event(), threading.Event()
    seen: list[int] = []

    def show(number: int) -> None:
        entered.set()
        gate.wait(30)
        seen.append(number)

    with Outlet(show, most=5) as outlet:
        assert outlet.put(0, ["a"])
        assert entered.wait(10)
        taken = [outlet.put(number, ["b"]) for number in range(1, 10)]
        assert True in taken and False in taken
        assert outlet.unshown == taken.count(False)
        assert outlet.shown() == []
        assert not outlet.end(0.01)
        assert outlet.held_up_s() > 0
        gate.set()
        assert outlet.end(10)
        assert outlet.held_up_s() == 0
        assert outlet.shown() == ["a"] + ["b"] * taken.count(True)
        assert seen == [0, *(number for number, room in zip(range(1, 10), taken, strict=True) if room)]


def test_more_at_once_than_there_is_room_for_is_shown_when_nothing_else_waits() -> None:
    seen: list[str] = []
    with Outlet(seen.append, most=3) as outlet:
        assert outlet.put("all", [str(number) for number in range(50)], size=50)
        assert outlet.end(10)
        assert len(outlet.shown()) == 50


def test_a_failing_output_is_told_and_shows_nothing_more() -> None:
    def show(told: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with Outlet(show) as outlet:
        outlet.put("x", ["a"])
        assert not outlet.end(10)
        with pytest.raises(BrokenPipeError):
            outlet.put("y", ["b"])
        with pytest.raises(BrokenPipeError):
            outlet.shown()
