"""Where a host, or a tree copied off one, keeps its packages: the database, the signed lists, the archives."""

import os
from dataclasses import dataclass

__all__ = ["MERGED_FOLDERS", "PackageSources", "gather_package_sources"]

MERGED_FOLDERS = (b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/libo32", b"/libx32")
"""The folders that are symlinks into /usr on a merged system. Source: Debian's usrmerge, and rpm's filesystem package."""

_RPM_FOLDERS = (b"/usr/lib/sysimage/rpm", b"/var/lib/rpm", b"/usr/share/rpm")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSources:
    """The places, each ``None`` where it is not there. ``merged`` are those of :data:`MERGED_FOLDERS` that lead into /usr."""

    root: bytes = b"/"
    dpkg: bytes | None = None
    apt_lists: bytes | None = None
    apt_archives: bytes | None = None
    rpm: bytes | None = None
    merged: tuple[bytes, ...] = ()

    def place(self, path: bytes) -> bytes:
        """Give where a path of the host is on this one."""
        return self.root.rstrip(b"/") + path


def gather_package_sources(root: bytes = b"/") -> PackageSources:
    """Look where things are, below a root. Nothing is read yet; a host without packages has none of them."""
    base = root.rstrip(b"/")

    def folder(path: bytes, inside: bytes = b"") -> bytes | None:
        return base + path if os.path.exists(base + path + inside) else None

    return PackageSources(
        root=root,
        dpkg=folder(b"/var/lib/dpkg", b"/status"),
        apt_lists=folder(b"/var/lib/apt/lists"),
        apt_archives=folder(b"/var/cache/apt/archives"),
        rpm=next((found for path in _RPM_FOLDERS if (found := folder(path, b"/rpmdb.sqlite")) is not None), None)
        or next((found for path in _RPM_FOLDERS if (found := _other_rpm(base + path)) is not None), None),
        merged=tuple(path for path in MERGED_FOLDERS if _leads_into_usr(base, path)),
    )


def _other_rpm(folder: bytes) -> bytes | None:
    return folder if any(os.path.exists(folder + name) for name in (b"/Packages", b"/Packages.db")) else None


def _leads_into_usr(base: bytes, path: bytes) -> bool:
    try:
        return os.readlink(base + path).strip(b"/") == b"usr" + path
    except OSError:
        return False
