"""Leaves the store's own files out of a scan: a watched state folder would differ at every look, by the look itself. Pure."""

import glob
import os
from collections.abc import Sequence
from dataclasses import replace

from fimkit.model.config import Config, Watch
from fimkit.model.paths import is_below

__all__ = ["scanned_watches"]

_OWN = (b"fimkit.sqlite", b"fimkit.sqlite-wal", b"fimkit.sqlite-shm", b"lock")


def scanned_watches(config: Config) -> Sequence[Watch]:
    """Give the configured watches; those around the state folder do not take the store's files, and take all else in it.

    >>> from fimkit.model.config import Host
    >>> config = Config(host=Host(name="x", state_dir=b"/var/lib/fimkit"), paths=(Watch(path=b"/etc"), Watch(path=b"/var")))
    >>> [len(watch.exclude) for watch in scanned_watches(config)]
    [0, 4]
    """
    state_dir = config.host.state_dir.rstrip(b"/")
    own = tuple(glob.escape(os.fsdecode(state_dir + b"/" + name)) for name in _OWN)
    return [
        replace(watch, exclude=(*watch.exclude, *own)) if is_below(state_dir, watch.path) else watch for watch in config.paths
    ]
