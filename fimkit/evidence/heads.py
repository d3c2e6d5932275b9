"""What goes out with every message, so that a cut or rewritten chain shows elsewhere: the head, and the key that bundles bear."""

import base64
import binascii
import hashlib
import os
import re
from contextlib import suppress

from fimkit.evidence.folder import check_private_file, readers_trust
from fimkit.evidence.reader import open_reader
from fimkit.model.chain import render_head
from fimkit.model.errors import FimkitError

__all__ = ["head_lines", "say_head"]

_READ_S = 2.0
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]{1,200})-----END PUBLIC KEY-----\s*")


def say_head(state_dir: bytes) -> str | None:
    """Write the head of a state folder's chain; nothing where it cannot be had: no message waits for it."""
    with suppress(FimkitError), open_reader(state_dir, deadline_s=_READ_S) as reader:
        head = reader.head()
        return None if head is None else render_head(head)
    return None


def head_lines(state_dir: bytes) -> list[str]:
    """Give the lines that a mail ends with: the head, and the key of this host's bundles with its fingerprint, where it has one."""
    said = say_head(state_dir)
    lines = [] if said is None else [f"Evidence head {said}"]
    with suppress(FimkitError, OSError, ValueError, binascii.Error):
        path = os.path.join(state_dir, b"evidence.pub")
        check_private_file(path, owners=readers_trust())
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = _PEM.fullmatch(file.read(1000).decode("ascii"))
        if found is not None:
            der = base64.b64decode("".join(found[1].split()), validate=True)
            lines.append(f"Evidence key {hashlib.sha256(der).hexdigest()} ({base64.b64encode(der).decode()})")
    return lines
