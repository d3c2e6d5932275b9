"""Maintenance windows: each has an end, and covers exactly what it says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.time import parse_time, render_time
from fimkit.model.windows import Window, next_begin_ns, open_window, parse_window

__all__: list[str] = []

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIMES = st.integers(0, 4_000_000_000 * 10**9)


def covers(window: str, time: str) -> bool:
    return parse_window(window).covers(parse_time(time))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-22T20:00:00Z", "has no end"),
        ("2026-11-22T20:00:00Z/", "has no end"),
        ("sun 02:00", "has no end"),
        ("2026-11-22T22:00:00Z/2026-11-22T20:00:00Z", "ends before it begins"),
        ("2026-11-22T22:00:00Z/2026-11-22T22:00:00Z", "ends when it begins"),
        ("sun 02:00-02:00", "ends when it begins"),
        ("2026-11-22T20:00:00Z/2026-11-29T20:00:01Z", "is longer than 7 days"),
        ("2026-11-22/2026-11-23", "is no window"),
        ("2026-11-22T20:00:00/2026-11-22T22:00:00", "is no window"),
        ("2026-11-31T20:00:00Z/2026-12-01T22:00:00Z", "no calendar has"),
        ("2026-11-22T20:00:00Z/sun 02:00", "is no window"),
        ("sunday 02:00-04:00", "begins on no day"),
        ("sun 02:00-24:01", "24:01"),
        ("sun 02:60-04:00", "02:60"),
        ("sun 24:00-04:00", "begins at 24:00"),
        ("", "is no window"),
        ("always", "is no window"),
    ],
)
def test_what_is_no_window_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_window(text)


def test_the_begin_is_in_a_window_and_the_end_is_not() -> None:
    interval = "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z"
    assert [covers(interval, f"2026-11-22T{clock}Z") for clock in ("19:59:59.999999999", "20:00:00", "21:59:59", "22:00:00")] == [
        False, True, True, False,
    ]
    assert not covers(interval, "2026-11-29T21:00:00Z")


def test_a_weekly_window_passes_midnight_and_the_end_of_the_week() -> None:
    times = ("22T22:59:59", "22T23:00:00", "23T00:59:59", "23T01:00:00")
    assert [covers("sun 23:00-01:00", f"2026-11-{time}Z") for time in times] == [False, True, True, False]
    assert covers("sat 00:00-24:00", "2026-11-28T23:59:59Z")
    assert not covers("sat 00:00-24:00", "2026-11-29T00:00:00Z")


def test_an_interval_of_seven_days_is_the_longest() -> None:
    assert parse_window("2026-11-22T20:00:00Z/2026-11-29T20:00:00Z").length_ns == 7 * 86_400 * 10**9


@given(st.sampled_from(DAYS), st.integers(0, 1439), st.integers(1, 1440), TIMES)
def test_a_weekly_window_covers_what_the_calendar_says(day: str, begin: int, minutes: int, time_ns: int) -> None:
    end = begin + minutes if begin + minutes <= 1440 else begin + minutes - 1440
    if end == begin:
        return
    window = parse_window(f"{day} {begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}")
    when = datetime.fromtimestamp(time_ns // 10**9, UTC)
    minute = when.hour * 60 + when.minute
    today, yesterday = DAYS[when.weekday()], DAYS[when.weekday() - 1]
    passes = end < begin
    expected = (today == day and begin <= minute and (passes or minute < end)) or (yesterday == day and passes and minute < end)
    assert window.covers(time_ns) == expected


@given(TIMES, st.integers(1, 7 * 86_400))
def test_what_is_rendered_is_read_back(begin_ns: int, length_s: int) -> None:
    begin_ns -= begin_ns % 10**9
    window = Window(begin_ns=begin_ns, length_ns=length_s * 10**9)
    assert parse_window(window.render()) == window
    weekly = parse_window(f"{DAYS[length_s % 7]} 22:15-{length_s % 22:02d}:30")
    assert parse_window(weekly.render()) == weekly


@given(st.text())
def test_any_text_is_a_window_or_refused(text: str) -> None:
    try:
        window = parse_window(text)
    except ValueError as error:
        assert str(error)
    else:
        assert 0 < window.length_ns <= 7 * 86_400 * 10**9


@given(TIMES)
def test_the_next_begin_is_covered_and_after_now(now_ns: int) -> None:
    windows = [parse_window("wed 10:00-11:00"), parse_window("2026-11-22T20:00:00Z/2026-11-22T22:00:00Z")]
    begin_ns = next_begin_ns(windows, now_ns)
    assert begin_ns is not None
    assert now_ns < begin_ns <= now_ns + 7 * 86_400 * 10**9
    assert any(one.covers(begin_ns) and not one.covers(begin_ns - 1) for one in windows)


def test_of_several_open_windows_the_one_that_ends_last_counts() -> None:
    windows = [parse_window("sun 20:00-21:00"), parse_window("2026-11-22T20:00:00Z/2026-11-22T22:00:00Z")]
    now_ns = parse_time("2026-11-22T20:30:00Z")
    opened = open_window(windows, now_ns)
    assert opened is not None
    assert render_time(opened.end_ns(now_ns)) == "2026-11-22T22:00:00Z"
    assert open_window(windows, parse_time("2026-11-22T22:00:00Z")) is None
    assert next_begin_ns(windows[1:], now_ns) is None
