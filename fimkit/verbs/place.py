"""What the audit plan asks of a host: what a path is, where its links lead, and where file systems are mounted."""

import os
from pathlib import Path

from fimkit.audit.rules import PathFacts
from fimkit.baseline.mounts import load_mount_points

__all__ = ["list_mounts", "look_at", "process_name"]

_MOST_LINKS = 40  # as many as the kernel follows


def look_at(path: bytes, root: bytes = b"") -> PathFacts:
    """Say what a path is on this host, or on the host whose files lie below ``root``."""
    real = _resolve(path, root)
    whole = root + real
    return PathFacts(
        real=real,
        is_folder=os.path.isdir(whole),
        exists=os.path.lexists(whole),
        parent_exists=os.path.isdir(root + os.path.dirname(real)),
        is_link=os.path.islink(root + path),
    )


def _resolve(path: bytes, root: bytes) -> bytes:
    """Follow every link, as the host itself would: an absolute one begins at ``root``."""
    todo = [part for part in reversed(path.split(b"/")) if part]
    done: list[bytes] = []
    links = 0
    while todo:
        part = todo.pop()
        if part in (b".", b""):
            continue
        if part == b"..":
            del done[-1:]
            continue
        here = root + b"/" + b"/".join([*done, part])
        if os.path.islink(here) and links < _MOST_LINKS:
            links += 1
            target = os.readlink(here)
            if target.startswith(b"/"):
                done.clear()
            todo += [one for one in reversed(target.split(b"/")) if one]
        else:
            done.append(part)
    return b"/" + b"/".join(done)


def list_mounts(mountinfo: Path = Path("/proc/self/mountinfo")) -> list[bytes]:
    """List the mount points of this host, except of folders mounted on themselves: there nothing else is seen."""
    return sorted(load_mount_points(mountinfo))


def process_name(pid: int) -> str | None:
    """The name of a process, if it is there."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return None
