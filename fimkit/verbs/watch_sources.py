"""Where the records of a live watch come from: the best source that this host gives; and the rights that are given up then."""

import contextlib
import os
from dataclasses import dataclass, field
from enum import StrEnum

from fimkit.audit.drain import Drain
from fimkit.audit.logfile import find_rotations
from fimkit.dirty.dirty_paths import DirtyPaths
from fimkit.evidence.folder import file_access
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.model.paths import render_path
from fimkit.model.watches import WatchSet
from fimkit.panic.rights import drop_rights, join_group
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.place import list_mounts
from fimkit.verbs.watch_records import KernelRecords

__all__ = ["LiveSources", "Records", "drop_start_rights", "open_dirty", "open_sources"]

_KEPT_RIGHTS = ("AUDIT_READ", "AUDIT_CONTROL", "DAC_READ_SEARCH")
_NO_WHO = "so what changes is seen by inotify, and there will be no who"


class Records(StrEnum):
    """Where the records of who does what come from."""

    AUTO = "auto"      # the first of the three that this host gives
    KERNEL = "kernel"  # the multicast group
    LOG = "log"        # auditd's log as it grows
    FILES = "files"    # none: inotify says what may have changed


@dataclass(slots=True)
class LiveSources:
    """The sources of one run. Exactly one of ``kernel``, ``dirty`` and neither (then the log is followed closely)."""

    kernel: KernelRecords | None = None
    dirty: DirtyPaths | None = None
    words: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """``kernel``, ``log`` or ``files``."""
        return "kernel" if self.kernel is not None else "files" if self.dirty is not None else "log"


def open_sources(config: Config, wanted: Records, stack: contextlib.ExitStack, *, buffer_bytes: int) -> LiveSources:
    """Take the best source that the host gives: the kernel's records, auditd's log, inotify."""
    sources = LiveSources()
    if wanted in (Records.AUTO, Records.KERNEL):
        try:
            drain = Drain(
                buffer_bytes=buffer_bytes,
                spool_dir=os.fsdecode(config.host.state_dir),
                opened=lambda: sources.words.extend(drop_start_rights(config)),
            )
            sources.kernel = KernelRecords(stack.enter_context(drain))
        except HostError as error:
            if wanted is Records.KERNEL:
                raise
            sources.words.append(str(error))
    if sources.kernel is not None:
        return sources
    if wanted is not Records.FILES:
        shown, trouble = render_path(config.sources.audit_log), _try_log(config.sources.audit_log)
        if trouble is None:
            sources.words.append(f"the records are read from {shown} as it grows; if nobody writes it here: --records files")
            return sources
        if wanted is Records.LOG:
            raise HostError(f"no audit log can be read at {shown}: {trouble}")
        sources.words.append(f"no audit log can be read at {shown}: {trouble}")
    sources.dirty = stack.enter_context(open_dirty(config))
    sources.words.append(f"neither live audit records nor a log of them can be had, {_NO_WHO}")
    return sources


def _try_log(log: bytes) -> str | None:
    """Say why neither a log nor a rotation of it can be read: its folder may be missing, or closed to this user."""
    trouble = "No such file or directory"
    for path in reversed(find_rotations(log)):
        try:
            with open(path, "rb"):
                return None
        except OSError as error:
            trouble = error.strerror or str(error)
    return trouble


def drop_start_rights(config: Config) -> list[str]:
    """Give up what the start alone needs, as the large buffer's right; say it where that cannot be. Again, it changes nothing."""
    if os.geteuid() != 0:
        return []
    try:
        join_group(file_access(config.host.state_dir)[1])  # a member gives its files to the group without a right
        drop_rights(_KEPT_RIGHTS)
    except HostError as error:
        return [f"the rights that are not needed any more were kept: {error}"]
    return []


def open_dirty(config: Config) -> DirtyPaths:
    """Have inotify say which of the watched paths may have changed; to be closed.

    Raises:
        HostError: If the kernel gives no inotify instance.
    """
    return DirtyPaths(WatchSet(scanned_watches(config)), mounts=list_mounts)
