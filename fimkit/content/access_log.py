r"""One line of a web server's access log, in the common or the combined format, with or without a virtual host before. Pure.

All of a request is the attacker's: the fields are bytes here, and whoever shows them escapes them. Servers write a quote or a
control character inside a quoted field as ``\"`` or ``\x16``, so no request can end its own field.

Source: Apache httpd, mod_log_config, "common", "combined", "vhost_combined"; nginx, ngx_http_log_module, "combined".
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

__all__ = ["MOST_LINE_BYTES", "WebRequest", "parse_request"]

MOST_LINE_BYTES = 16 << 10
"""What of a line is looked at; servers end a request's head at 8 KiB."""

_QUOTED = rb'"((?:[^"\\]|\\.)*+)"'
_LINE = re.compile(
    rb"(?:\S{1,255}:\d{1,5} )?(\S{1,255}) \S{1,255} (.{0,255}?) \[([^\]]{20,32})\] " + _QUOTED
    + rb" (\d{3}) (?:\d{1,19}|-)(?: " + _QUOTED + rb" " + _QUOTED + rb")?"
)  # fmt: skip
_TIME = re.compile(rb"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_NS = 1_000_000_000


class WebRequest(NamedTuple):
    """One request. ``target`` is what was asked for, as it was sent; ``user`` and ``agent`` are empty where the log has none."""

    time_ns: int
    remote: bytes
    user: bytes
    method: bytes
    target: bytes
    status: int
    agent: bytes


def parse_request(line: bytes) -> WebRequest | None:
    r"""Read a line.

    Returns:
        The request; ``None`` for what is no line of these formats, or no request in it (a scanner's noise).

    >>> line = b'198.51.100.7 - - [22/Nov/2026:03:49:01 +0100] "POST /up.php HTTP/1.1" 200 17 "-" "curl/8.5"'
    >>> parse_request(line)[1:]
    (b'198.51.100.7', b'', b'POST', b'/up.php', 200, b'curl/8.5')
    >>> parse_request(b'x - - [22/Nov/2026:03:49:01 +0100] "\\x16\\x03\\x01" 400 0') is None
    True
    """
    found = _LINE.match(line[:MOST_LINE_BYTES])
    if found is None:
        return None
    remote, user, when, request, status, _, agent = found.groups()
    time_ns, parts = _parse_time(when), request.split(b" ")
    if time_ns is None or len(parts) < 2 or not parts[0].isalpha():
        return None
    target = b" ".join(parts[1:-1]) if len(parts) > 2 else parts[1]
    return WebRequest(time_ns, remote, _or_none(user), parts[0], target, int(status), _or_none(agent or b"-"))


def _or_none(field: bytes) -> bytes:
    return b"" if field in (b"-", b'""') else field


def _parse_time(text: bytes) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second, ahead_h, ahead_m = (int(found[number]) for number in (1, 3, 4, 5, 6, 8, 9))
    ahead = timedelta(hours=ahead_h, minutes=ahead_m) * (-1 if found[7] == b"-" else 1)
    try:
        zone = timezone(ahead)
        time = datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, min(second, 59), tzinfo=zone)
        return int(time.astimezone(UTC).timestamp()) * _NS
    except (ValueError, OverflowError):
        return None
