"""The linter on flags: what keeps osqueryd from watching, from logging where fimkit reads, or sets it against auditd. Pure."""

import os
from collections.abc import Iterator

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import join_path, render_path
from fimkit.osquery.lint_facts import LintFacts
from fimkit.osquery.lint_words import flag_remedy, flag_where
from fimkit.osquery.osquery_config import OsqueryConfig, is_true

__all__ = ["lint_flags"]

_EVENTS_TABLE = "file_events"
_MANY_FOLDERS = 50_000
# Source: osquery, plugins/logger and plugins/config; whatever else is named comes from an extension.
_OWN_LOGGERS = frozenset({"filesystem", "tls", "syslog", "stdout", "aws_kinesis", "aws_firehose", "kafka_producer"})
_OWN_CONFIGS = frozenset({"filesystem", "tls"})


def lint_flags(config: OsqueryConfig, facts: LintFacts) -> list[Advice]:
    """Say what is wrong with the flags and options in force."""
    return [
        *_events(config),
        *_audit(config),
        *_logger(config, facts),
        *_plugin(config),
        *_foreign_plugins(config),
        *_hashes(config),
        *_watchdog(config, facts),
    ]


def _flag(config: OsqueryConfig, code: str, name: str, value: str, problem: str, *, level: Level = Level.TRAP) -> Advice:
    return Advice(
        code=code, level=level, where=flag_where(config, name), problem=problem, remedy=flag_remedy(config, name, value)
    )


def _is_on(config: OsqueryConfig, name: str, *, default: bool) -> bool:
    return is_true(config.value(name, "true" if default else "false"))


def _words(config: OsqueryConfig, name: str) -> list[str]:
    return [word.strip() for word in config.value(name, "").split(",") if word.strip()]


def _events(config: OsqueryConfig) -> Iterator[Advice]:
    if _is_on(config, "disable_events", default=False):
        yield _flag(config, "osquery-disable-events", "disable_events", "false", "all event tables are off, file_events too.")
    if not _is_on(config, "enable_file_events", default=False):
        problem = "osqueryd makes no file_events: this is off where it is not switched on."
        yield _flag(config, "osquery-enable-file-events", "enable_file_events", "true", problem)
    disabled, enabled = _words(config, "disable_tables"), _words(config, "enable_tables")
    if _EVENTS_TABLE in disabled:
        rest = ",".join(name for name in disabled if name != _EVENTS_TABLE)
        yield _flag(config, "osquery-table-off", "disable_tables", rest, "the table file_events is switched off.")
    elif enabled and _EVENTS_TABLE not in enabled:
        problem = "only the tables that are listed are on, and file_events is not among them."
        yield _flag(config, "osquery-table-off", "enable_tables", ",".join([*enabled, _EVENTS_TABLE]), problem)
    if not _is_on(config, "events_optimize", default=True):
        problem = "every run of a scheduled query gives all buffered events again, and not only the new ones."
        yield _flag(config, "osquery-events-optimize", "events_optimize", "true", problem, level=Level.WARNING)


def _audit(config: OsqueryConfig) -> Iterator[Advice]:
    if _is_on(config, "disable_audit", default=True):
        return
    persist = ", and takes it back when another has it" if _is_on(config, "audit_persist", default=True) else ""
    allowed = (
        "; with audit_allow_config it switches kernel auditing off for the whole host when it stops"
        if _is_on(config, "audit_allow_config", default=False)
        else ""
    )
    problem = f"osqueryd wants the audit socket{persist}{allowed}. One process can own it: auditd then writes no log, and nobody "
    yield _flag(config, "osquery-audit-socket", "disable_audit", "true", problem + "is named for a change.")


def _logger(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    log = render_path(facts.osquery_log)
    if "filesystem" not in config.logger_plugins:
        plugins = ",".join(["filesystem", *config.logger_plugins])
        problem = f"results go to {', '.join(config.logger_plugins) or 'nobody'} and to no file: {log} is not written."
        yield _flag(config, "osquery-logger-plugin", "logger_plugin", plugins, problem)
    elif join_path(b"/", config.logger_path) != os.path.dirname(facts.osquery_log):
        folder = os.fsdecode(os.path.dirname(facts.osquery_log))
        written = render_path(join_path(config.logger_path, b"osqueryd.results.log"))
        advice = _flag(config, "osquery-logger-path", "logger_path", folder, f"osqueryd writes {written}, and fimkit reads {log}.")
        yield Advice(
            code=advice.code,
            level=advice.level,
            where=advice.where,
            problem=advice.problem,
            remedy=f'in fimkit.toml, under [sources]: osquery_log = "{written}"; or {advice.remedy}',
        )
    if _is_on(config, "disable_logging", default=False):
        problem = "osqueryd logs nothing, neither results nor errors."
        yield _flag(config, "osquery-disable-logging", "disable_logging", "false", problem)
    if not _is_on(config, "logger_event_type", default=True):
        problem = "results are logged in batches, one line a run: fimkit reads them, other tools may expect one line an event."
        yield _flag(config, "osquery-batch-format", "logger_event_type", "true", problem, level=Level.NOTE)


def _plugin(config: OsqueryConfig) -> Iterator[Advice]:
    if config.config_plugin != "filesystem":
        yield Advice(
            code="osquery-config-plugin",
            level=Level.WARNING,
            where=flag_where(config, "config_plugin"),
            problem=f"osqueryd takes its configuration from {config.config_plugin!r}, and reads neither "
            f"{render_path(config.config_path)} nor what fimkit puts beside it.",
            remedy="print the pack with `fimkit install --print-pack`, and put it where the fleet manager takes packs from",
        )
    named = config.flags.get("config_path")
    if named is not None and join_path(b"/", os.fsencode(named.value)) != config.config_path:
        yield Advice(
            code="osquery-config-path",
            level=Level.TRAP,
            where=flag_where(config, "config_path"),
            problem=f"osqueryd reads {named.value}, and fimkit puts its pack beside {render_path(config.config_path)}.",
            remedy=f'in fimkit.toml, under [sources]: osquery_config = "{named.value}"; then `fimkit install`',
        )


def _foreign_plugins(config: OsqueryConfig) -> Iterator[Advice]:
    named = {
        "logger_plugin": [name for name in config.logger_plugins if name not in _OWN_LOGGERS],
        "config_plugin": [name for name in (config.config_plugin,) if name not in _OWN_CONFIGS],
    }
    for flag, plugins in named.items():
        if plugins:
            yield Advice(
                code="osquery-plugin-extension",
                level=Level.WARNING,
                where=flag_where(config, flag),
                problem=f"{', '.join(plugins)} comes from an extension: when that dies, osqueryd ends too (exit 78), and watches "
                "nothing.",
                remedy="see to it that the service starts again by itself: Restart=always in osqueryd.service; "
                "or use a plugin of osquery's own",
            )


def _hashes(config: OsqueryConfig) -> Iterator[Advice]:
    if not _is_on(config, "disable_hash_cache", default=False):
        problem = (
            "osqueryd may give a hash that it remembers, where inode, size and the second of the last change are the same: bytes "
            "that change twice in one second, or whose time is set back, can show the old hash. fimkit hashes for itself."
        )
        yield _flag(config, "osquery-hash-cache", "disable_hash_cache", "true", problem, level=Level.NOTE)


def _watchdog(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    off = _is_on(config, "disable_watchdog", default=False) or config.value("watchdog_level", "0") == "-1"
    if not off and facts.count.folders > _MANY_FOLDERS:
        problem = (
            f"osqueryd's watchdog ends its worker when it uses too much, and {facts.count.folders} folders are much to watch; what "
            "happens until the worker is back, with all its watches, is not seen."
        )
        yield _flag(config, "osquery-watchdog", "watchdog_memory_limit", "512", problem, level=Level.NOTE)
    if _is_on(config, "events_enforce_denylist", default=False):
        problem = "a query on events that was running when the worker ended is left out for a day."
        yield _flag(config, "osquery-denylist", "events_enforce_denylist", "false", problem, level=Level.WARNING)
