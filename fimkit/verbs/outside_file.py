"""Opens files that are appended to where others may have a say: nobody's link or file takes the place of fimkit's own."""

import errno
import os
import stat

__all__ = ["open_appended"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FLAGS = os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_appended(path: bytes, mode: int = os.O_WRONLY) -> int:
    """Open a file at its end, made private where it is missing.

    Where others can make files, one of them may have put there what leads elsewhere, or what he reads along with: a link of either
    kind, a pipe, a file of his own. A file that an administrator gave away, in a folder that only he can write, is taken.

    Args:
        path: The file.
        mode: ``os.O_WRONLY``, or ``os.O_RDWR`` for who reads it back.

    Raises:
        OSError: If it cannot be opened, or is not to be trusted; ``strerror`` says why.
    """
    descriptor = os.open(path, mode | _FLAGS, 0o600)
    try:
        refusal = _refusal(os.fstat(descriptor), os.stat(os.path.dirname(path) or b"."))
        if refusal:
            raise PermissionError(errno.EPERM, refusal)
        os.set_blocking(descriptor, True)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refusal(seen: os.stat_result, folder: os.stat_result) -> str:
    trusted = (os.geteuid(), 0)
    if not stat.S_ISREG(seen.st_mode):
        return "it is no regular file"
    if seen.st_nlink > 1:
        return f"it has {seen.st_nlink} names (hard links): what is written to it would be written to another file too"
    is_shared = folder.st_uid not in trusted or bool(folder.st_mode & _OTHERS_WRITE)
    if is_shared and seen.st_uid not in trusted:
        return f"it belongs to uid {seen.st_uid}, in a folder where others can make files: it may have been put there"
    return ""
