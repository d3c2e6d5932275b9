"""Reads a .deb: its hash, what it ships, which of that is configuration. What it gives is of the bytes that have that hash."""

from collections.abc import Callable
from typing import NamedTuple

from fimkit.model.errors import PackageError, clip
from fimkit.packages.ar import ArMember, read_ar
from fimkit.packages.shipped import Shipped
from fimkit.packages.streams import HashedFile, Readable, open_regular, unpacked
from fimkit.packages.tar_list import Listing, list_tar, read_members

__all__ = ["DebContents", "load_deb"]

_CONFFILES = b"/conffiles"
_MOST_CONFFILES_BYTES = 1 << 20


class DebContents(NamedTuple):
    """What one archive ships, by path; ``problems`` says what in it could not be taken."""

    sha256: str
    entries: dict[bytes, Shipped]
    problems: tuple[str, ...]


def load_deb(path: bytes, is_trusted: Callable[[str], bool]) -> DebContents | None:
    """List a .deb, if its hash is a trusted one.

    The bytes are hashed before anything in them is looked at, and again as they are listed: what is given belongs to that hash,
    even if somebody changes the file in the meantime.

    Args:
        path: The file.
        is_trusted: Tells of a SHA-256 whether it is one that is worth reading.

    Returns:
        ``None`` if the hash is not trusted.

    Raises:
        PackageError: If it cannot be read, is no .deb, or was changed in the meantime.

    Source: deb(5).
    """
    with open_regular(path) as descriptor:
        sha256 = HashedFile(descriptor).finish()
        if not is_trusted(sha256):
            return None
        again = HashedFile(descriptor)
        listing, conffiles = _read(again)
        if again.finish() != sha256:
            raise PackageError("the archive was changed while it was read")
    entries = listing.entries
    for name in conffiles:
        if name in entries:
            entries[name] = entries[name]._replace(is_config=True)
    return DebContents(sha256, entries, listing.problems)


def _read(stream: HashedFile) -> tuple[Listing, list[bytes]]:
    conffiles: list[bytes] = []
    version = None
    for member in read_ar(stream):
        if version is None:
            version = member.content.read(16)
            if member.name != "debian-binary" or not version.startswith(b"2."):
                raise PackageError(f"no .deb of format 2: it begins with {clip(member.name)}, {clip(version)}")
        elif member.name.startswith("control.tar"):
            texts = read_members(_content(member, "control.tar"), frozenset({_CONFFILES}), _MOST_CONFFILES_BYTES)
            conffiles = [line.strip() for line in texts.get(_CONFFILES, b"").split(b"\n") if line.startswith(b"/")]
        elif member.name.startswith("data.tar"):
            return list_tar(_content(member, "data.tar")), conffiles
    raise PackageError("a .deb without data")


def _content(member: ArMember, stem: str) -> Readable:
    return unpacked(member.content, member.name.removeprefix(stem))
