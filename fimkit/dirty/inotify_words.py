"""Words for what inotify cannot do, with the setting that would help."""

import errno
from collections.abc import Sequence
from pathlib import Path

from fimkit.model.paths import render_path

__all__ = ["say_no_instance", "say_overflow", "say_unwatched"]

_SETTINGS = Path("/proc/sys/fs/inotify")
_SHOWN = 5


def _setting(name: str) -> int | None:
    try:
        return int((_SETTINGS / name).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def say_no_instance(error: OSError) -> str:
    """Say why there is no inotify instance."""
    if error.errno == errno.EMFILE:
        limit = _setting("max_user_instances")
        return (
            f"no inotify instance is left (fs.inotify.max_user_instances is {limit}, for each user, or too many files are open);"
            f" remedy: sysctl -w fs.inotify.max_user_instances={2 * (limit or 128)}"
        )
    return f"this kernel gives no inotify: {error.strerror}"


def say_unwatched(folders: Sequence[bytes], poll_s: float) -> str:
    """Say how many folders have no watch, which, what happens instead, and what would help."""
    limit = _setting("max_user_watches")
    shown = ", ".join(map(render_path, folders[:_SHOWN]))
    more = f" and {len(folders) - _SHOWN} more" if len(folders) > _SHOWN else ""
    enough = max(2 * (limit or 0), (limit or 0) + 2 * len(folders))
    return (
        f"no inotify watch is left for {len(folders)} folder{'s' if len(folders) != 1 else ''} ({shown}{more}), looked at every"
        f" {poll_s:g} s instead; fs.inotify.max_user_watches is {limit}, for each user;"
        f" remedy: sysctl -w fs.inotify.max_user_watches={enough}"
    )


def say_overflow(times: int) -> str:
    """Say that the kernel lost events, and what was done."""
    limit = _setting("max_queued_events")
    return (
        f"the kernel's queue of events overflowed {times} time{'s' if times != 1 else ''}, and every path was looked at again;"
        f" fs.inotify.max_queued_events is {limit}; remedy: sysctl -w fs.inotify.max_queued_events={4 * (limit or 16384)}"
    )
