"""Extended attributes: capabilities, ACLs, security labels and what users put there; none is left out."""

import errno
import os

from fimkit.baseline.problems import say_error
from fimkit.model.paths import render_path

__all__ = ["NO_XATTRS", "load_xattrs"]

NO_XATTRS: dict[str, bytes] = {}
"""What almost every file has: one object for all of them. Nobody may write into it."""


def load_xattrs(place: int | bytes) -> tuple[dict[str, bytes] | None, str | None]:
    """Read all extended attributes that the kernel lists.

    Args:
        place: An open file, or a path whose last part is not followed.

    Returns:
        The values by name, and what kept them from being known, if anything did. A name is text of
        :func:`fimkit.model.paths.render_path`: the kernel takes any bytes after the dot.
    """
    follows = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follows)
        if not names:
            return NO_XATTRS, None
        values = {}
        for name in names:
            values[render_path(os.fsencode(name))] = os.getxattr(place, name, follow_symlinks=follows)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return NO_XATTRS, None
        return None, say_error("its extended attributes cannot be read", error)
    return values, None
