"""Tells whether a log was altered where it had been read: a digest of what was there, held against what is there now.

A cursor finds its file by its first bytes, and goes on at its end; what somebody changes in between it never sees again.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fimkit.audit.logfile import LogCursor
from fimkit.audit.logpart import READ_ERRORS, LogPart, fingerprint

__all__ = ["LogProof", "find_altered", "prove_log"]

MOST_BYTES = 64 << 20
"""So much before the cursor is held against the digest: auditd's logs have 8 MB each."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """What was read of one file, and when, in plain values that JSON keeps: its head, and the digest up to ``offset``."""

    dev: int
    inode: int
    fingerprint: str
    head_bytes: int
    offset: int
    digest: str
    time_ns: int


def prove_log(paths: Iterable[Path], cursor: LogCursor, *, time_ns: int) -> LogProof | None:
    """Take the digest of what was read; nothing where the file is not there any more.

    Args:
        paths: The log with its rotations.
        cursor: Where its reading stands.
        time_ns: The present.
    """
    for part in _open(paths, same=(cursor.fingerprint, cursor.head_bytes)):
        digest = _digest(part, cursor.offset)
        if digest is not None:
            return LogProof(
                dev=part.dev, inode=part.inode, fingerprint=cursor.fingerprint, head_bytes=cursor.head_bytes,
                offset=cursor.offset, digest=digest, time_ns=time_ns,
            )  # fmt: skip
    return None


def find_altered(paths: Iterable[Path], proof: LogProof) -> str:
    """Say how a log differs from what was read of it; empty where it does not, or where what was read is there no more.

    Rotation, compression and copytruncate change no byte of what was read. A file that was emptied and has grown again is another
    log; it is told of by who reads on.

    Args:
        paths: The log with its rotations.
        proof: Of an earlier reading.
    """
    words = ""
    for part in _open(paths, same=(proof.fingerprint, proof.head_bytes)):
        digest, size = _digest(part, proof.offset), part.size_bytes
        if digest == proof.digest:
            return ""
        if digest is not None:
            words = f"{part.label} was altered since its first {proof.offset} bytes were read"
        elif size is not None and size < proof.offset:
            words = f"{part.label} was cut to {size} bytes since its first {proof.offset} bytes were read"
    return words


def _open(paths: Iterable[Path], *, same: tuple[str, int]) -> Iterator[LogPart]:
    """Give the files that begin as the one that was read; each is closed when the next is asked for."""
    mark, head_bytes = same
    for path in reversed(list(paths)):
        with ExitStack() as stack:
            try:
                part = LogPart.of_host(path)
            except OSError:
                continue  # said by who reads on
            stack.callback(part.close)
            if len(part.head) >= head_bytes and fingerprint(part.head[:head_bytes]) == mark:
                yield part


def _digest(part: LogPart, offset: int) -> str | None:
    """Hash the bytes before a place; ``None`` where there are not so many, or they cannot be read."""
    digest, left = hashlib.sha256(), min(offset, MOST_BYTES)
    try:
        if offset > left and not part.skip(offset - left):
            return None
        while left > 0 and (piece := part.read(min(_CHUNK, left))):
            digest.update(piece[:left])
            left -= len(piece)
    except READ_ERRORS:
        return None
    return digest.hexdigest() if left <= 0 else None
