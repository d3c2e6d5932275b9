"""Starts the extensions that ``extensions.load`` lists, and starts them again when they die, as osquery's watcher does."""

import os
import stat
import subprocess
import threading
from pathlib import Path

from fimkit.testing.osqueryd.flags import Flags
from fimkit.testing.osqueryd.status_log import StatusLog

__all__ = ["Autoload", "listed_extensions"]

_CHECK_S = 1.0


def _is_safe(path: Path) -> bool:
    """Say whether a file or folder is root's (or ours) and others may not write to it; as root only root's counts."""
    state = path.stat()
    return state.st_uid in {0, os.geteuid()} and not state.st_mode & (stat.S_IWOTH | stat.S_IWGRP)


def listed_extensions(flags: Flags, log: StatusLog) -> list[Path]:
    """Read ``extensions.load``; what osquery would not start is said and left out."""
    paths = [Path(path) for path in [flags.text("extension")] if path]
    try:
        lines = Path(flags.text("extensions_autoload")).read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        lines = []
    paths += [Path(line.strip()) for line in lines if line.strip() and not line.strip().startswith("#")]
    taken = []
    for path in paths:
        if reason := _why_not(path, allow_unsafe=flags.on("allow_unsafe")):
            log.warn(reason)
        elif path not in taken:
            taken.append(path)
    return taken


def _why_not(path: Path, *, allow_unsafe: bool) -> str | None:
    if path.suffix != ".ext":
        return f"Extension binary {path} is not named *.ext: it is not loaded"
    if not path.is_file() or not os.access(path, os.X_OK):
        return f"Extension doesn't exist or is not executable: {path}"
    if not allow_unsafe and not (_is_safe(path) and _is_safe(path.parent)):
        return f"Will not autoload extension with unsafe directory permissions: {path}"
    return None


class Autoload:
    """The daemon's own extension processes."""

    def __init__(self, paths: list[Path], flags: Flags, log: StatusLog) -> None:
        """Start them."""
        self._log = log
        self._stopped = threading.Event()
        self._arguments = [
            "--socket", flags.text("extensions_socket"),
            "--timeout", flags.text("extensions_timeout"),
            "--interval", flags.text("extensions_interval"),
        ]  # fmt: skip
        if flags.on("verbose"):
            self._arguments.append("--verbose")
        self._running = {path: self._start(path) for path in paths}
        self._thread = threading.Thread(target=self._watch, name="extension processes", daemon=True)
        self._thread.start()

    def _start(self, path: Path) -> subprocess.Popen[bytes] | None:
        try:
            process = subprocess.Popen([path, *self._arguments], stdin=subprocess.DEVNULL)
        except OSError as error:
            self._log.error(f"Cannot create extension process: {path}: {error.strerror}")
            return None
        self._log.info(f"Created and monitoring extension child ({process.pid}): {path}")
        return process

    def pids(self) -> dict[str, int]:
        """Give the processes by path."""
        return {str(path): process.pid for path, process in self._running.items() if process is not None}

    def _watch(self) -> None:
        while not self._stopped.wait(_CHECK_S):
            for path, process in self._running.items():
                if process is not None and process.poll() is not None and not self._stopped.is_set():
                    self._log.info(f"Extension {path} has gone away with {process.returncode}: starting it again")
                    self._running[path] = self._start(path)

    def stop(self) -> None:
        """End them: asked first, then forced."""
        self._stopped.set()
        self._thread.join()
        processes = [process for process in self._running.values() if process is not None]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
