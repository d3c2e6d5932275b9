"""The folder of fimkit's state: made private, and refused where somebody else could have put something into it.

Its owner may share it: where its group may enter the folder (``chgrp fimkit DIR; chmod 0750 DIR``), the group may read the store.
"""

import os
import stat
from collections.abc import Collection
from contextlib import suppress

from fimkit.model.errors import HostError
from fimkit.model.paths import render_path

__all__ = ["check_private_file", "check_state_dir", "file_access", "make_state_dir", "readers_trust"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def readers_trust() -> tuple[int, ...]:
    """Give the owners whose store this process may believe: its own user and root. Who writes trusts its own alone."""
    return (os.geteuid(), 0)


def _refusal(seen: os.stat_result, path: bytes, *, wanted: str, owners: Collection[int]) -> str | None:
    """Say why ``path`` is not to be trusted, or nothing."""
    name = render_path(path)
    if stat.S_ISLNK(seen.st_mode):
        return f"{name} is a symbolic link; expected a {wanted} (somebody may have put it there: look at it first)"
    if stat.S_IFMT(seen.st_mode) != (stat.S_IFDIR if wanted == "folder" else stat.S_IFREG):
        return f"{name} is no {wanted}"
    if seen.st_uid not in owners:
        return f"{name} belongs to uid {seen.st_uid}, and fimkit runs as uid {os.geteuid()}"
    if wanted == "file" and seen.st_nlink > 1:
        return (
            f"{name} has {seen.st_nlink} names (hard links): who has another one can read and alter it; look for them with "
            f"find -samefile, and keep copies in place of links"
        )
    if seen.st_mode & _OTHERS_WRITE:
        return f"{name} can be written by others (mode {stat.S_IMODE(seen.st_mode):04o}); remedy: chmod go-w {name}"
    return None


def _check(path: bytes, *, wanted: str, owners: Collection[int]) -> None:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        if wanted == "file":  # none is fine, and SQLite removes two of them when its last user goes
            return
        raise HostError(f"there is no folder {render_path(path)}") from None
    except OSError as error:
        raise HostError(f"cannot look at {render_path(path)}: {error.strerror}") from error
    refusal = _refusal(seen, path, wanted=wanted, owners=owners or (os.geteuid(),))
    if refusal:
        raise HostError(refusal)


def check_state_dir(state_dir: bytes, *, owners: Collection[int] = ()) -> None:
    """Refuse a folder that others could have written into.

    Args:
        state_dir: The folder.
        owners: Whose it may be; without any, this process's user's.

    Raises:
        HostError: If it is missing, a symbolic link, no folder, another user's, or writable by group or world.
    """
    # A slash at the end would follow a link.
    _check(state_dir.rstrip(b"/") or b"/", wanted="folder", owners=owners)


def check_private_file(path: bytes, *, owners: Collection[int] = ()) -> None:
    """Refuse a file of the state folder that is a link, symbolic or hard, another user's, or writable by others; none is fine.

    Args:
        path: The file.
        owners: Whose it may be; without any, this process's user's.

    Raises:
        HostError: If it is one of these.
    """
    _check(path, wanted="file", owners=owners)


def file_access(state_dir: bytes) -> tuple[int, int]:
    """Tell the mode that the store's files are to have, and the group that they belong to (-1: as it comes).

    A folder that its group may enter is shared with the group, for reading; nothing is ever shared with all others.

    Raises:
        HostError: If the folder cannot be looked at.
    """
    try:
        seen = os.stat(state_dir)
    except OSError as error:
        raise HostError(f"cannot look at {render_path(state_dir)}: {error.strerror}") from error
    return (0o640, seen.st_gid) if seen.st_mode & stat.S_IXGRP else (0o600, -1)


def make_state_dir(state_dir: bytes) -> None:
    """Make the folder where it is missing (mode 0700), and check it.

    Raises:
        HostError: If it cannot be made, or is refused by :func:`check_state_dir`.
    """
    folder = state_dir.rstrip(b"/") or b"/"
    try:
        os.makedirs(os.path.dirname(folder) or b".", exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
    except OSError as error:
        raise HostError(f"cannot make the state folder {render_path(folder)}: {error.strerror}") from error
    check_state_dir(folder)
