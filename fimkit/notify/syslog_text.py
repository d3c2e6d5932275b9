"""A message as RFC 5424 has it, with structured data; and framed for a stream. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum

from fimkit.notify.message import render_word

__all__ = ["SyslogSeverity", "frame_octets", "render_syslog"]

_FACILITY = 10                  # security and authorization, as authpriv
_ID = "fimkit@32473"            # RFC 5612: the number that is free for whoever has none
_UNPRINTABLE = re.compile(r"[^!-~]")
_NOT_IN_NAME = re.compile(r"[^!-~]|[=\]\"]")
_MOST_BYTES = 8192              # RFC 5425 wants 8192 to be taken
_VALUE_CHARS = 300
_BOM = b"\xef\xbb\xbf"          # says that the text is UTF-8


class SyslogSeverity(IntEnum):
    """Those that are used here. Source: RFC 5424, table 2."""

    ALERT = 1
    CRITICAL = 2
    NOTICE = 5
    INFO = 6


def _word(text: str, most: int) -> str:
    return _UNPRINTABLE.sub("_", text)[:most] or "-"


def _value(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", render_word(text))


def render_syslog(
    words: str, *, severity: SyslogSeverity, host: str, kind: str, time_ns: int, fields: Mapping[str, str]
) -> bytes:
    r"""Write a message.

    Args:
        words: For people; one line.
        severity: Of the message.
        host: Who speaks.
        kind: The kind of message, one word; ``panic``.
        time_ns: When it happened.
        fields: Structured data, by name: six at most. A value longer than 300 characters is cut.

    Returns:
        At most 8192 bytes; a longer text is cut at its end.

    Source: RFC 5424, section 6.

    >>> render_syslog("x", severity=SyslogSeverity.ALERT, host="web01", kind="panic", time_ns=0, fields={"path": 'a"]'})
    b'<81>1 1970-01-01T00:00:00.000000Z web01 fimkit - panic [fimkit@32473 path="a\\"\\]"] \xef\xbb\xbfx'
    """
    time = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    micro = time_ns % 1_000_000_000 // 1000
    head = f"<{_FACILITY * 8 + severity}>1 {time}.{micro:06d}Z {_word(host, 255)} fimkit - {_word(kind, 32)} "
    pairs = "".join(f' {_NOT_IN_NAME.sub("_", name)[:32]}="{_value(value[:_VALUE_CHARS])}"' for name, value in fields.items())
    start = (head + (f"[{_ID}{pairs}]" if pairs else "-")).encode("utf-8", "replace") + b" " + _BOM
    text = render_word(words).encode("utf-8", "replace")[: max(0, _MOST_BYTES - len(start))]
    return start + text.decode("utf-8", "ignore").encode()


def frame_octets(message: bytes) -> bytes:
    """Frame a message for TCP or TLS, by its length. Source: RFC 6587, section 3.4.1; RFC 5425, section 4.3.

    >>> frame_octets(b"<81>1 x")
    b'7 <81>1 x'
    """
    return b"%d " % len(message) + message
