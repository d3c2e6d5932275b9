"""The linter on the schedule: whether a query brings file_events to the log in time, whole, and with its columns. Pure."""

import re
from collections.abc import Iterator

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import render_path
from fimkit.osquery.lint_facts import ASSUMED_ROWS_PER_S, LintFacts
from fimkit.osquery.lint_words import RESTART, flag_remedy, flag_where
from fimkit.osquery.osquery_config import OsqueryConfig, ScheduledQuery, runs_on_linux
from fimkit.osquery.select_list import Selected, parse_select

__all__ = ["asks_file_events", "lint_schedule"]

_FILE_EVENTS = re.compile(r"\bfile_events\b", re.IGNORECASE)
_NEEDED = ("target_path", "action")
_WANTED = ("time", "transaction_id", "inode", "mode", "uid", "gid", "size", "mtime", "ctime", "hashed", "sha256")
_DEFAULT_EXPIRY_S, _DEFAULT_MAX = 3600, 50_000
_LATEST = 1.1  # --schedule_splay_percent=10


def asks_file_events(sql: str) -> bool:
    """Tell whether a query reads the table.

    >>> asks_file_events("SELECT * FROM file_events"), asks_file_events("SELECT * FROM process_file_events")
    (True, False)
    """
    return _FILE_EVENTS.search(sql) is not None


def lint_schedule(config: OsqueryConfig, facts: LintFacts) -> list[Advice]:
    """Say what is wrong with the queries on ``file_events``."""
    queries = [query for query in config.queries if asks_file_events(query.sql)]
    running = [query for query in queries if runs_on_linux(query.platform)]
    advice: list[Advice] = []
    if not any(not query.snapshot for query in running):
        advice.append(_none(config, queries))
    for query in running:
        advice += [*_form(query), *_columns(query), *_pace(config, query, facts)]
    return advice


def _where(query: ScheduledQuery) -> str:
    return f"{render_path(query.file)}: {query.scheduled_name}"


def _advice(query: ScheduledQuery, code: str, level: Level, problem: str, remedy: str) -> Advice:
    return Advice(code=code, level=level, where=_where(query), problem=problem, remedy=remedy)


def _none(config: OsqueryConfig, queries: list[ScheduledQuery]) -> Advice:
    other = [query for query in queries if not runs_on_linux(query.platform)]
    why = f" ({other[0].scheduled_name} is for {other[0].platform!r} alone)" if other else ""
    return Advice(
        code="osquery-no-query",
        level=Level.TRAP,
        where=render_path(config.config_path),
        problem=f"no scheduled query brings file_events to the results log{why}: what osqueryd sees expires unread.",
        remedy='run `fimkit install`, or add to "schedule": "file_events": {"query": "SELECT * FROM file_events", "interval": 60, '
        f'"removed": false}}; then {RESTART}',
    )


def _form(query: ScheduledQuery) -> Iterator[Advice]:
    if query.snapshot:
        problem = "a snapshot query goes to osqueryd.snapshots.log, which fimkit does not read by itself."
        yield _advice(query, "osquery-snapshot", Level.WARNING, problem, 'take "snapshot": true out of the query')
    elif query.removed:
        problem = "rows of event tables are never removed, so osqueryd keeps and compares for nothing."
        yield _advice(query, "osquery-removed", Level.NOTE, problem, 'add "removed": false to the query')
    if query.shard or query.discovery:
        cause = f"shard {query.shard}" if query.shard else "its pack's discovery query"
        problem = f"whether it runs on this host is decided by {cause}."
        yield _advice(query, "osquery-query-part", Level.NOTE, problem, "let a query on file_events run on every host")


def _columns(query: ScheduledQuery) -> Iterator[Advice]:
    selected = parse_select(query.sql)
    if selected is None:
        problem = "this query is no plain SELECT: whether it gives all rows and columns cannot be told."
        yield _advice(query, "osquery-columns", Level.NOTE, problem, "write SELECT * FROM file_events")
        return
    if not selected.has_star:
        yield from _missing(query, selected)
    if selected.narrowed:
        problem = f"{selected.narrowed[0]} leaves events out, and what a run leaves out does not come again."
        yield _advice(query, "osquery-narrowed", Level.WARNING, problem, "write SELECT * FROM file_events, without it")


def _missing(query: ScheduledQuery, selected: Selected) -> Iterator[Advice]:
    given = {name.lower() for name in selected.columns}
    renamed = {expression.lower(): name for name, expression in selected.columns.items() if name.lower() != expression.lower()}
    for wanted, level, loss in (
        (_NEEDED, Level.TRAP, "fimkit cannot tell what happened to which file"),
        (_WANTED, Level.WARNING, "moves, owners or hashes are not told"),
    ):
        lacking = [f"{name} (as {renamed[name]!r})" if name in renamed else name for name in wanted if name not in given]
        if lacking:
            problem = f"the query does not give {', '.join(lacking)}: {loss}."
            yield _advice(query, "osquery-columns", level, problem, "write SELECT * FROM file_events, or name them as they are")


def _number(config: OsqueryConfig, name: str, default: int) -> int:
    value = config.value(name, "")
    return int(value) if value.isdecimal() else default


def _pace(config: OsqueryConfig, query: ScheduledQuery, facts: LintFacts) -> Iterator[Advice]:
    expiry_s = _number(config, "events_expiry", _DEFAULT_EXPIRY_S)
    most = _number(config, "events_max", _DEFAULT_MAX)
    if query.interval_s * _LATEST >= expiry_s:
        yield Advice(
            code="osquery-interval",
            level=Level.TRAP,
            where=f"{_where(query)}; {flag_where(config, 'events_expiry')}",
            problem=f"it runs every {query.interval_s} s (the splay makes it up to a tenth later), and events expire after "
            f"{expiry_s} s: they can be gone before they are read.",
            remedy=f'"interval": {max(1, min(60, expiry_s // 4))}; or '
            + flag_remedy(config, "events_expiry", str(4 * query.interval_s)),
        )
    rate = facts.rows_per_s or ASSUMED_ROWS_PER_S
    expected = round(rate * query.interval_s * _LATEST)
    if expected > most:
        source = "measured" if facts.rows_per_s else "assumed, as of a package manager at work"
        yield Advice(
            code="osquery-events-max",
            level=Level.WARNING,
            where=f"{_where(query)}; {flag_where(config, 'events_max')}",
            problem=f"{rate:.0f} events a second ({source}) make {expected} between two runs, and osqueryd keeps {most}: "
            "the oldest go.",
            remedy=f'"interval": {max(1, int(most / (2 * rate)))}; or {flag_remedy(config, "events_max", str(2 * expected))}',
        )
