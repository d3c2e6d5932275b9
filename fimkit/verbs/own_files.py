"""The watches that this host is scanned by: links followed once, and without the files that a look itself writes."""

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from fimkit.audit.rules import PathFacts
from fimkit.model.config import Config, Watch
from fimkit.model.paths import is_below
from fimkit.verbs.effective import effective_watches
from fimkit.verbs.handlers import HANDLER_LOG
from fimkit.verbs.place import look_at

__all__ = ["scanned_watches"]

_STORES = (b"fimkit.sqlite", b"outbox.sqlite3")
_OWN = (
    *(store + end for store in _STORES for end in (b"", b"-wal", b"-shm")),
    b"contents.sqlite", b"contents.sqlite-journal", b"disk-full.json",
    b"evidence-head.json", b"evidence.key", b"evidence.pub",
    b"hook.lock", b"hook-apt.json", b"hook-dnf.json",
    b"lock", b"panic", b"seal", b"selftest.lock", b"watch.lock", b"watch.json", HANDLER_LOG, HANDLER_LOG + b".1",
)  # fmt: skip


def scanned_watches(config: Config, look: Callable[[bytes], PathFacts] = look_at) -> Sequence[Watch]:
    """Give the configured watches, and the real places behind those that are links.

    Those around the state folder do not take the files of the stores, which would differ at every look, by the look itself; nor
    the panic's folder, whose evidence would be a finding; nor the report file. They take all else.

    >>> from fimkit.model.config import Host
    >>> config = Config(host=Host(name="x", state_dir=b"/var/lib/fimkit"), paths=(Watch(path=b"/etc"), Watch(path=b"/var")))
    >>> [len(watch.exclude) for watch in scanned_watches(config)]
    [0, 23]
    """
    state_dir = config.host.state_dir.rstrip(b"/")
    written = [state_dir + b"/" + name for name in _OWN]
    if config.host.report_file:
        written.append(config.host.report_file)
    watches = effective_watches(config.paths, look)
    return [replace(watch, exclude=(*watch.exclude, *_below(written, watch))) for watch in watches]


def _below(files: Sequence[bytes], watch: Watch) -> list[str]:
    return [glob.escape(os.fsdecode(path)) for path in files if is_below(path, watch.path)]
