"""Times in the words of other systems. Pure."""

from datetime import UTC, datetime

__all__ = ["render_calendar"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def render_calendar(seconds: int) -> str:
    """Write a time as osquery's ``calendarTime``, whatever the locale; empty where no calendar has it.

    >>> render_calendar(1795319341), render_calendar(10**15)
    ('Sun Nov 22 03:49:01 2026 UTC', '')
    """
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    clock = time.strftime("%H:%M:%S")
    return f"{_DAYS[time.weekday()]} {_MONTHS[time.month - 1]} {time.day:2d} {clock} {time.year} UTC"
