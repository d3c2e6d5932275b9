"""What is proved of one path: by which package, and of which attributes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from fimkit.model.states import TIMES_ONLY, FileState, FileType

__all__ = ["DELETED", "Proof"]

DELETED = "deleted"
"""Stands among the proved attributes when it is the absence that is proved."""

_WHOLE = frozenset({"type", "mode", "uid", "gid", "xattrs"})
_CONTENT = {FileType.FILE: "sha256", FileType.SYMLINK: "target", FileType.DIRECTORY: "type"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """An answer about one path.

    ``proved`` names the attributes (as in :data:`fimkit.model.states.COMPARED`) that a signed package gives this path; empty is
    "nothing is proved". ``older`` tells whether the package is of an earlier version than the one that was installed before;
    ``None`` where that is not known. ``archive_sha256`` is of the archive that proves it, where one does. ``reasons`` are words
    for people: what proves it, or what is missing and how to get it.
    """

    path: bytes
    proved: frozenset[str] = frozenset()
    package: str | None = None
    version: str | None = None
    architecture: str | None = None
    older: bool | None = None
    archive_sha256: str | None = None
    reasons: tuple[str, ...] = ()

    def explains(self, before: FileState | None, after: FileState | None, changed: Iterable[str]) -> bool:
        """Tell whether every difference between two states is proved.

        ``changed`` is what :func:`fimkit.model.states.compare_states` gave. Inode and times are nobody's secret: they come with
        any unpacking. A new path needs everything about it proved, its owner, mode and extended attributes included.

        >>> proof = Proof(path=b"/a", proved=frozenset({"type", "sha256", "size", "mode", "uid", "gid"}))
        >>> was, now = FileState(b"/a", FileType.FILE, sha256="0"), FileState(b"/a", FileType.FILE, sha256="1")
        >>> proof.explains(was, now, ("sha256", "mtime_ns")), proof.explains(was, now, ("sha256", "xattrs"))
        (True, False)
        >>> proof.explains(None, now, ())
        False
        >>> folder = FileState(b"/d", FileType.DIRECTORY, mode=0o755)
        >>> proof.explains(folder._replace(mode=0o700), folder, ("mode", "size", "mtime_ns"))
        True
        """
        if after is None:
            return before is not None and DELETED in self.proved
        if _CONTENT.get(after.type) not in self.proved:
            return False
        differences = set(changed) - TIMES_ONLY
        if after.type is FileType.DIRECTORY:
            differences.discard("size")  # a folder's grows with what lies in it
        if before is None or "type" in differences:
            differences |= _WHOLE
        return differences <= self.proved
