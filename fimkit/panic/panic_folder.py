"""The folder of the panic's record: held by one helper at a time, and written so that what is answered is on the disk.

A thread of its own writes: a disk that hangs holds that one alone. Room is kept for the time when the disk is full: who wants no
record of a panic fills it first. And who wants no panic damages the record, which a check believes: while the lock is held nobody
else has anything to write there, so what was written is put back.
"""

import errno
import fcntl
import json
import os
import queue
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fimkit.evidence.folder import check_state_dir, make_state_dir
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.panic.record import PANIC_FOLDER, RECORD_NAME

__all__ = ["PanicFolder"]

_RESERVE, _LOCK = "reserve", "lock"
_RESERVE_BYTES = 1 << 18
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_BYTES = 256 << 20
_LOOK_S = 1.0
_MOST_ASIDE = 16

_Stamp = tuple[int, int, int]


class PanicFolder:
    """The folder, open and locked until the process ends."""

    def __init__(self, state_dir: bytes) -> None:
        """Make it where it is missing, check it, and take its lock.

        Raises:
            HostError: If it is refused, or another helper has it.
        """
        make_state_dir(state_dir)
        self.path = os.path.join(state_dir, PANIC_FOLDER)
        try:
            with suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
            check_state_dir(self.path)
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if isinstance(error, HostError):
                raise
            raise HostError(error.errno, f"cannot open {render_path(self.path)}: {error.strerror}") from error
        self._lock = self._take_lock()
        self._changed = threading.Condition()
        self._pending: dict[str, tuple[int, bytes]] = {}
        self._done: dict[str, tuple[int, str | None]] = {}
        self._number = self._mended = 0
        self._own: tuple[_Stamp | None, bytes] | None = None
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._write_all, name="fimkit disk", daemon=True).start()

    def _take_lock(self) -> int:
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | flags, 0o600, dir_fd=self.descriptor)
            except OSError:  # a disk that takes nothing more: a lock needs no writing
                lock = os.open(_LOCK, os.O_RDONLY | flags, dir_fd=self.descriptor)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 40, 0).decode("ascii", "replace").strip()
            who = f"another panic helper ({holder})" if holder else "another panic helper"
            raise HostError(f"{who} is at work on {render_path(self.path)}") from None
        except OSError as error:
            raise HostError(error.errno, f"cannot lock {render_path(self.path)}: {error.strerror}") from error
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"pid {os.getpid()}\n".encode(), 0)
        return lock

    def store(self, name: str, row: Mapping[str, Any], *, wait_s: float = 2.0) -> str | None:
        """Write an object to a file, and wait until it is on the disk.

        Args:
            name: Of the file.
            row: What is to be in it, as JSON.
            wait_s: Go on after this, whatever the disk does.

        Returns:
            Why it is not on the disk, in words, or ``None``.
        """
        return self._put(name, json.dumps(row).encode("ascii"), wait_s)

    def keep_room(self) -> str | None:
        """Take some room of the disk for when it is full; give why that cannot be, or ``None``."""
        with suppress(OSError):
            if os.stat(_RESERVE, dir_fd=self.descriptor, follow_symlinks=False).st_size == _RESERVE_BYTES:
                return None
        return self._put(_RESERVE, os.urandom(_RESERVE_BYTES), 2.0)  # what can be compressed would keep no room

    def load(self, name: str) -> Any:
        """Read an object; ``None`` where there is none.

        Raises:
            HostError: If it cannot be read.
        """
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.descriptor)
            with os.fdopen(handle, "rb") as file:
                text = file.read(_MOST_BYTES)
            found = json.loads(text)
            if name == RECORD_NAME:
                self._own = self._look(), text
            return found
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise HostError(f"cannot read {name} of {render_path(self.path)}: {error}") from error

    def set_aside(self, name: str) -> str:
        """Give a damaged file another name, and say which."""
        if name == RECORD_NAME:
            self._own = None
        return self._set_aside(name)

    def told(self) -> list[str]:
        """Give words on a record that was put back, since the last time."""
        return [self._told.get() for _ in range(self._told.qsize())]

    def _set_aside(self, name: str) -> str:
        kept = f"{name}.damaged-{time.time_ns()}"
        try:
            os.rename(name, kept, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError as error:
            return f"{name} (it cannot be set aside: {error.strerror})"
        return kept

    def _put(self, name: str, text: bytes, wait_s: float) -> str | None:
        with self._changed:
            self._number += 1
            number = self._number
            self._pending[name] = (number, text)
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._done.get(name, (0, None))[0] >= number, wait_s):
                return f"{name} is not on the disk, which has not answered for {wait_s:g} s"
            return self._done[name][1]

    def _write_all(self) -> None:
        while True:
            with self._changed:
                is_asked = self._changed.wait_for(lambda: bool(self._pending), _LOOK_S)
                name, (number, text) = self._pending.popitem() if is_asked else ("", (0, b""))
            if not is_asked:
                self._put_back()
                continue
            trouble = self._write_in_room(name, text)
            with self._changed:
                self._done[name] = (number, trouble)
                self._changed.notify_all()

    def _write_in_room(self, name: str, text: bytes) -> str | None:
        try:
            try:
                self._write(name, text)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or name == _RESERVE:
                    raise
                with suppress(OSError):
                    os.unlink(_RESERVE, dir_fd=self.descriptor)
                self._write(name, text)
        except OSError as error:
            with suppress(OSError):
                os.unlink(name + ".new", dir_fd=self.descriptor)
            return f"{name} is not on the disk: {error.strerror}"
        return None

    def _write(self, name: str, text: bytes) -> None:
        if name == RECORD_NAME:
            self._keep_foreign()
        with os.fdopen(os.open(name + ".new", _NEW, 0o600, dir_fd=self.descriptor), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name + ".new", name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        if name == RECORD_NAME:
            self._own = self._look(), text
        os.fsync(self.descriptor)

    def _look(self) -> _Stamp | None:
        try:
            seen = os.stat(RECORD_NAME, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns, seen.st_size

    def _put_back(self) -> None:
        if self._own is not None and (self._own[0] is None or self._look() != self._own[0]):
            self._write_in_room(RECORD_NAME, self._own[1])

    def _keep_foreign(self) -> None:
        """Set aside what somebody else has put in the place of the record, and say so."""
        if self._own is None or (present := self._look()) == self._own[0]:
            return
        self._mended += 1
        kept = ""
        if present is not None and self._mended <= _MOST_ASIDE:
            kept = f" (it is kept as {self._set_aside(RECORD_NAME)})"
        self._own = self._look(), self._own[1]
        if self._mended & (self._mended - 1) == 0:  # who does it again and again fills no log
            times = f"{self._mended} times so far"
            self._told.put(f"SOMEBODY ELSE CHANGED OR REMOVED THE PANIC RECORD{kept}, {times}: what holds is put back")
