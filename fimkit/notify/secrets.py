"""Reads a secret from a file of its own: not another user's, not open to others, and of one line."""

import os
import stat

from fimkit.model.errors import HostError
from fimkit.model.paths import render_path

__all__ = ["load_secret"]

_MOST_BYTES = 4096


def load_secret(path: bytes) -> str:
    """Read a password or token.

    Args:
        path: A regular file with the secret alone, of this user or root, that no other user may read or write.

    Raises:
        HostError: If it cannot be read, is open to others, or is no one line of text.
    """
    name = render_path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a fifo would wait for its writer
        try:
            seen = os.fstat(descriptor)
            raw = os.read(descriptor, _MOST_BYTES + 1) if stat.S_ISREG(seen.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HostError(f"{name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(seen.st_mode):
        raise HostError(f"{name} is no regular file")
    if seen.st_mode & 0o027 or seen.st_uid not in (0, os.geteuid()):
        seen_as = f"mode {stat.S_IMODE(seen.st_mode):04o}, uid {seen.st_uid}"
        raise HostError(f"{name} is open to others ({seen_as}), expected 0600 and this user's or root's")
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise HostError(f"{name} is no UTF-8 text") from None
    if not text or len(raw) > _MOST_BYTES or not text.isprintable():
        raise HostError(f"{name} has no secret in it, expected one line of at most {_MOST_BYTES} bytes")
    return text
