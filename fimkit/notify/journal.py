"""Writes the cause of a panic to this host's own log: journald's socket, else the syslog socket; never waits for either."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress

__all__ = ["encode_journal", "log_locally"]

_JOURNAL, _SYSLOG = "/run/systemd/journal/socket", "/dev/log"
_MOST_BYTES = 100_000  # one datagram


def encode_journal(fields: Mapping[str, str]) -> bytes:
    r"""Write an entry for journald.

    Source: systemd.journal-fields(7); the native protocol's description, systemd.io/JOURNAL_NATIVE_PROTOCOL.

    >>> encode_journal({"PRIORITY": "1", "MESSAGE": "a\nb"})
    b'PRIORITY=1\nMESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n'
    """
    entry = b""
    for name, value in fields.items():
        raw = value.encode("utf-8", "replace")
        if b"\n" in raw:
            entry += name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
        else:
            entry += name.encode() + b"=" + raw + b"\n"
    return entry


def log_locally(
    words: str, *, priority: int, fields: Mapping[str, str], places: Sequence[str] = (_JOURNAL, _SYSLOG)
) -> str | None:
    """Write one line to this host's log.

    Args:
        words: What happened; the journal keeps its lines, syslog gets them as one.
        priority: As syslog's, 0 to 7.
        fields: Beside it, for the journal: names of capitals, digits and underscores.
        places: journald's socket and syslog's.

    Returns:
        The socket that took it, or ``None`` where none did.
    """
    journal, syslog = places
    own = {"MESSAGE": words[:_MOST_BYTES], "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "fimkit", "SYSLOG_FACILITY": "10"}
    entry = encode_journal(own | dict(fields))
    line = f"<{10 * 8 + priority}>fimkit: {' '.join(words.split())}".encode("utf-8", "replace")
    for path, datagram in ((journal, entry), (syslog, line[:8192])):
        with (
            suppress(OSError),  # no such daemon, or one that does not read: the next one
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out,
        ):
            out.sendto(datagram, path)
            return path
    return None
