"""Times as people write them: RFC 3339, a date, or how long ago. Pure."""

import re

from fimkit.model.errors import UsageError, clip
from fimkit.model.time import parse_time

__all__ = ["parse_ahead", "parse_since"]

_AGO = re.compile(r"(\d{1,9})\s*(s|m|min|h|d|w)")
_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_since(text: str, *, now_ns: int) -> int:
    """Read a time.

    Args:
        text: RFC 3339, a date, or how long ago: ``90s``, ``30m``, ``24h``, ``7d``, ``2w``.
        now_ns: The present.

    Returns:
        Nanoseconds since the epoch.

    Raises:
        UsageError: If it is no time.

    >>> parse_since("24h", now_ns=90_000 * 10**9), parse_since("1970-01-01T00:01:00Z", now_ns=0)
    (3600000000000, 60000000000)
    """
    return _parse(text, now_ns=now_ns, sign=-1)


def parse_ahead(text: str, *, now_ns: int) -> int:
    """Read a time to come: as :func:`parse_since`, and ``2h`` is two hours from now.

    >>> parse_ahead("2h", now_ns=0), parse_ahead("1970-01-02", now_ns=0)
    (7200000000000, 86400000000000)
    """
    return _parse(text, now_ns=now_ns, sign=1)


def _parse(text: str, *, now_ns: int, sign: int) -> int:
    away = _AGO.fullmatch(text.strip())
    if away is not None:
        return now_ns + sign * int(away[1]) * _UNITS_S[away[2]] * 1_000_000_000
    try:
        return parse_time(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(f"{clip(text)} is no time; expected RFC 3339 such as 2026-11-22T03:49:01Z, a date, or e.g. 24h") from None
