"""What a package ships at one path, and which attributes of a state that proves. Pure."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from fimkit.model.errors import PackageError, clip
from fimkit.model.states import FileState, FileType

__all__ = ["LABEL", "Shipped", "matching_attributes", "tidy_name"]

LABEL = "security.selinux"
"""The one extended attribute that no package ships: it is the policy's."""

_MOST_NAME_BYTES = 4096


class Shipped(NamedTuple):
    """One path as a package's archive or header has it. ``None`` is "it does not say".

    ``sha256`` is a file's only, ``target`` a symlink's only. ``xattrs`` are all that the package gives the file; ``is_config``
    is a configuration file, which an administrator may change.
    """

    path: bytes
    type: FileType
    sha256: str | None = None
    target: bytes | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    mtime_s: int | None = None
    xattrs: dict[str, bytes] | None = None
    is_config: bool = False


def tidy_name(name: bytes) -> bytes:
    """Make the absolute path of a name in an archive.

    Raises:
        PackageError: If the name could lead out of the tree that it is unpacked in, or is no name.

    >>> tidy_name(b"./usr/bin/ls"), tidy_name(b"./"), tidy_name(b"etc/a")
    (b'/usr/bin/ls', b'/', b'/etc/a')
    """
    if len(name) > _MOST_NAME_BYTES:
        raise PackageError(f"a name of {len(name)} bytes: {clip(os.fsdecode(name[:40]))}")
    if not name or name.startswith(b"/") or b"\0" in name:
        raise PackageError(f"an absolute or broken name: {clip(os.fsdecode(name))}")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise PackageError(f"a name that leads upwards: {clip(os.fsdecode(name))}")
    return b"/" + b"/".join(parts)


def matching_attributes(shipped: Shipped, state: FileState) -> frozenset[str]:
    """Name the attributes of a state that are what a package ships.

    The content comes first: where the bytes, the target or the type are other ones, nothing is proved, whatever else agrees.

    >>> shipped = Shipped(b"/a", FileType.SYMLINK, target=b"b", uid=0, gid=0)
    >>> sorted(matching_attributes(shipped, FileState(b"/a", FileType.SYMLINK, target=b"b", uid=0, gid=7)))
    ['mode', 'size', 'target', 'type', 'uid']
    """
    if shipped.type is not state.type:
        return frozenset()
    proved = {"type", *_content(shipped, state)}
    if len(proved) == 1 and state.type is not FileType.DIRECTORY:
        return frozenset()
    proved.update(
        name for name in ("mode", "uid", "gid") if (is_ := getattr(state, name)) is not None and is_ == getattr(shipped, name)
    )
    if state.type is FileType.SYMLINK:
        proved.add("mode")  # a symlink's own mode is never used
    if shipped.mtime_s is not None and state.mtime_ns is not None and state.mtime_ns // 1_000_000_000 == shipped.mtime_s:
        proved.add("mtime_ns")
    if shipped.xattrs is not None and state.xattrs is not None and _same_xattrs(shipped.xattrs.items(), state.xattrs.items()):
        proved.add("xattrs")
    return frozenset(proved)


def _content(shipped: Shipped, state: FileState) -> tuple[str, ...]:
    if state.type is FileType.FILE and state.sha256 is not None and state.sha256 == shipped.sha256:
        return "sha256", "size"
    if state.type is FileType.SYMLINK and state.target is not None and state.target == shipped.target:
        return "target", "size"
    return ()


def _same_xattrs(shipped: Iterable[tuple[str, bytes]], seen: Iterable[tuple[str, bytes]]) -> bool:
    return dict(shipped) == {name: value for name, value in seen if name != LABEL}
