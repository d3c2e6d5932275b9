"""Who did what, when: one row an act, made of any frame with processes in it. Pure."""

import fnmatch
import re
from typing import Any

import numpy as np
import pandas as pd

from fimkit.model.errors import UsageError

__all__ = ["ACT_COLUMNS", "WHO", "acts_of", "matches_path", "need"]

WHO = ("auid", "uid", "euid", "user", "pid", "ppid", "exe", "comm", "cmdline", "cmdline_verified", "tty", "ses", "syscall")
"""What is known of a process."""

ACT_COLUMNS = ("host", "time", "what", "path", "moved_to", "severity", *WHO, "event", "id")
"""The columns of an ACTS frame; ``what`` is a finding's kind, a change's action or an event's system call."""

_NUMBERS = ("auid", "uid", "euid", "pid", "ppid", "ses")
_TEXTS = ("host", "what", "path", "moved_to", "user", "exe", "comm", "cmdline", "tty", "syscall", "event", "id")


def need(frame: pd.DataFrame, *names: str) -> None:
    """Say which columns a question needs.

    Raises:
        UsageError: If any is missing.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise UsageError(f"the frame has no column {', '.join(map(repr, missing))}; it has {', '.join(map(str, frame.columns))}")


def matches_path(paths: pd.Series, wanted: str) -> pd.Series:
    """Tell which paths are meant: the path itself, what lies below it, and with ``*``, ``?`` or ``[`` what the pattern matches.

    >>> matches_path(pd.Series(["/etc", "/etc/a", "/etcetera", None]), "/etc").tolist()
    [True, True, False, False]
    """
    folder = wanted.rstrip("/") + "/"
    hits = (paths == wanted) | paths.str.startswith(folder)
    if re.search(r"[*?\[]", wanted):
        pattern = re.compile(fnmatch.translate(wanted))
        hits |= paths.map(lambda path: isinstance(path, str) and pattern.fullmatch(path) is not None).astype(bool)
    return hits.fillna(False).astype(bool)


def _of_findings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row an actor of a finding; a finding without one keeps a row, at the time when it was first seen."""
    whole = frame.reset_index(drop=True)
    counts = np.array([len(actors) for actors in whole["actors"]], dtype=int)
    rows = whole.loc[np.repeat(np.arange(len(whole)), np.maximum(counts, 1))]
    actors: list[dict[str, Any]] = [actor for actors in whole["actors"] for actor in (actors or [{}])]
    table: dict[str, Any] = {name: rows[name].array for name in ("host", "path", "moved_to", "severity", "id")}
    table["what"] = rows["kind"].astype("str").array
    for name in (*WHO, "event"):
        table[name] = [actor.get(name) for actor in actors]
    stamps: Any = pd.Series([actor.get("time") for actor in actors], dtype="object")
    times: Any = pd.to_datetime(stamps, utc=True, format="ISO8601", errors="coerce").astype(pd.DatetimeTZDtype("ns", "UTC"))
    table["time"] = times.fillna(pd.Series(rows["first_seen"].array)).array
    return pd.DataFrame(table)


def _of_records(frame: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame({name: frame[name].array for name in ("host", "time", "path", *WHO, "event") if name in frame.columns})
    table["what"] = frame["action" if "action" in frame.columns else "syscall"].astype("str").array
    return table


def acts_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Make the ACTS frame of a FINDINGS, CHANGES or EVENTS frame.

    Returns:
        The columns of :data:`ACT_COLUMNS`, by ``time``: of findings a row for each actor, else a row for each row.

    Raises:
        UsageError: If the frame has no processes.
    """
    if tuple(frame.columns) == ACT_COLUMNS:
        return frame
    findings = "actors" in frame.columns
    need(frame, "host", "path", *(("actors", "kind", "first_seen") if findings else ("time", *WHO)))
    table = _of_findings(frame) if findings else _of_records(frame)
    for name in ACT_COLUMNS:
        if name not in table.columns:
            table[name] = pd.Series([pd.NA] * len(table), dtype="str")
    table = table[list(ACT_COLUMNS)].astype(dict.fromkeys(_NUMBERS, "Int64") | dict.fromkeys(_TEXTS, "str"))
    table["cmdline_verified"] = table["cmdline_verified"].astype("boolean")
    return table.sort_values(["time", "event"], kind="stable", ignore_index=True)
