"""Missing serials: what is late is not missing, a boot is no gap, and a reading that goes on knows what the one before saw."""

import random

from hypothesis import given
from hypothesis import strategies as st

from fimkit.audit.serials import MissingSerials, SerialTrack


def read(*events: tuple[int, int], state: tuple[tuple[int, ...], ...] = ()) -> SerialTrack:
    track = SerialTrack(state)
    for serial, time_ms in events:
        track.take(serial, time_ms)
    return track


def ranges(missing: list[MissingSerials]) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in missing]


def test_whole_log_misses_nothing() -> None:
    assert read(*((number, number) for number in range(500, 900))).missing(everything=True) == []


def test_lines_that_were_taken_out_are_missing() -> None:
    events = [(number, number * 100) for number in range(1000) if not 300 <= number < 320]
    assert read(*events[1:]).missing() == [MissingSerials(300, 319, 29900, 32000)]


def test_young_hole_waits_for_what_may_come_late() -> None:
    track = read((1, 0), (2, 1), (5, 2))
    assert track.missing() == []
    assert ranges(track.missing(everything=True)) == [(3, 4)]


def test_what_comes_late_in_the_next_reading_is_not_missing() -> None:
    first = read((1, 0), (2, 1), (6, 2))
    assert first.missing() == []
    second = read((4, 3), (7, 50_000), state=first.state)
    assert ranges(second.missing()) == [(3, 3), (5, 5)]


def test_records_that_went_between_two_readings_are_missing() -> None:
    first = read((1, 0), (2, 1))
    assert ranges(read((9, 20_000), (10, 40_000), state=first.state).missing()) == [(3, 8)]


def test_boot_begins_anew() -> None:
    track = read((5000, 1), (5001, 2))
    track.restart()
    track.take(1, 3)
    track.take(2, 4)
    assert track.missing(everything=True) == []


def test_daemon_that_was_restarted_on_the_same_boot_leaves_no_hole_of_its_own() -> None:
    track = read((10, 1))
    track.restart()
    track.take(40, 2)  # the gap is the daemon's, and told as that
    assert track.missing(everything=True) == []


def test_boot_without_a_word_of_the_daemon_is_known_by_its_low_numbers() -> None:
    assert read((500_000, 1), (3, 2), (4, 3)).missing(everything=True) == []


@given(st.integers(0, 2**32), st.sets(st.integers(1, 399), max_size=30))
def test_any_order_within_the_time_of_settling_gives_just_what_is_gone(seed: int, gone: set[int]) -> None:
    numbers = [number for number in range(0, 401) if number not in gone]
    middle = numbers[1:-1]
    for start in range(0, len(middle), 20):
        block = middle[start : start + 20]
        random.Random(seed + start).shuffle(block)
        middle[start : start + 20] = block
    track = read(*((number + 1, place) for place, number in enumerate([0, *middle, 400])))
    missing = {number - 1 for one in track.missing(everything=True) for number in range(one.first, one.last + 1)}
    assert missing == gone


@given(st.lists(st.tuples(st.integers(0, 2**63), st.integers(0, 2**45)), max_size=60))
def test_any_numbers_end_and_their_state_goes_on(events: list[tuple[int, int]]) -> None:
    track = read(*events)
    again = SerialTrack(track.state)
    assert again.state == track.state
    assert all(one.first <= one.last for one in track.missing(everything=True))
