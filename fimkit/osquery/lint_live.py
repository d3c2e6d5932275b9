"""The linter on a running osqueryd: what it says of itself in its own tables, and in its log. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import render_path
from fimkit.osquery.lint_schedule import asks_file_events
from fimkit.osquery.lint_words import RESTART
from fimkit.osquery.osquery_config import OsqueryConfig, Setting

__all__ = ["LiveFacts", "lint_live", "lint_status_log", "rows_per_second", "with_live_flags"]

Row = Mapping[str, str]

RUNNING = "the running osqueryd"
_LOST_WATCH = re.compile(rb"Could not add inotify watch on: (?P<path>.*)")
_NO_INOTIFY = re.compile(rb"Could not start inotify|inotify_init failed", re.IGNORECASE)
_SLOW_START_S = 300
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFacts:
    """Rows of osquery's own tables. ``now_s`` is the time of asking; ``missing`` are tables that this osqueryd has not, and why.

    ``autoloaded`` are the lines of its ``extensions.load``.
    """

    now_s: int
    flags: Sequence[Row] = ()
    events: Sequence[Row] = ()
    schedule: Sequence[Row] = ()
    packs: Sequence[Row] = ()
    extensions: Sequence[Row] = ()
    autoloaded: Sequence[str] = ()
    information: Row
    missing: tuple[str, ...] = ()


def _number(row: Row, name: str) -> int:
    value = row.get(name, "")
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else 0


def _advice(code: str, level: Level, where: str, problem: str, remedy: str) -> Advice:
    return Advice(code=code, level=level, where=where, problem=problem, remedy=remedy)


def with_live_flags(config: OsqueryConfig, live: LiveFacts) -> OsqueryConfig:
    """Put the flags that are in force in place of those in the files; where both say the same, the file stays named."""
    flags, options = dict(config.flags), dict(config.options)
    for row in live.flags:
        name, value = row.get("name", ""), row.get("value", "")
        known = config.setting(name)
        unset = known is None and value == row.get("default_value", "") and name != "config_path"
        if unset or (known is not None and _same(known.value, value)):
            continue
        options.pop(name, None)
        flags[name] = Setting(value, RUNNING)
    return replace(config, flags=flags, options=options)


def _same(one: str, other: str) -> bool:
    truths = ({"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"})
    return one == other or any(one.lower() in truth and other.lower() in truth for truth in truths)


def rows_per_second(live: LiveFacts) -> float | None:
    """Give how many file events came in a second since osqueryd started; ``None`` where it runs too short to tell."""
    uptime_s = live.now_s - _number(live.information, "start_time")
    events = [_number(row, "events") for row in live.events if row.get("name") == "file_events"]
    if not events or not _number(live.information, "start_time") or uptime_s < _SLOW_START_S:
        return None
    return max(events) / uptime_s


def lint_live(config: OsqueryConfig, live: LiveFacts) -> list[Advice]:
    """Say what a running osqueryd does not do, and where it runs on other flags than the files have.

    Args:
        config: As the files have it.
        live: What it says.
    """
    return [*_differing(config, live), *_events(live), *_schedule(live), *_packs(live), *_extension(live), *_information(live)]


def _differing(config: OsqueryConfig, live: LiveFacts) -> Iterator[Advice]:
    watched = ("disable_events", "enable_file_events", "disable_audit", "logger_plugin", "logger_path", "config_plugin", "read_max",
               "events_max", "events_expiry", "logger_event_type")  # fmt: skip
    values = {row.get("name"): row.get("value", "") for row in live.flags}
    for name in watched:
        setting = config.setting(name)
        if setting is not None and name in values and not _same(setting.value, values[name]):
            problem = f"the file says {setting.value!r}, and osqueryd runs with {values[name]!r}: it was not restarted since."
            yield _advice("osquery-restart", Level.WARNING, f"--{name} ({setting.where})", problem, RESTART)


def _events(live: LiveFacts) -> Iterator[Advice]:
    publishers = [row for row in live.events if row.get("name") == "inotify"]
    subscribers = [row for row in live.events if row.get("name") == "file_events"]
    if live.events and not any(_number(row, "active") for row in publishers):
        yield _advice(
            "osquery-inotify-inactive",
            Level.TRAP,
            f"{RUNNING}: osquery_events",
            "its inotify publisher is not active: it watches no file.",
            "set --disable_events=false and --enable_file_events=true; where they are, look for free inotify instances "
            f"(fs.inotify.max_user_instances); then {RESTART}",
        )
    elif live.events and not any(_number(row, "subscriptions") for row in (*publishers, *subscribers)):
        yield _advice(
            "osquery-no-subscriptions",
            Level.TRAP,
            f"{RUNNING}: osquery_events",
            "file_events has no subscriptions: no file_paths reached this osqueryd.",
            f"run `fimkit install`; then {RESTART}",
        )


def _schedule(live: LiveFacts) -> Iterator[Advice]:
    queries = [row for row in live.schedule if asks_file_events(row.get("query", ""))]
    if not queries and "osquery_schedule" not in live.missing:
        yield _advice(
            "osquery-no-query",
            Level.TRAP,
            f"{RUNNING}: osquery_schedule",
            "no scheduled query brings file_events to the results log: what osqueryd sees expires unread.",
            f"run `fimkit install`; then {RESTART}",
        )
    for row in queries:
        where = f"{RUNNING}: osquery_schedule: {row.get('name')}"
        interval_s, start_s = _number(row, "interval"), _number(live.information, "start_time")
        since_s = live.now_s - (_number(row, "last_executed") or start_s or live.now_s)
        if _number(row, "denylisted"):
            problem = "it is on the denylist: osqueryd was ended while it ran, and leaves it out for a day."
            remedy = f'add "denylist": false to the query, raise --watchdog_memory_limit; then {RESTART}'
            yield _advice("osquery-denylisted", Level.TRAP, where, problem, remedy)
        elif interval_s and since_s > 3 * interval_s + 60:
            problem = f"it is to run every {interval_s} s, and did not for {since_s} s."
            remedy = f"look into osqueryd.INFO beside the results; {RESTART}"
            yield _advice("osquery-overdue", Level.WARNING, where, problem, remedy)


def _packs(live: LiveFacts) -> Iterator[Advice]:
    for row in live.packs:
        if row.get("name", "").startswith("fimkit") and not _number(row, "active"):
            problem = "fimkit's pack is there and not active: its platform, version or discovery query leaves this host out."
            remedy = "SELECT * FROM osquery_packs tells its version and platform; run `fimkit install` again"
            yield _advice("osquery-pack-inactive", Level.TRAP, f"{RUNNING}: osquery_packs: {row['name']}", problem, remedy)


def _extension(live: LiveFacts) -> Iterator[Advice]:
    wanted = next((line for line in live.autoloaded if line.rpartition("/")[2] == "fimkit.ext"), None)
    registered = any(row.get("name", "").startswith("fimkit") for row in live.extensions)
    if wanted is not None and live.extensions and not registered:
        problem = "osqueryd is to start fimkit's extension, and it is not registered: fimkit's tables are not there."
        remedy = f"look for it in osqueryd.INFO; it must be root's, and writable by nobody else: ls -l {wanted}; then {RESTART}"
        yield _advice("osquery-extension", Level.WARNING, f"{RUNNING}: osquery_extensions", problem, remedy)


def _information(live: LiveFacts) -> Iterator[Advice]:
    version = live.information.get("version", "")
    major = re.match(r"([0-9]+)\.", version)
    if major is not None and int(major[1]) < 5:
        problem = f"this is osquery {version}; what is said here was seen with 5.23, and older ones differ."
        yield _advice("osquery-version", Level.NOTE, f"{RUNNING}: osquery_info", problem, "use osquery 5")
    if live.information.get("config_valid") == "0":
        problem = "osqueryd says that its configuration is not valid: it runs on without."
        remedy = "osqueryd --config_check --config_path=/etc/osquery/osquery.conf"
        yield _advice("osquery-config-invalid", Level.TRAP, f"{RUNNING}: osquery_info", problem, remedy)
    for missing in live.missing:
        yield _advice("osquery-table-missing", Level.NOTE, RUNNING, f"what {missing} says is not known.", "use osquery 5")


def lint_status_log(lines: Iterable[bytes], *, where: str) -> list[Advice]:
    """Find in osqueryd's own log what it could not watch, while ``osquery_events`` says that all is active.

    Args:
        lines: Of ``osqueryd.INFO``, or of the part of it since the last start.
        where: Its name.
    """
    lost: dict[bytes, None] = {}
    no_inotify = False
    for line in lines:
        match = _LOST_WATCH.search(line)
        if match is not None:
            lost.setdefault(match["path"].rstrip())
        no_inotify = no_inotify or _NO_INOTIFY.search(line) is not None
    advice = []
    if lost:
        named = ", ".join(render_path(path) for path in list(lost)[:_MOST_NAMED]) + (", …" if len(lost) > _MOST_NAMED else "")
        first = next(iter(lost))
        advice.append(
            Advice(
                code="osquery-lost-watches",
                level=Level.TRAP,
                where=where,
                path=first if first.startswith(b"/") else None,
                problem=f"osqueryd could not watch {len(lost)} folders ({named}), and osquery_events says active=1 all the same.",
                remedy="raise the limit: sysctl -w fs.inotify.max_user_watches=1048576, and the same in a file of /etc/sysctl.d; "
                f"then {RESTART}",
            )
        )
    if no_inotify:
        remedy = f"sysctl -w fs.inotify.max_user_instances=1024, and a file in /etc/sysctl.d; then {RESTART}"
        problem = "osqueryd got no inotify instance: it watches no file at all."
        advice.append(_advice("osquery-inotify-inactive", Level.TRAP, where, problem, remedy))
    return advice

