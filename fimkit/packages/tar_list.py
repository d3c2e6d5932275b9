"""Lists a tar archive with the hash of every file, from a stream that only goes forward and may be hostile. Pure."""

import hashlib
import os
import tarfile
from collections.abc import Callable
from typing import NamedTuple

from fimkit.model.errors import PackageError
from fimkit.model.paths import render_path
from fimkit.model.states import FileType
from fimkit.packages.shipped import Shipped, tidy_name
from fimkit.packages.streams import BLOCK, Readable, blocks_of

__all__ = ["Listing", "TarLimits", "list_tar", "read_members"]

_TYPES = {
    tarfile.REGTYPE: FileType.FILE,
    tarfile.AREGTYPE: FileType.FILE,
    tarfile.CONTTYPE: FileType.FILE,
    tarfile.DIRTYPE: FileType.DIRECTORY,
    tarfile.SYMTYPE: FileType.SYMLINK,
    tarfile.CHRTYPE: FileType.CHAR,
    tarfile.BLKTYPE: FileType.BLOCK,
    tarfile.FIFOTYPE: FileType.FIFO,
}
_MOST_HEADER_BYTES = 1 << 20
"""What one header may ask to be read at once: a long name, an extended header."""


class TarLimits(NamedTuple):
    """Where reading stops. The largest packages that distributions ship unpack to some GiB."""

    bytes: int = 1 << 35
    members: int = 1 << 21


class Listing(NamedTuple):
    """What an archive ships, by path, and what in it could not be taken."""

    entries: dict[bytes, Shipped]
    problems: tuple[str, ...]


class _Forward:
    """What tarfile needs of a file: to read, to tell, and to skip forward."""

    def __init__(self, stream: Readable, most_bytes: int) -> None:
        self._blocks = blocks_of(stream, most_bytes)
        self._block = memoryview(b"")
        self._at = 0
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._at:
            raise tarfile.ReadError("it leads backwards")
        while self._at < offset and self.some(offset - self._at):
            pass
        return self._at

    def some(self, size: int) -> memoryview:
        if not self._block:
            self._block = memoryview(next(self._blocks, b""))
        part, self._block = self._block[:size], self._block[size:]
        self._at += len(part)
        return part

    def read(self, size: int) -> bytes:
        if size > _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        parts = bytearray()
        while len(parts) < size and (part := self.some(size - len(parts))):
            parts += part
        self.last = bytes(parts)
        return self.last


def _members(stream: Readable, limits: TarLimits, take: Callable[[tarfile.TarInfo, _Forward], None]) -> None:
    forward = _Forward(stream, limits.bytes)
    try:
        with tarfile.TarFile(fileobj=forward, mode="r", encoding="utf-8", errors="surrogateescape") as tar:  # type: ignore[arg-type]
            for _ in range(limits.members + 1):
                member = tar.next()
                if member is None:
                    if forward.last.strip(b"\0"):  # tarfile takes a bad header for the end
                        raise PackageError(f"a tar archive that is broken at byte {forward.tell()}")
                    return
                take(member, forward)
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
    except (tarfile.TarError, OSError, ValueError, ArithmeticError, EOFError, LookupError, RuntimeError) as error:
        raise error if isinstance(error, PackageError) else PackageError(f"no tar archive: {error}") from error
    raise PackageError(f"more than {limits.members} members")


def list_tar(stream: Readable, limits: TarLimits | None = None) -> Listing:
    """List an archive.

    What could lead its reader astray is left out and said: an absolute name, one with ``..``, a hard link to what did not come
    before, a sparse file. Nothing is ever written.

    Args:
        stream: The archive, unpacked.
        limits: Where it stops.

    Raises:
        PackageError: If it is no tar archive, is cut, or is larger than the limits.

    Source: tar(5); deb(5).
    """
    entries: dict[bytes, Shipped] = {}
    problems: list[str] = []

    def take(member: tarfile.TarInfo, forward: _Forward) -> None:
        try:
            shipped = _shipped(member, forward, entries)
        except PackageError as error:
            problems.append(str(error))
        else:
            entries[shipped.path] = shipped

    _members(stream, limits or TarLimits(), take)
    return Listing(entries, tuple(problems))


def _shipped(member: tarfile.TarInfo, forward: _Forward, earlier: dict[bytes, Shipped]) -> Shipped:
    path = tidy_name(os.fsencode(member.name))
    if member.type == tarfile.LNKTYPE:
        linked = earlier.get(tidy_name(os.fsencode(member.linkname)))
        if linked is None or linked.type is not FileType.FILE:
            raise PackageError(f"{render_path(path)} is a hard link to nothing that came before")
        return linked._replace(path=path)
    if member.issparse() or member.type not in _TYPES:
        raise PackageError(f"{render_path(path)} is of a kind that packages do not ship")
    kind = _TYPES[member.type]
    return Shipped(
        path=path,
        type=kind,
        sha256=_hash(member, forward) if kind is FileType.FILE else None,
        target=os.fsencode(member.linkname) if kind is FileType.SYMLINK else None,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        size=member.size if kind is FileType.FILE else None,
        mtime_s=int(member.mtime),
        xattrs={},
    )


def _hash(member: tarfile.TarInfo, forward: _Forward) -> str:
    whole = hashlib.sha256()
    left = member.size
    while left:
        part = forward.some(min(left, BLOCK))
        if not part:
            raise tarfile.ReadError("it ends in the middle of a file")
        whole.update(part)
        left -= len(part)
    return whole.hexdigest()


def read_members(stream: Readable, names: frozenset[bytes], most_bytes: int) -> dict[bytes, bytes]:
    """Read some small files of an archive whole, by their path.

    Raises:
        PackageError: As :func:`list_tar`, and if one of them is longer than ``most_bytes``.
    """
    found: dict[bytes, bytes] = {}

    def take(member: tarfile.TarInfo, forward: _Forward) -> None:
        try:
            path = tidy_name(os.fsencode(member.name))
        except PackageError:
            return  # none that was asked for
        if path in names and member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
            if member.size > min(most_bytes, _MOST_HEADER_BYTES):
                raise PackageError(f"{render_path(path)} is longer than {most_bytes} bytes")
            found[path] = forward.read(member.size)

    _members(stream, TarLimits(bytes=1 << 30, members=10_000), take)
    return found
