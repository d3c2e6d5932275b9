"""The watches as this host needs them: where a configured path leads through a link, what it leads to is watched too."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from fimkit.audit.rules import PathFacts
from fimkit.model.config import Watch
from fimkit.verbs.place import look_at

__all__ = ["effective_watches"]


def effective_watches(watches: Sequence[Watch], look: Callable[[bytes], PathFacts] = look_at) -> tuple[Watch, ...]:
    """Add the real place of every watched path that is a link, or lies behind one.

    A scan follows no link and the kernel watches no folder by a link's name, so ``/sbin`` on a system with ``/usr/sbin`` would be
    one row and no record. Patterns on whole paths are given in both forms. The link itself stays watched.
    """
    known = {watch.path for watch in watches}
    added: dict[bytes, Watch] = {}
    for watch in watches:
        real = look(watch.path).real
        if real in known or real in added:
            continue
        old, new = watch.path.decode("utf-8", "surrogateescape"), real.decode("utf-8", "surrogateescape")
        moved = tuple(new + pattern[len(old) :] for pattern in watch.exclude if pattern.startswith(old + "/"))
        added[real] = replace(watch, path=real, exclude=(*watch.exclude, *moved))
    return (*watches, *added.values())
