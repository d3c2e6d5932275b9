"""The daemon: wires flags, configuration, tables, events, schedule and socket together, and ends them in order."""

import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from fimkit.testing.osqueryd.autoload import Autoload, listed_extensions
from fimkit.testing.osqueryd.config import Config, ConfigProblem, load_config
from fimkit.testing.osqueryd.core_tables import Parts, own_tables
from fimkit.testing.osqueryd.extensions import Extensions
from fimkit.testing.osqueryd.file_events import FileEvents
from fimkit.testing.osqueryd.flags import FLAGS, FlagError, Flags, parse_flags
from fimkit.testing.osqueryd.host_tables import host_tables
from fimkit.testing.osqueryd.manager import Manager
from fimkit.testing.osqueryd.result_files import ResultFiles
from fimkit.testing.osqueryd.schedule import Schedule
from fimkit.testing.osqueryd.sql import Table
from fimkit.testing.osqueryd.status_log import StatusLog
from fimkit.testing.osqueryd.thrift_io import ThriftServer
from fimkit.testing.osqueryd.version import VERSION

__all__ = ["Daemon", "main"]


def _host_uuid() -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, socket.gethostname()))


def _host_identifier(flags: Flags) -> str:
    kind = flags.text("host_identifier")
    if kind == "specified":
        return flags.text("specified_identifier")
    if kind in {"uuid", "instance"}:
        return _host_uuid()
    return str(uuid.uuid4()) if kind == "ephemeral" else socket.gethostname()


class Daemon:
    """One running stand-in."""

    def __init__(self, flags: Flags, config: Config, log: StatusLog) -> None:
        """Set everything up; nothing is answered yet."""
        self._flags, self._config, self._log = flags, config, log
        self._ended = threading.Event()
        self._status = 0
        self._socket = Path(flags.text("extensions_socket"))
        self._own: dict[str, Table] = {}
        self._events = FileEvents(flags, log)
        self._extensions = Extensions(
            self._socket,
            log,
            taken=self._own.keys(),
            timeout_s=flags.number("extensions_timeout"),
            interval_s=flags.number("extensions_interval"),
            end=self.end,
        )
        files = ResultFiles(flags, log, self._extensions)
        self._schedule = Schedule(flags, log, tables=self.tables, host=_host_identifier(flags), write=files.write)
        self._own.update(self._make_tables())
        self._configure(config)

    def _make_tables(self) -> dict[str, Table]:
        parts = Parts(
            flags=self._flags,
            started=int(time.time()),
            host_uuid=_host_uuid(),
            config_hash=lambda: self._config.hash,
            event_rows=self._events.event_rows,
            extensions=self._extensions.all,
            packs=lambda: self._config.packs,
            schedule_rows=self._schedule.rows,
            tables=self.tables,
        )
        disabled = set(self._flags.text("disable_tables").split(","))
        made = [*own_tables(parts), *host_tables(), self._events.table()]
        return {table.name: table for table in made if table.name not in disabled}

    def tables(self) -> Mapping[str, Table]:
        """Give the tables of the moment, the extensions' included."""
        return {**self._own, **self._extensions.tables()}

    def end(self, status: int) -> None:
        """Let :meth:`run` end with a status; the first one that is no success counts."""
        self._status = self._status or status
        self._ended.set()

    def _configure(self, config: Config) -> None:
        self._config = config
        for problem in config.problems:
            self._log.warn(problem)
        self._events.configure(config)
        self._schedule.configure(config)

    def _refresh(self) -> None:
        """Read the configuration again; only other content changes anything, the watches included."""
        try:
            config = load_config(Path(self._flags.text("config_path")), splitter=self._flags.text("pack_delimiter"))
        except ConfigProblem as problem:
            self._log.warn(f"Config refresh failed: {problem}")
            return
        if config.hash != self._config.hash:
            self._configure(config)

    def _await_required(self) -> None:
        """Give the extensions that ``--extensions_require`` names their time; without one of them the daemon ends."""
        required = {name for name in self._flags.text("extensions_require").split(",") if name}
        until = time.monotonic() + self._flags.number("extensions_timeout")
        while missing := required - {known.name for known in self._extensions.all()}:
            if time.monotonic() > until:
                self._log.error(f"Failed to start: required extensions did not register: {', '.join(sorted(missing))}")
                self.end(1)
            if self._ended.wait(0.05):
                return

    def run(self) -> int:
        """Serve until the end is asked for, and give the exit status."""
        server = None
        if not self._flags.on("disable_extensions"):
            server = ThriftServer(self._socket, Manager(self.tables, self._extensions, self._flags, self.end))
        self._events.start()
        self._schedule.start()
        if server is not None:
            server.start()
        autoload = Autoload(listed_extensions(self._flags, self._log), self._flags, self._log)
        self._await_required()
        every = self._flags.number("config_refresh") or None
        while not self._ended.wait(every):
            self._refresh()
        if server is not None:
            server.stop()
        autoload.stop()
        self._schedule.stop()
        self._events.stop()
        self._extensions.stop()
        return self._status


def _check_config(flags: Flags, log: StatusLog) -> int:
    """Do ``--config_check``: 0 when every source is read, 1 otherwise."""
    try:
        config = load_config(Path(flags.text("config_path")), splitter=flags.text("pack_delimiter"))
    except ConfigProblem as problem:
        log.error(str(problem))
        return 1
    errors = [words for words in config.problems if words.startswith("Error")]
    for words in errors:
        log.error(words)
    return 1 if errors else 0


def _load(flags: Flags, log: StatusLog) -> Config:
    """Read the configuration and take over its options; what cannot be read is said, and the daemon goes on without."""
    try:
        config = load_config(Path(flags.text("config_path")), splitter=flags.text("pack_delimiter"))
    except ConfigProblem as problem:
        log.warn(f"Error reading config: {problem}")
        return Config()
    for name, value in config.options.items():
        if name not in FLAGS or FLAGS[name].cli_only:
            log.warn(f"Cannot set unknown or invalid flag: {name}")
            continue
        try:
            flags.set(name, value)
        except FlagError as error:
            log.warn(str(error))
    return config


def _write_pidfile(flags: Flags) -> Path | None:
    if flags.on("ephemeral"):
        return None
    path = Path(flags.text("pidfile"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{os.getpid()}\n")
    return path


def _told(words: Sequence[str]) -> str:
    """Give what ``--version`` or ``--help`` is to say, if one of them is there."""
    if "--version" in words:
        return f"osqueryd version {VERSION}\n"
    if "--help" not in words:
        return ""
    lines = [f"    --{name} VALUE  {flag.words} (default: {flag.default!r})" for name, flag in FLAGS.items()]
    return "\n".join([f"osquery {VERSION}, a stand-in for tests", "Usage: osqueryd [OPTION]...", *lines, ""])


def main(words: Sequence[str]) -> int:
    """Run a daemon by osqueryd's command line.

    Returns:
        0 after a stop that was asked for, 1 for what the flags or a checked configuration have wrong, 78 when a logger or
        configuration extension died.
    """
    if told := _told(words):
        sys.stdout.write(told)
        return 0
    try:
        flags = parse_flags(words)
    except FlagError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if flags.on("config_check"):
        return _check_config(flags, StatusLog(None, verbose=flags.on("verbose")))
    folder = Path(flags.text("logger_path"))
    folder.mkdir(parents=True, exist_ok=True)
    log = StatusLog(
        None if flags.on("disable_logging") else folder, verbose=flags.on("verbose"), stderr=flags.on("logger_stderr")
    )
    daemon = Daemon(flags, _load(flags, log), log)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.end(0))
    pidfile = _write_pidfile(flags)
    try:
        return daemon.run()
    finally:
        if pidfile is not None:
            pidfile.unlink(missing_ok=True)
