"""The folder of fimkit's state: made private, and refused where somebody else could have put something into it."""

import os
import stat
from contextlib import suppress

from fimkit.model.errors import HostError
from fimkit.model.paths import render_path

__all__ = ["check_private_file", "check_state_dir", "make_state_dir"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def _refusal(seen: os.stat_result, path: bytes, *, wanted: str) -> str | None:
    """Say why ``path`` is not to be trusted, or nothing."""
    name = render_path(path)
    if stat.S_ISLNK(seen.st_mode):
        return f"{name} is a symbolic link; expected a {wanted} (somebody may have put it there: look at it first)"
    if stat.S_IFMT(seen.st_mode) != (stat.S_IFDIR if wanted == "folder" else stat.S_IFREG):
        return f"{name} is no {wanted}"
    if seen.st_uid != os.geteuid():
        return f"{name} belongs to uid {seen.st_uid}, and fimkit runs as uid {os.geteuid()}"
    if seen.st_mode & _OTHERS_WRITE:
        return f"{name} can be written by others (mode {stat.S_IMODE(seen.st_mode):04o}); remedy: chmod go-w {name}"
    return None


def _check(path: bytes, *, wanted: str) -> None:
    try:
        seen = os.lstat(path)
    except OSError as error:
        raise HostError(f"cannot look at {render_path(path)}: {error.strerror}") from error
    refusal = _refusal(seen, path, wanted=wanted)
    if refusal:
        raise HostError(refusal)


def check_state_dir(state_dir: bytes) -> None:
    """Refuse a folder that others could have written into.

    Raises:
        HostError: If it is missing, a symbolic link, no folder, another user's, or writable by group or world.
    """
    # A slash at the end would follow a link.
    _check(state_dir.rstrip(b"/") or b"/", wanted="folder")


def check_private_file(path: bytes) -> None:
    """Refuse a file of the state folder that is a symbolic link, another user's, or writable by others; none is fine.

    Raises:
        HostError: If it is one of these.
    """
    if os.path.lexists(path):
        _check(path, wanted="file")


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
