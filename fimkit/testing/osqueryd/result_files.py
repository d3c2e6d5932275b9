"""Where results go: the two log files, or the logger that an extension registered."""

import os
import threading
from pathlib import Path

from fimkit.testing.osqueryd.extensions import Extensions
from fimkit.testing.osqueryd.flags import Flags
from fimkit.testing.osqueryd.status_log import StatusLog

__all__ = ["ResultFiles"]

_NAMES = {"results": "osqueryd.results.log", "snapshots": "osqueryd.snapshots.log"}
_KINDS = {"results": ("event", "string"), "snapshots": ("snapshot", "snapshot")}


class ResultFiles:
    """The logger plugins that ``--logger_plugin`` names, ``filesystem`` being the daemon's own."""

    def __init__(self, flags: Flags, log: StatusLog, extensions: Extensions) -> None:
        """Take the names."""
        self._plugins = [name.strip() for name in flags.text("logger_plugin").split(",") if name.strip()]
        self._folder, self._mode = Path(flags.text("logger_path")), flags.number("logger_mode")
        self._log, self._extensions = log, extensions
        self._lock = threading.Lock()

    def write(self, which: str, line: bytes) -> None:
        """Write a line of ``results`` or ``snapshots`` to every plugin; a file is opened anew each time: it may be moved away."""
        for plugin in self._plugins:
            if plugin == "filesystem":
                self._append(self._folder / _NAMES[which], line)
            else:
                self._send(plugin, which, line)

    def _append(self, path: Path, line: bytes) -> None:
        with self._lock:
            try:
                file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
            except OSError as error:
                self._log.error(f"Could not write to the results log {path}: {error.strerror}")
                return
            try:
                os.write(file, line)
            finally:
                os.close(file)

    def _send(self, plugin: str, which: str, line: bytes) -> None:
        category, key = _KINDS[which]
        request = {key: line.decode("utf-8", "surrogateescape").rstrip("\n"), "category": category}
        for known in self._extensions.all():
            if plugin in known.registry.get("logger", {}):
                try:
                    self._extensions.call(known, "logger", plugin, request)
                except Exception as error:  # dead: the next ping ends the daemon
                    self._log.error(f"Logger plugin {plugin} did not take a line: {error}")
                    self._extensions.check(known)
                return
