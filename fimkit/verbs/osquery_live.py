"""Asks a running osqueryd what it is doing, for the linter; what it does not answer is advice, and no error."""

import os
import time
from collections.abc import Iterable, Mapping

from fimkit.model.advice import Advice, Level
from fimkit.model.errors import OsqueryAbsentError, OsqueryDeniedError, OsqueryError, OsqueryQueryError
from fimkit.model.paths import render_path
from fimkit.osquery.client import OsqueryClient
from fimkit.osquery.config_file import read_host_text
from fimkit.osquery.lint_live import LiveFacts
from fimkit.osquery.osquery_config import OsqueryConfig

__all__ = ["ask_osqueryd", "load_status_log"]

_MOST_BYTES = 8 << 20
_QUERIES = {
    "osquery_flags": "SELECT name, value, default_value FROM osquery_flags",
    "osquery_events": "SELECT name, type, subscriptions, events, active FROM osquery_events",
    "osquery_schedule": "SELECT name, query, interval, executions, last_executed, denylisted FROM osquery_schedule",
    "osquery_packs": "SELECT name, version, platform, active FROM osquery_packs",
    "osquery_extensions": "SELECT name, version, path FROM osquery_extensions",
    "osquery_info": "SELECT version, config_valid, start_time FROM osquery_info",
}


def ask_osqueryd(socket: bytes, *, deadline_s: float = 5.0) -> tuple[LiveFacts | None, list[Advice]]:
    """Ask it for its flags, events, schedule, packs and version.

    Returns:
        What it says, ``None`` where it cannot be asked; and what is to be said of the asking.
    """
    rows: dict[str, list[dict[str, str]]] = {}
    missing: list[str] = []
    try:
        with OsqueryClient(socket, deadline_s=deadline_s) as client:
            for table, sql in _QUERIES.items():
                try:
                    rows[table] = client.query(sql)
                except OsqueryQueryError as error:
                    missing.append(f"{table} ({error})")
    except OsqueryError as error:
        return None, [_unasked(socket, error)]
    information = rows.get("osquery_info") or [{}]
    return (
        LiveFacts(
            now_s=int(time.time()),
            flags=rows.get("osquery_flags", ()),
            events=rows.get("osquery_events", ()),
            schedule=rows.get("osquery_schedule", ()),
            packs=rows.get("osquery_packs", ()),
            extensions=rows.get("osquery_extensions", ()),
            autoloaded=_autoloaded(rows.get("osquery_flags", ())),
            information=information[0],
            missing=tuple(missing),
        ),
        [],
    )


def _autoloaded(flags: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Read the extensions that it is told to start; none where the list is not there or not readable."""
    for row in flags:
        if row.get("name") == "extensions_autoload" and row.get("value", "").startswith("/"):
            try:
                lines = read_host_text(os.fsencode(row["value"])).split("\n")
            except OSError:
                return ()
            return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    return ()


def _unasked(socket: bytes, error: OsqueryError) -> Advice:
    denied, absent = isinstance(error, OsqueryDeniedError), isinstance(error, OsqueryAbsentError)
    remedy = "systemctl enable --now osqueryd; where its socket is elsewhere, in fimkit.toml, under [sources]: osquery_socket"
    return Advice(
        code="osquery-unseen" if denied else "osquery-not-running" if absent else "osquery-no-answer",
        level=Level.NOTE if denied else Level.WARNING,
        where=render_path(socket),
        problem=f"what osqueryd does now could not be asked: {error}",
        remedy="run fimkit doctor as root" if denied else remedy,
    )


def load_status_log(config: OsqueryConfig, base: bytes = b"") -> list[bytes]:
    """Read osqueryd's own log since it last started, at most the last 8 MB; nothing where it cannot be read."""
    path = os.path.join(base + config.logger_path, b"osqueryd.INFO")
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with open(file, "rb") as opened:
        if not opened.seekable():
            return []
        opened.seek(max(0, opened.seek(0, os.SEEK_END) - _MOST_BYTES))
        lines = opened.read(_MOST_BYTES).split(b"\n")
    # glog begins a file with this, at each start.
    starts = [place for place, line in enumerate(lines) if line.startswith(b"Log file created at:")]
    return lines[starts[-1] :] if starts else lines
