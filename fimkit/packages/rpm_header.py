"""Reads a header of rpm's database: the signed part, its signatures, and what the signed part says of files. Pure."""

import base64
import stat
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from fimkit.model.errors import PackageError, clip
from fimkit.model.states import FileType
from fimkit.packages.capabilities import CAPABILITY, encode_capabilities
from fimkit.packages.shipped import Shipped

__all__ = ["RpmHeader", "parse_rpm_header", "shipped_by_rpm"]

_MAGIC = b"\x8e\xad\xe8\x01\x00\x00\x00\x00"
"""Stands before a header in a package, and is signed with it, but not kept in the database."""

_ENTRY = struct.Struct(">IIiI")
_MOST_ENTRIES = 0xFFFF
_MOST_BYTES = 1 << 28
_IMMUTABLE = 63

# Tags and types. Source: rpm, include/rpm/rpmtag.h.
_SIGNATURES = {267: "DSAHEADER", 268: "RSAHEADER", 278: "OPENPGP"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
_FORMATS = {2: "B", 3: "H", 4: "I", 5: "Q"}
_STRINGS = frozenset({6, 8, 9})
_TAGS = {
    1000: "name",
    1001: "version",
    1002: "release",
    1003: "epoch",
    1005: "description",
    1022: "arch",
    1028: "sizes",
    1030: "modes",
    1034: "mtimes",
    1035: "digests",
    1036: "targets",
    1037: "flags",
    1039: "users",
    1040: "groups",
    1116: "folder_numbers",
    1117: "names",
    1118: "folders",
    5008: "long_sizes",
    5010: "capabilities",
    5011: "digest_kind",
}
_SHA256 = 8
_CONFIG, _GHOST = 1, 64


class RpmHeader(NamedTuple):
    """One header. ``signed`` are the bytes that ``signatures`` are of; ``values`` were read from those bytes alone."""

    signed: bytes
    signatures: tuple[bytes, ...]
    values: dict[str, Any]

    @property
    def name(self) -> str:
        """The package's name."""
        return str(self.values.get("name", ""))

    @property
    def evr(self) -> str:
        """Epoch, version and release in one."""
        epoch = self.values.get("epoch")
        first = f"{epoch[0]}:" if epoch else ""
        return f"{first}{self.values.get('version', '')}-{self.values.get('release', '')}"


def parse_rpm_header(blob: bytes) -> RpmHeader:
    """Read a header as the database keeps it: the region that was signed, and what was added when it was installed.

    What the database added, or somebody else did, gives signatures only: they are verified. All values come from the region.

    Raises:
        PackageError: If it is no header, or has no region in it that could be signed.

    Source: rpm, lib/header.c and lib/hdrblob: rpm.org, "RPM V4 package format".
    """
    if len(blob) < 8 or len(blob) > _MOST_BYTES:
        raise PackageError(f"no rpm header: {len(blob)} bytes")
    count, length = struct.unpack_from(">II", blob)
    start = 8 + 16 * count
    if not 0 < count <= _MOST_ENTRIES or start + length != len(blob):
        raise PackageError(f"no rpm header: {count} entries and {length} bytes in {len(blob)}")
    entries = [_ENTRY.unpack_from(blob, 8 + 16 * number) for number in range(count)]
    region_entries, region_bytes = _region(entries[0], blob[start:])
    if region_entries > count:
        raise PackageError(f"a region of {region_entries} entries in a header of {count}")
    store = blob[start:]
    signed = struct.pack(">II", region_entries, region_bytes) + blob[8 : 8 + 16 * region_entries] + store[:region_bytes]
    values = {
        _TAGS[tag]: _value(store[:region_bytes], kind, offset, number)
        for tag, kind, offset, number in entries[1:region_entries]
        if tag in _TAGS
    }
    added = [(kind, offset, number) for tag, kind, offset, number in entries[region_entries:] if tag in _SIGNATURES]
    return RpmHeader(_MAGIC + signed, tuple(one for entry in added for one in _signatures(store, *entry)), values)


def _region(entry: tuple[int, int, int, int], store: bytes) -> tuple[int, int]:
    tag, kind, offset, number = entry
    if (tag, kind, number) != (_IMMUTABLE, 7, 16) or not 0 <= offset <= len(store) - 16:
        raise PackageError(f"an rpm header without an immutable region: {clip(entry)}")
    trailer_tag, trailer_kind, back, trailer_number = _ENTRY.unpack_from(store, offset)
    if (trailer_tag, trailer_kind, trailer_number) != (_IMMUTABLE, 7, 16) or back >= 0 or back % 16:
        raise PackageError("an rpm header whose immutable region has no end")
    return -back // 16, offset + 16


def _value(store: bytes, kind: int, offset: int, number: int) -> Any:
    if not 0 <= offset <= len(store):
        raise PackageError(f"an rpm header's value at {offset} of {len(store)}")
    if kind in _STRINGS:
        parts = store[offset:].split(b"\0", number)[:number] if number else []
        if len(parts) < number or offset + sum(map(len, parts)) + number > len(store):
            raise PackageError("an rpm header's text without an end")
        texts = [part.decode("utf-8", "surrogateescape") for part in parts]
        return texts if kind == 8 else (texts[0] if texts else "")
    if kind not in _SIZES or offset + _SIZES[kind] * number > len(store):
        raise PackageError(f"an rpm header's value of type {kind}, {number} times at {offset}")
    if kind not in _FORMATS:
        return store[offset : offset + number]
    return struct.unpack_from(f">{number}{_FORMATS[kind]}", store, offset)


def _signatures(store: bytes, kind: int, offset: int, number: int) -> Iterator[bytes]:
    value = _value(store, kind, offset, number)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, bytes):
            yield one
        elif isinstance(one, str):  # OPENPGP: base64
            try:
                yield base64.b64decode(one, validate=True)
            except ValueError:
                continue  # no signature: it proves nothing


def shipped_by_rpm(header: RpmHeader, path: bytes) -> Shipped | None:
    """Find what a header says of one path, if it ships it; a ``%ghost`` is only claimed, and not shipped.

    Raises:
        PackageError: If the lists of files are of different lengths.
    """
    values = header.values
    names, folders, numbers = values.get("names", []), values.get("folders", []), values.get("folder_numbers", ())
    folder, _, name = path.decode("utf-8", "surrogateescape").rpartition("/")
    for at, (one, number) in enumerate(zip(names, numbers, strict=False)):
        if one == name and number < len(folders) and folders[number] == folder + "/":
            return _shipped(values, path, at)
    return None


def _shipped(values: dict[str, Any], path: bytes, at: int) -> Shipped | None:
    def one(name: str) -> Any:
        found = values.get(name)
        if found is not None and at >= len(found):
            raise PackageError(f"an rpm header with too few {name}")
        return None if found is None else found[at]

    flags, mode = one("flags") or 0, one("modes")
    if mode is None or flags & _GHOST:
        return None
    kind = {stat.S_IFREG: FileType.FILE, stat.S_IFLNK: FileType.SYMLINK, stat.S_IFDIR: FileType.DIRECTORY}.get(stat.S_IFMT(mode))
    if kind is None:
        return None
    is_file = kind is FileType.FILE
    is_sha256 = tuple(values.get("digest_kind") or ()) == (_SHA256,)
    size = one("long_sizes") if "long_sizes" in values else one("sizes")
    return Shipped(
        path=path,
        type=kind,
        sha256=(one("digests") or None) if is_file and is_sha256 else None,
        target=(one("targets") or "").encode("utf-8", "surrogateescape") if kind is FileType.SYMLINK else None,
        mode=stat.S_IMODE(mode),
        # an rpm names its owners: only root's number is the same everywhere
        uid=0 if one("users") == "root" else None,
        gid=0 if one("groups") == "root" else None,
        size=size if is_file else None,
        mtime_s=one("mtimes"),
        xattrs=_xattrs(one("capabilities") or ""),
        is_config=bool(flags & _CONFIG),
    )


def _xattrs(capabilities: str) -> dict[str, bytes] | None:
    try:
        return {CAPABILITY: encode_capabilities(capabilities)} if capabilities.strip(" =") else {}
    except PackageError:
        return None  # words that are not known here: nothing is proved of them
