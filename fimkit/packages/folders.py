"""Where packages put files, and where they do not. Pure."""

from fimkit.model.paths import is_below

__all__ = ["may_be_packaged"]

_OTHERS = (
    b"/dev", b"/home", b"/lost+found", b"/media", b"/mnt", b"/proc", b"/root", b"/run", b"/srv", b"/sys", b"/tmp", b"/usr/local",
    b"/var/run", b"/var/tmp",
)  # fmt: skip
"""What belongs to users, to this site, or to nobody for long.

Source: Filesystem Hierarchy Standard 3.0; Debian Policy 9.1; Fedora's packaging guidelines.
"""


def may_be_packaged(path: bytes) -> bool:
    """Tell whether a package may put something at a path, by the path alone. The folders themselves are packages'.

    >>> [may_be_packaged(path) for path in (b"/usr/bin/ls", b"/home", b"/home/x", b"/usr/local/bin/x")]
    [True, True, False, False]
    """
    return not any(path != folder and is_below(path, folder) for folder in _OTHERS)
