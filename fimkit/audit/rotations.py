"""Which files are one log: it and its rotations, by their names."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["find_rotations", "is_turn_missing", "name_log"]

# auditd: audit.log.1; logrotate: audit.log.1, .1.gz, with dateext audit.log-20261101 and any dateformat of digits, with
# `extension` audit-20261101.log. Eight digits and more are a date.
_TURN = r"[.-](?P<turn>\d+(?:[-_T.:]\d+){0,5})"
_PACKED = r"(?:\.(?:gz|zst|bz2|xz))?"
_DATE_DIGITS = 8


def _pattern(log: Path) -> re.Pattern[str]:
    stem, suffix = re.escape(log.stem), re.escape(log.suffix)
    return re.compile(rf"{re.escape(log.name)}{_TURN}{_PACKED}|{stem}{_TURN.replace('turn', 'inner')}{suffix}{_PACKED}")


def _digits(pattern: re.Pattern[str], name: str) -> str:
    match = pattern.fullmatch(name)
    return "" if match is None else re.sub(r"\D", "", match["turn"] or match["inner"])


def find_rotations(path: bytes | Path) -> list[Path]:
    """Find a log and its rotations, the oldest first, the log itself last.

    Numbers count back (``.3`` is older than ``.2``), dates count up. What is not there is not in the list; a folder that cannot be
    read gives the log itself, so that opening it says why.

    Source: auditd.conf(5), num_logs; logrotate(8), dateext, dateformat, extension, compress.
    """
    log = Path(os.fsdecode(path))
    pattern = _pattern(log)
    found: list[tuple[tuple[int, int], str]] = []
    try:
        names = sorted(entry.name for entry in os.scandir(log.parent))
    except FileNotFoundError:
        return []
    except OSError:
        return [log]
    for name in names:
        if digits := _digits(pattern, name):
            found.append(((0, int(digits)) if len(digits) >= _DATE_DIGITS else (1, -int(digits)), name))
    older = [log.parent / name for _, name in sorted(found)]
    return [*older, log] if log.name in names else older


def name_log(paths: Sequence[Path]) -> Path:
    """Tell which log some files are of, as :func:`find_rotations` gave them: the last one, or the log that is not there just now.

    >>> name_log([Path("/l/a.log.2.gz"), Path("/l/a.log.1")])
    PosixPath('/l/a.log')
    """
    last = paths[-1]
    ends = (rf"(.+?){_TURN}{_PACKED}", rf"(.+?){_TURN}(\.[^.]+){_PACKED}")
    names = [match[1] + "".join(match.groups()[2:]) for end in ends if (match := re.fullmatch(end, last.name))]
    for log in (last, *map(last.with_name, names)):
        pattern = _pattern(log)
        if all(path == log or _digits(pattern, path.name) for path in paths):
            return log
    return last


def is_turn_missing(log: Path, older: Path, newer: Path) -> bool:
    """Tell whether a number between two files of a log is not there: they count back to 1, or to 0; dates tell nothing.

    >>> log, turn = Path("a.log"), Path("a.log.1.gz")
    >>> is_turn_missing(log, Path("a.log.3"), turn), is_turn_missing(log, turn, log)
    (True, False)
    """
    pattern = _pattern(log)
    digits, next_digits = _digits(pattern, older.name), _digits(pattern, newer.name) or "0"
    is_count = 0 < len(digits) < _DATE_DIGITS and len(next_digits) < _DATE_DIGITS
    return is_count and int(digits) > int(next_digits) + 1
