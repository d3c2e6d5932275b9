"""What an osquery installation is configured to do, as its files say it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["FilePattern", "OsqueryConfig", "PathQuery", "Problem", "ScheduledQuery", "Setting", "is_true", "runs_on_linux"]

_TRUE = frozenset({"true", "1", "t", "yes", "y"})


class FilePattern(NamedTuple):
    """One pattern of ``file_paths`` or ``exclude_paths``, as written (``%`` and ``%%``), and the file that has it."""

    category: str
    pattern: bytes
    file: bytes


class PathQuery(NamedTuple):
    """One query of ``file_paths_query``: its rows are watched, and no file tells which."""

    category: str
    sql: str
    file: bytes


class Setting(NamedTuple):
    """A flag's value, and where it is set: ``/etc/osquery/osquery.flags:3``, ``/etc/osquery/osquery.conf: options``."""

    value: str
    where: str


class Problem(NamedTuple):
    """What is wrong with a file. ``refused`` tells that osquery does not take the file for it; line and column count from 1."""

    file: bytes
    words: str
    line: int | None = None
    column: int | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledQuery:
    """One query of the schedule, or of a pack where ``pack`` has its name. ``interval_s`` is as configured, before the splay."""

    name: str
    sql: str
    interval_s: int
    file: bytes
    removed: bool = True
    snapshot: bool = False
    denylist: bool = True
    platform: str = ""
    version: str = ""
    shard: int = 0
    pack: str | None = None
    discovery: tuple[str, ...] = ()

    @property
    def scheduled_name(self) -> str:
        """The name in the results log and in ``osquery_schedule`` (with the default ``pack_delimiter``)."""
        return self.name if self.pack is None else f"pack_{self.pack}_{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OsqueryConfig:
    """All files of one installation together, in the order in which osqueryd applies them.

    ``files`` are those that were read, packs and flag files too. ``options`` are the configuration's, where the last file wins, and
    they win over ``flags``. ``accesses`` are ``file_accesses``: category and file.
    """

    config_path: bytes
    files: tuple[bytes, ...] = ()
    file_paths: tuple[FilePattern, ...] = ()
    path_queries: tuple[PathQuery, ...] = ()
    exclude_paths: tuple[FilePattern, ...] = ()
    accesses: tuple[tuple[str, bytes], ...] = ()
    queries: tuple[ScheduledQuery, ...] = ()
    options: Mapping[str, Setting]
    flags: Mapping[str, Setting]
    problems: tuple[Problem, ...] = ()

    def setting(self, name: str) -> Setting | None:
        """Find what a flag is set to: an option of the configuration wins over the flag file.

        The configuration plugin alone is the flag file's: it is chosen before there is a configuration.
        """
        if name in ("config_plugin", "config_path"):
            return self.flags.get(name)
        return self.options.get(name) or self.flags.get(name)

    def value(self, name: str, default: str) -> str:
        """Give a flag's value, or osquery's default."""
        setting = self.setting(name)
        return default if setting is None else setting.value

    @property
    def config_plugin(self) -> str:
        """Where osqueryd takes its configuration from."""
        return self.value("config_plugin", "filesystem")

    @property
    def logger_plugins(self) -> tuple[str, ...]:
        """Where results go; several are written with commas."""
        return tuple(name.strip() for name in self.value("logger_plugin", "filesystem").split(",") if name.strip())

    @property
    def logger_path(self) -> bytes:
        """The folder of the file system logger."""
        return self.value("logger_path", "/var/log/osquery/").encode("utf-8", "surrogateescape")


def is_true(value: str) -> bool:
    """Read a flag's truth as gflags does.

    >>> is_true("true"), is_true("T"), is_true("false"), is_true("")
    (True, True, False, False)
    """
    return value.strip().lower() in _TRUE


def runs_on_linux(platform: str) -> bool:
    """Tell whether a pack's or a query's ``platform`` takes this system in; it is looked for anywhere in the text.

    Source: osquery, checkPlatform().

    >>> runs_on_linux(""), runs_on_linux("linux,darwin"), runs_on_linux("posix"), runs_on_linux("windows")
    (True, True, True, False)
    """
    return platform in ("", "null") or any(word in platform for word in ("any", "all", "posix", "linux"))
