"""Where a log ends now, so that only what comes later is read."""

from pathlib import Path

from fimkit.audit.logfile import LogCursor
from fimkit.audit.logpart import LogPart, fingerprint

__all__ = ["find_end"]

_MOST_BACK = 1 << 22


def find_end(log: Path) -> LogCursor | None:
    """Give a cursor behind the last whole line of a log; ``None`` where there is no log, or no whole line in it.

    The line number is not counted: it is 1.

    Raises:
        OSError: If it is there and cannot be read.
    """
    try:
        part = LogPart.of_host(log)
    except FileNotFoundError:
        return None
    try:
        size = part.size_bytes or 0
        with log.open("rb") as file:
            start = max(0, size - _MOST_BACK)
            file.seek(start)
            end = start + file.read(size - start).rfind(b"\n") + 1
        if end <= start:
            return None
        return LogCursor(
            dev=part.dev, inode=part.inode, offset=end, line=1, fingerprint=fingerprint(part.head), head_bytes=len(part.head)
        )
    finally:
        part.close()
