"""The flags of osqueryd, read as gflags reads them. Pure but for ``--flagfile``, which names a file.

Those of the watchdog, of audit and of remote plugins are taken and shown, as on an osqueryd that has nothing to do for them;
so are the limits of time and memory, which a test never reaches.

``--x=v``, ``--x v``, ``-x``, ``--x`` and ``--nox`` for switches; the last one wins; an unknown flag ends the start.
Source: osqueryd --help, osquery 5.23; https://osquery.readthedocs.io/en/stable/installation/cli-flags/.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["FLAGS", "Flag", "FlagError", "Flags", "parse_flags"]


class FlagError(ValueError):
    """A flag that gflags would refuse, in its words."""


class Flag(NamedTuple):
    """A flag: its type (bool, string, uint64), its default as text, and whether the configuration's options may not set it."""

    type: str
    default: str
    words: str
    cli_only: bool = False


# name, default, what it does; the type is read off the default. The second table takes them from the command line only.
_TEXTS = """
allow_unsafe|false|Allow unsafe executable permissions
audit_allow_config|false|Allow the audit publisher to change auditing configuration
audit_allow_fim_events|false|Allow the audit publisher to install file event monitoring rules
audit_allow_process_events|true|Allow the audit publisher to install process event monitoring rules
audit_allow_sockets|false|Allow the audit publisher to install socket-related rules
audit_persist|true|Attempt to retain control of audit
decorations_top_level|false|Add decorators as top level JSON objects
disable_audit|true|Disable receiving events from the audit subsystem
disable_decorators|false|Disable log result decoration
disable_events|false|Disable osquery publish/subscribe system
disable_hash_cache|false|Cache calculated file hashes, re-calculate only if inode times change
disable_tables||Comma-delimited list of table names to be disabled
enable_file_events|false|Enables the file_events publisher
enable_tables||Comma-delimited list of table names to be enabled
events_enforce_denylist|false|Event publishers are enforced to use denylist
events_expiry|3600|Timeout to expire event subscriber results
events_max|50000|Maximum number of event batches per type to buffer
events_optimize|true|Optimize subscriber select queries (scheduler only)
hash_cache_max|500|Size of LRU file hash cache
host_identifier|hostname|Field used to identify the host running osquery
specified_identifier||Field used to specify the host_identifier when set to "specified"
logger_event_type|true|Log scheduled results as events
logger_kafka_brokers||Bootstrap broker(s)
logger_min_status|0|Minimum level for status log recording
logger_min_stderr|0|Minimum level for statuses written to stderr
logger_mode|416|Decimal mode for log files (default '0640')
logger_numerics|false|Log numeric values as numbers (in JSON syntax)
logger_snapshot_event_type|false|Log scheduled snapshot results as events
nullvalue||Set string for NULL values, default ''
pack_delimiter|_|Delimiter for pack and query names
pack_refresh_interval|3600|Cache expiration for a packs discovery queries
read_max|52428800|Maximum file read size
schedule_default_interval|3600|Query interval to use if none is provided
schedule_epoch|0|Epoch for scheduled queries
schedule_lognames|false|Log the running scheduled query name at INFO level
schedule_max_drift|60|Max time drift in seconds
schedule_reload|300|Interval in seconds to reload database arenas
schedule_splay_percent|10|Percent to splay config times
schedule_timeout|0|Limit the schedule to a duration in seconds
table_delay|0|Add an optional microsecond delay between table scans
utc|true|Convert all UNIX times to UTC
verbose|false|Enable verbose informational messages
worker_threads|4|Number of work dispatch threads
"""

_CLI_TEXTS = """
config_accelerated_refresh|300|Interval to wait if reading a configuration fails
config_check|false|Check the format of an osquery config and exit
config_dump|false|Dump the contents of the configuration, then exit
config_path|/etc/osquery/osquery.conf|Path to JSON config file
config_plugin|filesystem|Config plugin name
config_refresh|0|Optional interval in seconds to re-read configuration
daemonize|false|Attempt to daemonize (POSIX only)
database_path|/var/osquery/osquery.db|If using a disk-based backing store, specify a path
disable_database|false|Disable the persistent RocksDB storage
disable_extensions|false|Disable extension API
disable_logging|false|Disable ERROR/INFO logging
disable_watchdog|false|Disable userland watchdog process
enable_extensions_watchdog|false|Enable userland watchdog for extensions processes
ephemeral|false|Skip pidfile and database state checks
extension||Path to a single extension to autoload
extensions_autoload|/etc/osquery/extensions.load|Optional path to a list of autoloaded & managed extensions
extensions_interval|3|Seconds delay between connectivity checks
extensions_require||Comma-separated list of required extensions
extensions_socket|/var/osquery/osquery.em|Path to the extensions UNIX domain socket
extensions_timeout|3|Seconds to wait for autoloaded extensions
flagfile||load flags from file
force|false|Force osqueryd to kill previously-running daemons
logger_path|/var/log/osquery/|Directory path for ERROR/WARN/INFO and results logging
logger_plugin|filesystem|Logger plugin name
logger_stderr|true|Write status logs to stderr
pidfile|/var/osquery/osqueryd.pidfile|Path to the daemon pidfile mutex
standin_max_watches|0|Stand-in only: refuse more inotify watches than this, as the kernel at its limit; 0 is its own
standin_no_inotify|false|Stand-in only: behave as without an inotify instance
stderrthreshold|2|Stderr log level threshold
watchdog_delay|60|Initial delay in seconds before watchdog starts
watchdog_level|0|Performance limit level (0=normal, 1=restrictive, -1=off)
watchdog_memory_limit|0|Override watchdog profile memory limit
watchdog_utilization_limit|0|Override watchdog profile CPU utilization limit
"""

_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}


def _type_of(name: str, default: str) -> str:
    if default in ("true", "false"):
        return "bool"
    return "uint64" if default.isdigit() else "string"


def _table(texts: str, *, cli_only: bool) -> Iterator[tuple[str, Flag]]:
    for line in texts.strip().splitlines():
        name, default, words = line.split("|", 2)
        yield name, Flag(_type_of(name, default), default, words, cli_only)


FLAGS: dict[str, Flag] = dict(sorted([*_table(_TEXTS, cli_only=False), *_table(_CLI_TEXTS, cli_only=True)]))


def _normal(name: str, flag: Flag, value: str) -> str:
    """Give the value as osquery shows it, or refuse it."""
    if flag.type == "bool":
        if value.lower() in _TRUE:
            return "true"
        if value.lower() in _FALSE:
            return "false"
        raise FlagError(f"ERROR: illegal value '{value}' specified for bool flag '{name}'")
    if flag.type == "uint64" and not value.removeprefix("-").isdecimal():
        raise FlagError(f"ERROR: illegal value '{value}' specified for {flag.type} flag '{name}'")
    return value


@dataclass(slots=True)
class Flags:
    """The flags of one daemon: what was set, over what is the default."""

    values: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Give a flag as text."""
        return self.values.get(name, FLAGS[name].default)

    def on(self, name: str) -> bool:
        """Say whether a switch is on."""
        return self.text(name) == "true"

    def number(self, name: str) -> int:
        """Give a flag as a number."""
        return int(self.text(name))

    def set(self, name: str, value: str) -> None:
        """Set one flag.

        Raises:
            FlagError: If there is none of this name, or not with this value.
        """
        if name not in FLAGS:
            raise FlagError(f"ERROR: unknown command line flag '{name}'")
        self.values[name] = _normal(name, FLAGS[name], value)


def _words_of_file(path: str) -> list[str]:
    """Read a flagfile: a flag a line; the rest (comments, names of programs) is passed over as gflags does."""
    try:
        lines = Path(path).read_text("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise FlagError(f"ERROR: unable to read flagfile {path}: {error.strerror}") from error
    return [line.strip() for line in lines if line.strip().startswith("-")]


def parse_flags(words: Sequence[str], flags: Flags | None = None) -> Flags:
    """Read a command line.

    Args:
        words: What stands behind the program's name.
        flags: What was set before; a flagfile's flags are set where it is named.

    Returns:
        What is set.

    Raises:
        FlagError: As gflags would end the start.

    >>> flags = parse_flags(["--config_path", "a b", "--verbose", "--nodisable_audit", "-events_max=7"])
    >>> flags.text("config_path"), flags.on("verbose"), flags.on("disable_audit"), flags.number("events_max")
    ('a b', True, False, 7)
    >>> parse_flags(["--nope"])
    Traceback (most recent call last):
        ...
    fimkit.testing.osqueryd.flags.FlagError: ERROR: unknown command line flag 'nope'
    """
    flags = Flags() if flags is None else flags
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals:
            name, value = _without_value(name, rest)
        if name == "flagfile":
            for line in _words_of_file(value):
                parse_flags([line], flags)
        flags.set(name, value)
    return flags


def _without_value(name: str, rest: list[str]) -> tuple[str, str]:
    flag = FLAGS.get(name)
    if flag is None and name.startswith("no") and name[2:] in FLAGS and FLAGS[name[2:]].type == "bool":
        return name[2:], "false"
    if flag is not None and flag.type == "bool":
        return name, "true"
    if flag is not None and not rest:
        raise FlagError(f"ERROR: flag '{name}' is missing its argument; flag description: {flag.words}")
    return name, rest.pop(0) if flag is not None else ""
