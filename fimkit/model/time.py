"""Integer nanoseconds since the epoch, and RFC 3339 text in UTC. Pure."""

import re
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["parse_time", "render_time"]

_FRACTION = re.compile(r"\.(\d+)")


def render_time(time_ns: int) -> str:
    """Write a time as RFC 3339 in UTC, with as many of 0, 3, 6 or 9 digits as it needs.

    >>> render_time(1795319341970000000), render_time(1795319341000000001), render_time(0)
    ('2026-11-22T03:49:01.970Z', '2026-11-22T03:49:01.000000001Z', '1970-01-01T00:00:00Z')
    """
    seconds, rest = divmod(time_ns, 1_000_000_000)
    text = _render_second(seconds)
    digits = f"{rest:09d}"
    for keep in (0, 3, 6, 9):
        if not digits[keep:].strip("0"):
            return f"{text}.{digits[:keep]}Z" if keep else f"{text}Z"
    raise AssertionError


@lru_cache(maxsize=1024)
def _render_second(seconds: int) -> str:
    """Write a whole second; what happens in a burst happens in few."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int:
    """Read RFC 3339, or a date, or a date and time without a zone (taken as UTC).

    Returns:
        Nanoseconds since the epoch.

    Raises:
        ValueError: If it is no such time.

    >>> parse_time("2026-11-22T03:49:01.970Z"), parse_time("1970-01-02"), parse_time("1970-01-01T01:00:00+01:00")
    (1795319341970000000, 86400000000000, 0)
    """
    fraction = _FRACTION.search(text)
    whole = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    if whole.tzinfo is None:
        whole = whole.replace(tzinfo=UTC)
    rest = int((fraction.group(1) + "0" * 9)[:9]) if fraction else 0
    return round(whole.timestamp()) * 1_000_000_000 + rest
