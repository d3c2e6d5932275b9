"""What an analyst asks of a frame: what happened in which order, who, what else, on how many hosts. Pure."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fimkit.model.errors import UsageError
from fimkit.model.findings import FEWEST_HOSTS, NEARLY_ALL
from fimkit.report.acts import acts_of, matches_path, need
from fimkit.report.frame_schema import ORDERED, TIME
from fimkit.report.frames import Frame

__all__ = ["count_by_time", "history_of", "prevalence_of", "session_of", "table_of", "timeline_of", "top_of", "who_of"]

_SEVERITIES = list(reversed(ORDERED["severity"]))
_PROCESS = ["host", "auid", "user", "uid", "pid", "ppid", "ses", "tty", "exe", "cmdline"]
_LIFE = ("first_seen", "severity", "kind", "path", "moved_to", "what", "user", "auid", "exe", "cmdline", "attribution", "id")
_ACTS = ("time", "severity", "what", "path", "moved_to", "user", "uid", "tty", "pid", "ppid", "exe", "cmdline", "event")
_STATE = ("type", "sha256", "mode", "uid", "target")
_PREVALENCE = ("severity", "reading", "hosts", "of", "where", "first", "last", "paths")
_NAMED_HOSTS = 5


def _shown(frame: pd.DataFrame, columns: Sequence[str]) -> Frame:
    """Name the columns that a notebook's table has; the others are there all the same."""
    whole = Frame(frame)
    whole.attrs = {**frame.attrs, "shown": list(columns)}
    return whole


def timeline_of(frame: pd.DataFrame) -> Frame:
    """Put what happened in order: ACTS → time, severity, what, path, who; one row an act, by ``time``."""
    acts = acts_of(frame)
    columns = ["time", "host", "severity", "what", "path", "moved_to", "user", "auid", "pid", "exe", "cmdline", "event"]
    dull = [name for name in ("severity", "moved_to") if acts[name].isna().all()]
    dull += ["host"] if acts["host"].nunique() < 2 else []
    return Frame(acts[[name for name in columns if name not in dull]])


def _step(times: pd.Series, every: str) -> pd.Timedelta:
    if every != "auto":
        try:
            step = pd.Timedelta(every)
        except ValueError:
            raise UsageError(f"every={every!r} is no length of time; expected e.g. '1min', '1h', '1D'") from None
        if step <= pd.Timedelta(0):
            raise UsageError(f"every={every!r}: expected a length of time above nothing")
        return step
    span = times.max() - times.min()
    steps = ("1s", "5s", "15s", "1min", "5min", "15min", "1h", "6h", "1D", "7D", "30D")
    return next((pd.Timedelta(step) for step in steps if span / pd.Timedelta(step) <= 60), pd.Timedelta("365D"))


def count_by_time(frame: pd.DataFrame, every: str) -> Frame:
    """Count by time and severity (changes: by action, events: by system call).

    Returns:
        Whole numbers; the index is ``time``, every step of it from the first to the last; the columns are severities, the most
        severe first, or words. Rows without a time are left out.
    """
    findings = "severity" in frame.columns and "first_seen" in frame.columns
    stamp, name = ("first_seen", "severity") if findings else ("time", "action" if "action" in frame.columns else "syscall")
    need(frame, stamp, name)
    known = frame[frame[stamp].notna()]
    if known.empty:
        empty = Frame(index=pd.DatetimeIndex([], dtype=TIME, name="time"))
        return empty
    step = _step(known[stamp], every)
    bins = known[stamp].dt.floor(step).rename("time")
    counts = pd.crosstab(bins, known[name].astype("str").rename(name))
    # Every step has a row, but a stray time (a clock of 1970, a forged stamp) is not to make millions of empty ones.
    if (counts.index[-1] - counts.index[0]) / step < 10_000:
        counts = counts.reindex(pd.date_range(counts.index[0], counts.index[-1], freq=step, name="time"), fill_value=0)
    if findings:
        counts = counts[[severity for severity in _SEVERITIES if severity in counts.columns]]
    counts.columns.name = None
    whole = Frame(counts)
    whole.attrs["chart"] = "counts"
    return whole


def top_of(frame: pd.DataFrame, column: str, *, by: str, n: int) -> Frame:
    """Rank the values of a column.

    Args:
        frame: Any.
        column: Its values are ranked; those that are missing are left out.
        by: ``severity`` ranks by how many critical ones a value has, then high ones, and so on: one critical weighs more than a
            thousand infos. ``count`` ranks by number; so does a frame without severities.
        n: How many.

    Raises:
        UsageError: If the column is missing, or ``by`` is another word.
    """
    need(frame, column)
    if by not in ("severity", "count"):
        raise UsageError(f"by={by!r}: expected 'severity' or 'count'")
    known = frame[frame[column].notna()].reset_index(drop=True)
    values = known[column].explode().dropna() if known[column].dtype == object else known[column]
    counts = values.astype("str").value_counts().rename("count").to_frame()
    order = ["count"]
    if by == "severity" and "severity" in frame.columns:
        severities = known["severity"].astype("str").loc[values.index]
        split = pd.crosstab(values.astype("str").to_numpy(), severities.to_numpy()).reindex(columns=_SEVERITIES, fill_value=0)
        counts = split.join(counts)
        order = [*_SEVERITIES, "count"]
    counts.index.name = column
    ranked = counts.reset_index().sort_values([*order, column], ascending=[False] * len(order) + [True], kind="stable")
    return Frame(ranked.head(n).reset_index(drop=True))


def who_of(frame: pd.DataFrame, path: str) -> Frame:
    """Name the processes that had to do with a path, or with anything below it.

    Returns:
        One row a process: who it was, its first and last act there, how many acts, and which.
    """
    acts = acts_of(frame)
    acts = acts[(matches_path(acts["path"], path) | matches_path(acts["moved_to"], path)) & acts["pid"].notna()]
    groups = acts.groupby(_PROCESS, dropna=False, sort=False)
    found = groups.agg(
        first=("time", "min"), last=("time", "max"), acts=("what", "size"), what=("what", _words), paths=("path", "nunique")
    )
    return Frame(found.reset_index().sort_values("first", kind="stable", ignore_index=True))


def _words(values: "pd.Series[Any]") -> str:
    return " ".join(dict.fromkeys(values.dropna()))


def session_of(frame: pd.DataFrame, *, auid: int | None, ses: int | None, user: str | None, host: str | None) -> Frame:
    """Give all that one login did: the ACTS of that login id, session or name, by ``time``.

    Raises:
        UsageError: If nothing is asked for.
    """
    wanted = {name: value for name, value in (("auid", auid), ("ses", ses), ("user", user), ("host", host)) if value is not None}
    if not set(wanted) - {"host"}:
        raise UsageError("whose session? expected auid=, ses= or user=")
    acts = acts_of(frame)
    for name, value in wanted.items():
        acts = acts[(acts[name] == value).fillna(False).astype(bool)]
    return _shown(acts.reset_index(drop=True), _ACTS)


def history_of(frame: pd.DataFrame, path: str) -> Frame:
    """Tell one path's life, through its renames and with all that is known of the same file under other names.

    Args:
        frame: FINDINGS or CHANGES.
        path: The path, a folder, or a pattern.

    Returns:
        The frame's rows, in time; of findings with a column ``what`` that says in words what became another.
    """
    need(frame, "path")
    hits = matches_path(frame["path"], path)
    if "before" in frame.columns:
        need(frame, "moved_to", "first_seen", "changed", "after")
        hits |= matches_path(frame["moved_to"], path)
        names = {name for column in ("path", "moved_to") for name in frame.loc[hits, column].dropna()}
        found = frame[hits | frame["path"].isin(names) | frame["moved_to"].isin(names)].sort_values("first_seen", kind="stable")
        rows = zip(found["changed"], found["before"], found["after"], strict=True)
        whole = Frame(found.assign(what=pd.Series([_became(*row) for row in rows], index=found.index, dtype="str")))
        return _shown(whole[[*_LIFE, *(name for name in whole.columns if name not in _LIFE)]].reset_index(drop=True), _LIFE)
    need(frame, "time")
    if "inode" in frame.columns:
        keys = frame.loc[hits, ["host", "dev", "inode"]].dropna().drop_duplicates()
        same = frame[["host", "dev", "inode"]].reset_index().merge(keys, on=["host", "dev", "inode"])["index"]
        hits |= frame.index.to_series().isin(same)
    return Frame(frame[hits].sort_values("time", kind="stable").reset_index(drop=True))


def _became(changed: Sequence[str], before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if before is None or after is None:
        state = after or before or {}
        words = [f"{name} {str(state[name])[:12]}" for name in _STATE if state.get(name) is not None]
        return ("appeared: " if before is None and after is not None else "was: ") + ", ".join(words) if state else ""
    return ", ".join(f"{name} {_short(name, before.get(name))} → {_short(name, after.get(name))}" for name in changed)


def _short(name: str, value: Any) -> str:
    if name.endswith("time_ns") and isinstance(value, int) and abs(value) < 1 << 63:
        return pd.Timestamp(value, tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)[:12] if name == "sha256" else str(value)


def prevalence_of(frame: pd.DataFrame, columns: Sequence[str], hosts: int | None) -> Frame:
    """Tell on how many hosts each value is: what is on all of them is a roll-out, what is on one is a lead.

    Args:
        frame: Any with ``host``; of a BASELINE frame the times are those of the content.
        columns: One value, or one combination of them, a row; where any is missing the row is left out.
        hosts: How many hosts there are; by default those of the frame, which does not know of hosts without a row.

    Returns:
        The columns, then ``hosts``, ``of``, ``share``, ``rows``, ``severity`` (the worst), ``first``, ``last``, ``where``
        (the hosts' names, where they are few), ``paths`` and ``reading``: roll-out, lead or nothing; leads and rare ones first.
    """
    need(frame, "host", *columns)
    stamp = next((name for name in ("first_seen", "time", "mtime") if name in frame.columns), "time")
    need(frame, stamp)
    of = max(hosts or 0, frame["host"].nunique())
    known = frame.dropna(subset=list(columns)).assign(**{name: frame[name].astype("str") for name in columns})
    groups = known.groupby(list(columns), sort=False)
    found = groups.agg(hosts=("host", "nunique"), rows=("host", "size"), first=(stamp, "min"), last=(stamp, "max"))
    found.insert(1, "of", of)
    found.insert(2, "share", found["hosts"] / max(of, 1))
    if "severity" in known.columns:
        found.insert(4, "severity", known.groupby(list(columns), sort=False)["severity"].max())
    found["where"] = groups["host"].agg(_named)
    if "path" in known.columns and "path" not in columns:
        found["paths"] = groups["path"].nunique()
    found["reading"] = ""
    if of >= FEWEST_HOSTS:
        found.loc[found["share"] >= NEARLY_ALL, "reading"] = "roll-out"
        found.loc[found["hosts"] == 1, "reading"] = "lead"
    found = found.reset_index()
    order, down = ["hosts", "first"], [True, True]
    if "severity" in found.columns:
        order, down = ["hosts", "severity", "first"], [True, False, True]
    ranked = found.sort_values(order, ascending=down, kind="stable", ignore_index=True)
    return _shown(ranked, [name for name in (*columns, *_PREVALENCE) if name in ranked.columns])  # the answer within a page's width


def _named(hosts: "pd.Series[Any]") -> str:
    names = sorted(set(hosts))
    return ", ".join(names[:_NAMED_HOSTS]) + (f" and {len(names) - _NAMED_HOSTS} more" if len(names) > _NAMED_HOSTS else "")


def table_of(frame: pd.DataFrame, rows: str, columns: str) -> Frame:
    """Count rows by two columns; values that are missing count as ``(none)``, severities stand the worst first."""
    need(frame, rows, columns)
    one, other = (frame[name].astype("str").fillna("(none)").rename(name) for name in (rows, columns))
    table = pd.crosstab(one, other)
    if columns in ORDERED:
        table = table[[word for word in reversed(ORDERED[columns]) if word in table.columns]]
    table.columns.name = None
    table["total"] = table.sum(axis=1)
    return Frame(table.sort_values("total", ascending=False, kind="stable"))


