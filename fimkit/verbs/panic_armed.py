"""What the runner knows of the host's arming: the record, read again when it changes, and what is kept ready while it is armed."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fimkit.model.config import Config
from fimkit.model.config_json import thaw
from fimkit.model.errors import ConfigError, HostError
from fimkit.notify.channels import Channels
from fimkit.notify.endpoint import Endpoint, parse_endpoint
from fimkit.notify.mail import Mailer
from fimkit.panic.record import PANIC_FOLDER, RECORD_NAME, PanicRecord, Phase, load_record
from fimkit.verbs.panic_alarm import load_senders

__all__ = ["Armed", "parse_endpoints"]

_IN_FORCE = (Phase.ARMED, Phase.TRIGGERED, Phase.CUT)
_AGAIN_S = 60.0
_LOAD_S = 10.0


def parse_endpoints(settings: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """Read the servers of arming; what cannot be read is left out: its name is asked again.

    >>> parse_endpoints({"endpoints": [{"host": "a.example.org", "port": 25, "addresses": ["192.0.2.1"]}, 7]})[0].addresses
    ('192.0.2.1',)
    """
    found = []
    for row in settings.get("endpoints", ()):
        try:
            found.append(parse_endpoint(row))
        except (KeyError, TypeError):
            continue
    return tuple(found)


class Armed:
    """The record as it stands, and mail and channels made ready by it."""

    def __init__(self, state_dir: bytes, say: Callable[[str], None]) -> None:
        """Take the state folder; nothing is read yet."""
        self.record = PanicRecord()
        self.mailer: Mailer | None = None
        self.channels: Channels | None = None
        self.judged: set[str] = set()
        self.undone: set[str] = set()
        self._say, self._state_dir = say, state_dir
        self._path = os.path.join(state_dir, PANIC_FOLDER, RECORD_NAME.encode())
        self._stamp: tuple[int, int, int] | None = (0, 0, 0)
        self._ready_for: Mapping[str, Any] | None = None
        self._again_s = 0.0
        self._loading = threading.Lock()

    @property
    def in_force(self) -> bool:
        """Whether what was frozen at arming counts."""
        return self.record.phase in _IN_FORCE

    def refresh(self) -> bool:
        """Read the record if its file is another one than before, and tell whether the phase or the settings changed."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        before = self.record
        try:
            if stamp is None and self.in_force:
                raise HostError("its file is gone")  # disarming writes it
            self.record = load_record(self._state_dir)
        except HostError as error:
            # Whoever damages it must not disarm the host: what was known counts on.
            self._say(f"the record of the panic cannot be read, what it said before counts on ({before.phase}): {error}")
        self._stamp = stamp
        if self.record.armed_ns != before.armed_ns:
            self.undone.clear()
            self.judged.clear()  # what starts nothing now is in the record; the rest may come again, and is new then
        seen = set(self.record.seen)
        self.judged -= seen  # written down: whoever has it forgotten there has it forgotten here
        self.undone &= seen
        return (before.phase, before.settings) != (self.record.phase, self.record.settings)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            seen = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns, seen.st_size

    def record_with_own(self) -> PanicRecord:
        """Give the record with what was judged or undone here and may not be in it yet, or had no helper to write it."""
        record = self.record.without(self.undone) if self.undone else self.record
        return replace(record, seen=(*record.seen, *self.judged)) if self.judged else record

    def judge(self, ids: Sequence[str]) -> None:
        """Note what was judged."""
        self.judged.update(ids)
        self.undone.difference_update(ids)

    def forget(self, ids: Sequence[str]) -> bool:
        """Note that findings were undone, and tell whether any of them had been judged."""
        known = set(ids).intersection((*self.record.seen, *self.record.counted, *self.judged))
        self.judged -= known
        self.undone |= known
        return bool(known)

    def config(self, config: Config) -> Config:
        """Give the configuration with what was frozen at arming.

        Raises:
            ConfigError: If that cannot be read.
        """
        return thaw(config, self.record.settings) if self.in_force else config

    def prepare(self, config: Config) -> None:
        """Make mail and channels ready, once for each arming; again after a while where something was missing. May take a while."""
        with self._loading:
            settings = self.record.settings if self.in_force else None
            if settings is None or (settings == self._ready_for and time.monotonic() < self._again_s):
                return
            fresh = settings != self._ready_for
            try:
                thawed = thaw(config, settings)
            except ConfigError as error:
                self._say(f"what was frozen at arming cannot be read: {error}")
                self._ready_for, self._again_s = settings, float("inf")
                return
            self.mailer, self.channels, problems = load_senders(thawed, deadline_s=_LOAD_S, known=parse_endpoints(settings))
            if fresh:
                for words in problems:
                    self._say(f"if a panic began now: {words}")
            self._ready_for, self._again_s = settings, time.monotonic() + _AGAIN_S if problems else float("inf")

    @property
    def needs_preparing(self) -> bool:
        """Whether :meth:`prepare` has something to do."""
        return self.in_force and (self.record.settings != self._ready_for or time.monotonic() >= self._again_s)
