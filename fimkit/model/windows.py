"""Maintenance windows: times in which nothing starts a panic, each with an end. Pure.

Two forms: an interval of RFC 3339, ``2026-11-22T20:00:00Z/2026-11-22T22:00:00Z``, and one of each week in UTC, ``sun 02:00-04:00``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fimkit.model.errors import clip
from fimkit.model.time import parse_time, render_time

__all__ = ["Window", "next_begin_ns", "open_window", "parse_window"]

_NS = 1_000_000_000
_MINUTE_NS, _DAY_NS = 60 * _NS, 86_400 * _NS
_WEEK_NS = 7 * _DAY_NS
_MONDAY_NS = 4 * _DAY_NS  # 1970-01-01 was a Thursday
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(r"(?P<day>[a-z]+)\s+(?P<begin>\d\d:\d\d)(?:\s*-\s*(?P<end>\d\d:\d\d))?", re.IGNORECASE)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")  # RFC 3339, section 5.6
_FORMS = "expected '2026-11-22T20:00:00Z/2026-11-22T22:00:00Z' or, in UTC, 'sun 02:00-04:00'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time from ``begin_ns``, for ``length_ns``: its begin is in it, its end is not. ``weekly`` comes again each seven days."""

    begin_ns: int
    length_ns: int
    weekly: bool = False

    def covers(self, time_ns: int) -> bool:
        """Tell whether a time lies in it.

        >>> parse_window("sun 23:00-01:00").covers(parse_time("2026-11-23T00:59:59Z"))  # a Monday
        True
        """
        since_ns = time_ns - self.begin_ns
        return 0 <= (since_ns % _WEEK_NS if self.weekly else since_ns) < self.length_ns

    def end_ns(self, time_ns: int) -> int:
        """Give when it ends, where it covers ``time_ns``."""
        since_ns = time_ns - self.begin_ns
        return time_ns - (since_ns % _WEEK_NS if self.weekly else since_ns) + self.length_ns

    def next_ns(self, time_ns: int) -> int | None:
        """Give when it begins for the next time after ``time_ns``; ``None`` where it never does again.

        >>> render_time(parse_window("sun 02:00-04:00").next_ns(parse_time("2026-11-22T02:00:00Z")))
        '2026-11-29T02:00:00Z'
        """
        if self.weekly:
            return time_ns + _WEEK_NS - (time_ns - self.begin_ns) % _WEEK_NS
        return self.begin_ns if self.begin_ns > time_ns else None

    def render(self) -> str:
        """Write it as :func:`parse_window` takes it.

        >>> parse_window("Sun 22:00-24:00").render(), parse_window("2026-11-22T21:00:00+01:00/2026-11-22T22:00:00Z").render()
        ('sun 22:00-24:00', '2026-11-22T20:00:00Z/2026-11-22T22:00:00Z')
        """
        end_ns = self.begin_ns + self.length_ns
        if not self.weekly:
            return f"{render_time(self.begin_ns)}/{render_time(end_ns)}"
        day, begin_ns = divmod(self.begin_ns - _MONDAY_NS, _DAY_NS)
        last_ns = begin_ns + self.length_ns
        return f"{_DAYS[day]} {_clock(begin_ns)}-{_clock(last_ns if last_ns <= _DAY_NS else last_ns - _DAY_NS)}"


def _clock(of_day_ns: int) -> str:
    hours, minutes = divmod(of_day_ns // _MINUTE_NS, 60)
    return f"{hours:02d}:{minutes:02d}"


def parse_window(text: str) -> Window:
    """Read a window. One of each week may pass midnight; 24:00 is the end of a day.

    Raises:
        ValueError: If it is none, has no end, ends before it begins, or lasts more than seven days; in words, without its place.

    >>> parse_window("sun 02:00-04:00").length_ns // 10**9
    7200
    >>> parse_window("2026-11-22T20:00:00Z")
    Traceback (most recent call last):
    ValueError: '2026-11-22T20:00:00Z' has no end: nothing would ever start a panic again
    """
    plain = text.strip()
    if weekly := _WEEKLY.fullmatch(plain):
        return _parse_weekly(weekly, text)
    begin, slash, end = (part.strip() for part in plain.partition("/"))
    if _MOMENT.fullmatch(begin) and not end:
        raise ValueError(f"{clip(text)} has no end: nothing would ever start a panic again")
    if not (slash and _MOMENT.fullmatch(begin) and _MOMENT.fullmatch(end)):
        raise ValueError(f"{clip(text)} is no window, {_FORMS}")
    try:
        begin_ns, end_ns = parse_time(begin.upper()), parse_time(end.upper())
    except (ValueError, OverflowError):
        raise ValueError(f"{clip(text)} has a time in it that no calendar has, {_FORMS}") from None
    return _checked(Window(begin_ns=begin_ns, length_ns=end_ns - begin_ns), text)


def _parse_weekly(match: re.Match[str], text: str) -> Window:
    day = match["day"].lower()
    if day not in _DAYS:
        raise ValueError(f"{clip(text)} begins on no day, expected one of {', '.join(_DAYS)}")
    if match["end"] is None:
        raise ValueError(f"{clip(text)} has no end: nothing would ever start a panic again")
    begin_ns, end_ns = _of_day_ns(match["begin"], text), _of_day_ns(match["end"], text)
    if begin_ns == _DAY_NS:
        raise ValueError(f"{clip(text)} begins at 24:00, expected 00:00 of the next day")
    length_ns = end_ns - begin_ns if end_ns >= begin_ns else end_ns - begin_ns + _DAY_NS
    begin_ns += _MONDAY_NS + _DAYS.index(day) * _DAY_NS
    return _checked(Window(begin_ns=begin_ns, length_ns=length_ns, weekly=True), text)


def _of_day_ns(clock: str, text: str) -> int:
    hours, minutes = map(int, clock.split(":"))
    if minutes > 59 or hours * 60 + minutes > 24 * 60:
        raise ValueError(f"{clip(text)} has {clock} in it, expected 00:00 to 24:00")
    return (hours * 60 + minutes) * _MINUTE_NS


def _checked(window: Window, text: str) -> Window:
    if window.length_ns < 0:
        raise ValueError(f"{clip(text)} ends before it begins")
    if window.length_ns == 0:
        raise ValueError(f"{clip(text)} ends when it begins")
    if window.length_ns > _WEEK_NS:
        raise ValueError(f"{clip(text)} is longer than 7 days: a host left open is forgotten")
    return window


def open_window(windows: Iterable[Window], time_ns: int) -> Window | None:
    """Give the window that a time lies in: of several, the one that ends last."""
    return max((one for one in windows if one.covers(time_ns)), key=lambda one: one.end_ns(time_ns), default=None)


def next_begin_ns(windows: Iterable[Window], time_ns: int) -> int | None:
    """Give when the next window begins, if any does."""
    return min((begin_ns for one in windows if (begin_ns := one.next_ns(time_ns)) is not None), default=None)
