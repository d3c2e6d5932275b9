"""Which files are one log: it and its rotations, by their names."""

import os
import re
from pathlib import Path

__all__ = ["find_rotations"]

# auditd: audit.log.1; logrotate: audit.log.1, .1.gz, with dateext audit.log-20261101 and any dateformat of digits, with
# `extension` audit-20261101.log. Eight digits and more are a date.
_TURN = r"[.-](?P<turn>\d+(?:[-_T.:]\d+){0,5})"
_PACKED = r"(?:\.(?:gz|zst|bz2|xz))?"


def find_rotations(path: bytes | Path) -> list[Path]:
    """Find a log and its rotations, the oldest first, the log itself last.

    Numbers count back (``.3`` is older than ``.2``), dates count up. What is not there is not in the list; a folder that cannot be
    read gives the log itself, so that opening it says why.

    Source: auditd.conf(5), num_logs; logrotate(8), dateext, dateformat, extension, compress.
    """
    log = Path(os.fsdecode(path))
    stem, suffix = re.escape(log.stem), re.escape(log.suffix)
    pattern = re.compile(rf"{re.escape(log.name)}{_TURN}{_PACKED}|{stem}{_TURN.replace('turn', 'inner')}{suffix}{_PACKED}")
    found: list[tuple[tuple[int, int], str]] = []
    try:
        names = sorted(entry.name for entry in os.scandir(log.parent))
    except OSError:
        return [log]
    for name in names:
        match = pattern.fullmatch(name)
        if match is not None:
            digits = re.sub(r"\D", "", match["turn"] or match["inner"])
            found.append(((0, int(digits)) if len(digits) >= 8 else (1, -int(digits)), name))
    older = [log.parent / name for _, name in sorted(found)]
    return [*older, log] if log.name in names else older
