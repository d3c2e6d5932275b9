"""The record in memory and on the disk: what holds is in memory, and what could not be stored is tried again, and said."""

import time
from collections.abc import Callable
from dataclasses import replace

from fimkit.model.errors import HostError
from fimkit.panic.panic_folder import PanicFolder
from fimkit.panic.record import RECORD_NAME, PanicRecord, render_record
from fimkit.panic.save import boot_id

__all__ = ["KeptRecord", "present_boot"]

_RETRY_S = 5.0
_WAIT_S, _SHORT_S = 2.0, 0.2


class KeptRecord:
    """The record that holds; ``now`` may be replaced, and is stored by :meth:`store`."""

    def __init__(self, folder: PanicFolder, record: PanicRecord, *, journal: Callable[[str], None]) -> None:
        """Begin with a record as it was found."""
        self.now = record
        self.trouble = ""
        """Why it is not on the disk, in words."""
        self._folder, self._journal = folder, journal
        self._retry_at = 0.0

    def say(self, words: str) -> None:
        """Put words into the journal, and into the record's log, which the next change stores."""
        self._journal(words)
        self.now = self.now.said(time.time_ns(), words)

    def store(self, record: PanicRecord) -> list[str]:
        """Make a record the one that holds, and store it; give why it is not on the disk, in words."""
        self.now = replace(record, changed_ns=time.time_ns(), boot_id=present_boot())
        # A disk that hung a moment ago is not waited for as long again.
        trouble = self._folder.store(RECORD_NAME, render_record(self.now), wait_s=_SHORT_S if self.trouble else _WAIT_S) or ""
        if trouble and trouble != self.trouble:
            self._journal(trouble)
        self.trouble, self._retry_at = trouble, time.monotonic() + _RETRY_S
        return [trouble] if trouble else []

    def must_store(self, record: PanicRecord) -> None:
        """Store a record, or stay with the one before.

        Raises:
            HostError: If it is not on the disk.
        """
        before = self.now
        if trouble := self.store(record):
            self.store(before)
            raise HostError(f"this cannot be stored, so nothing is changed: {trouble[0]}")

    def retry(self) -> None:
        """Try again, where it is time to."""
        if self.trouble and time.monotonic() >= self._retry_at:
            self.store(self.now)


def present_boot() -> str:
    """Name this boot; empty where it cannot be told, which is no other boot's name."""
    try:
        return boot_id()
    except HostError:
        return ""
