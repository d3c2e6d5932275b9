"""The daemon: wires flags, configuration, tables, events, schedule and socket together, and ends them in order."""

import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from fimkit.testing.osqueryd.autoload import Autoload, listed_extensions
from fimkit.testing.osqueryd.core_tables import RowTable
from fimkit.testing.osqueryd.extensions import Extensions
from fimkit.testing.osqueryd.flags import FLAGS, FlagError, Flags, parse_flags
from fimkit.testing.osqueryd.manager import VERSION, Manager
from fimkit.testing.osqueryd.sql import Table
from fimkit.testing.osqueryd.status_log import StatusLog
from fimkit.testing.osqueryd.thrift_io import ThriftServer

__all__ = ["Daemon", "main"]


class Daemon:
    """One running stand-in."""

    def __init__(self, flags: Flags, log: StatusLog) -> None:
        """Set up; :meth:`run` serves."""
        self._flags, self._log = flags, log
        self._ended = threading.Event()
        self._status = 0
        self._own: dict[str, Table] = {}
        self._started = int(time.time())
        self._add(RowTable("osquery_info", "pid:i uuid instance_id version config_hash config_valid:i extensions build_platform build_distro start_time:i watcher:i platform_mask:i",
            lambda _: [{"pid": os.getpid(), "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, socket.gethostname())), "instance_id": "", "version": VERSION, "config_hash": "", "config_valid": 1, "extensions": "active", "build_platform": "linux", "build_distro": "centos7", "start_time": self._started, "watcher": -1, "platform_mask": 9}]))
        self._add(RowTable("osquery_flags", "name type description default_value value shell_only:i",
            lambda _: [{"name": n, "type": f.type, "description": f.words, "default_value": f.default, "value": flags.text(n), "shell_only": 0} for n, f in FLAGS.items()]))
        self._extensions = Extensions(Path(flags.text("extensions_socket")), log, taken=self._own, timeout_s=flags.number("extensions_timeout"), interval_s=flags.number("extensions_interval"), end=self.end)

    def _add(self, table: Table) -> None:
        self._own[table.name] = table

    def tables(self) -> dict[str, Table]:
        return {**self._own, **self._extensions.tables()}

    def end(self, status: int) -> None:
        self._status = self._status or status
        self._ended.set()

    def run(self) -> int:
        server = ThriftServer(Path(self._flags.text("extensions_socket")), Manager(self.tables, self._extensions, self._flags, self.end))
        server.start()
        autoload = Autoload(listed_extensions(self._flags, self._log), self._flags, self._log)
        self._ended.wait()
        server.stop()
        autoload.stop()
        self._extensions.stop()
        return self._status


def main(words: Sequence[str]) -> int:
    try:
        flags = parse_flags(words)
    except FlagError as error:
        print(error, file=sys.stderr)
        return 1
    Path(flags.text("logger_path")).mkdir(parents=True, exist_ok=True)
    log = StatusLog(Path(flags.text("logger_path")), verbose=flags.on("verbose"))
    daemon = Daemon(flags, log)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.end(0))
    return daemon.run()
