"""Where file systems are mounted, from the kernel's own list: a bind mount of the same device shows nowhere else."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from fimkit.model.paths import is_below

__all__ = ["load_mount_points", "mount_points_below", "parse_mount_points"]

_OCTAL = re.compile(rb"\\([0-7]{3})")


class _Mount(NamedTuple):
    parent: bytes
    device: bytes
    root: bytes
    point: bytes


def _unescape(text: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), text)


def _shows_what_was_there(mount: _Mount, above: _Mount | None) -> bool:
    """Tell whether a folder is mounted on itself, as a sandbox does it to forbid writing: the same files as without the mount."""
    if above is None or above.device != mount.device or not is_below(mount.point, above.point):
        return False
    inside = mount.point[len(above.point.rstrip(b"/")) :]
    return mount.root == (above.root.rstrip(b"/") + inside or b"/")


def parse_mount_points(text: bytes) -> frozenset[bytes]:
    r"""Read the mount points of a ``mountinfo``, except of folders that are mounted on themselves.

    Source: proc(5), /proc/PID/mountinfo; space, tab, newline and backslash are octal there.

    >>> parse_mount_points(b"24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n9 8 8:1 /x /mnt/a\\040b rw - ext4 /dev/sda rw\n") == {
    ...     b"/dev", b"/mnt/a b"}
    True
    >>> parse_mount_points(b"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 8:1 /var/lib/x /var/lib/x rw - ext4 /dev/sda rw\n")
    frozenset({b'/'})
    """
    rows = [line.split(b" ", 5) for line in text.split(b"\n")]
    mounts = {row[0]: _Mount(row[1], row[2], _unescape(row[3]), _unescape(row[4])) for row in rows if len(row) > 5}
    return frozenset(mount.point for mount in mounts.values() if not _shows_what_was_there(mount, mounts.get(mount.parent)))


def load_mount_points(source: Path = Path("/proc/self/mountinfo")) -> frozenset[bytes]:
    """Read the mount points that this process sees; none where there is no /proc (the device number still tells most)."""
    try:
        return parse_mount_points(source.read_bytes())
    except OSError:
        return frozenset()


def mount_points_below(root: bytes, points: frozenset[bytes]) -> frozenset[bytes]:
    """Name the mount points below ``root`` as a walk from there meets them.

    The kernel lists real paths, and a configured path may go through a link (``/lib/x`` where ``/lib`` is ``usr/lib``).
    """
    real = os.path.realpath(root)
    start = root.rstrip(b"/")
    return frozenset(start + point[len(real.rstrip(b"/")) :] for point in points if point != real and is_below(point, real))
