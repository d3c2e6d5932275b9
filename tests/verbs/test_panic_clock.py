"""Parts of a panic are left behind when their time is over, and what they come to later is still known."""

import threading
import time

from fimkit.panic.incident import Status
from fimkit.panic.steps import StepAbsent
from fimkit.verbs.panic_clock import Done, PanicClock

__all__: list[str] = []

LATE_S = 30.0


def test_a_part_gives_its_value_and_words() -> None:
    clock = PanicClock(30)
    assert clock.run("one", lambda: Done(value=7, words="seven"), patience_s=LATE_S) == 7
    (one,) = clock.times()
    assert (one.name, one.status, one.words) == ("one", Status.OK, "seven") and one.took_s >= 0


def test_a_part_that_fails_or_is_about_what_is_absent_stops_nothing() -> None:
    def absent() -> Done[None]:
        raise StepAbsent("there is none")

    clock = PanicClock(30)
    assert clock.run("failed", lambda: Done(value=1 // 0), patience_s=LATE_S) is None
    assert clock.run("absent", absent, patience_s=LATE_S) is None
    assert [(one.status, one.words) for one in clock.times()] == [
        (Status.FAILED, "ZeroDivisionError: integer division or modulo by zero"), (Status.ABSENT, "there is none"),
    ]  # fmt: skip


def test_a_part_that_hangs_is_left_behind_and_may_end_later() -> None:
    go = threading.Event()

    def hang() -> Done[str]:
        go.wait(LATE_S)
        return Done(value="late", words="late")

    clock = PanicClock(30)
    part = clock.begin("hangs", hang)
    assert part.wait(0.05) is None and part.status is Status.TIMEOUT
    assert clock.times()[0].words.startswith("left behind after")
    go.set()
    assert part.wait(LATE_S) == "late" and clock.times()[0].status is Status.OK


def test_without_time_a_part_is_not_begun_but_one_that_must_be_is() -> None:
    clock = PanicClock(30)
    ran: list[int] = []
    assert clock.run("none", lambda: Done(value=ran.append(1)), patience_s=0) is None
    assert not ran and clock.times()[0].status is Status.SKIPPED
    assert clock.insist("must", lambda: Done(value=2), patience_s=LATE_S) == 2


def test_the_cut_is_due_before_the_deadline_and_a_small_part_gets_a_quarter_at_most() -> None:
    assert PanicClock(30).cut_s == 28.0 and PanicClock(1).cut_s == 0.8
    clock = PanicClock(10)
    assert clock.part_s(60.0) <= 2.0 < clock.left_s(60.0) <= 8.0
    assert clock.left_s(60.0, spare_s=9.0) == 0.0
    begun = time.monotonic()
    assert clock.now_s() <= time.monotonic() - begun + 1.0
