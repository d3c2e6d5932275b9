"""Where file systems are mounted, from the kernel's own list: a bind mount of the same device shows nowhere else."""

import os
import re
from pathlib import Path

from fimkit.model.paths import is_below

__all__ = ["load_mount_points", "mount_points_below", "parse_mount_points"]

_OCTAL = re.compile(rb"\\([0-7]{3})")


def parse_mount_points(text: bytes) -> frozenset[bytes]:
    r"""Read the mount points of a ``mountinfo``.

    Source: proc(5), /proc/PID/mountinfo; space, tab, newline and backslash are octal there.

    >>> parse_mount_points(b"24 27 0:6 / /dev rw - devtmpfs devtmpfs rw\n9 8 8:1 /x /mnt/a\\040b rw - ext4 /dev/sda rw\n") == {
    ...     b"/dev", b"/mnt/a b"}
    True
    """
    fields = (line.split(b" ", 5) for line in text.split(b"\n"))
    return frozenset(_OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), row[4]) for row in fields if len(row) > 5)


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
