"""What runs at the moment of a panic, from /proc: processes with the hash of what they execute, open files without a name."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fimkit.model.paths import render_path
from fimkit.panic.read import hash_descriptor

__all__ = ["list_deleted_files", "list_processes"]

_PROC = Path("/proc")
_NO_LOGIN = 0xFFFFFFFF
_EXE_BYTES = 256 << 20
_CMDLINE_BYTES = 8192
_DELETED = b" (deleted)"
_WANTED = {
    "Name": "comm", "PPid": "ppid", "Uid": "uids", "Gid": "gids", "CapEff": "cap_eff", "TracerPid": "tracer", "Seccomp": "seccomp",
}


def _pids() -> list[int]:
    return sorted(int(name) for name in os.listdir(_PROC) if name.isdigit())


def _read(path: Path, most: int = 65536) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(most)


def _link(path: Path) -> bytes | None:
    try:
        return os.readlink(os.fsencode(path))
    except OSError:  # a kernel thread has none; another user's may not be seen
        return None


def list_processes() -> Iterator[dict[str, Any]]:
    """Give every process; ``exe_sha256`` is of what it really executes, also where that was deleted or replaced since."""
    hashes: dict[tuple[int, int, int], str | None] = {}
    for pid in _pids():
        folder = _PROC / str(pid)
        row: dict[str, Any] = {"pid": pid}
        try:
            row |= _status(folder)
            row["cmdline"] = [render_path(word) for word in _read(folder / "cmdline", _CMDLINE_BYTES).rstrip(b"\0").split(b"\0")]
            row["started_ticks"] = int(_read(folder / "stat").rpartition(b")")[2].split()[19])
            auid = int(_read(folder / "loginuid"))
            row["auid"] = None if auid == _NO_LOGIN else auid
        except (OSError, ValueError, IndexError) as error:  # it went away, or this kernel tells less
            row["error"] = str(error)
        row |= _executable(folder, hashes)
        cwd = _link(folder / "cwd")
        row["cwd"] = None if cwd is None else render_path(cwd)
        yield row


def _status(folder: Path) -> dict[str, Any]:
    lines = (line.partition(b":\t") for line in _read(folder / "status").split(b"\n"))
    found = {_WANTED[key]: render_path(value) for name, _, value in lines if (key := name.decode("latin-1")) in _WANTED}
    for name in ("uids", "gids"):
        found[name] = found.get(name, "").replace("%09", " ")
    return found


def _executable(folder: Path, hashes: dict[tuple[int, int, int], str | None]) -> dict[str, Any]:
    link = _link(folder / "exe")
    if link is None:
        return {"exe": None}
    row: dict[str, Any] = {"exe": render_path(link.removesuffix(_DELETED)), "exe_deleted": link.endswith(_DELETED)}
    try:
        # Through /proc: the very inode that is executed, whatever its name leads to by now.
        descriptor = os.open(folder / "exe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            seen = os.fstat(descriptor)
            key = (seen.st_dev, seen.st_ino, seen.st_ctime_ns)
            if key not in hashes:
                hashes[key] = hash_descriptor(descriptor, most_bytes=_EXE_BYTES) if stat.S_ISREG(seen.st_mode) else None
            row |= {"exe_inode": seen.st_ino, "exe_sha256": hashes[key]}
        finally:
            os.close(descriptor)
    except OSError as error:
        row["exe_error"] = error.strerror
    return row


def list_deleted_files() -> Iterator[dict[str, Any]]:
    """Give every open regular file that has no name any more, with who has it open and its hash."""
    for pid in _pids():
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(_PROC / str(pid) / "fd")
        for name in names:
            path = _PROC / str(pid) / "fd" / name
            with suppress(OSError):
                seen = os.stat(path)
                if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 0:
                    yield _deleted(pid, name, path, seen)


def _deleted(pid: int, name: str, path: Path, seen: os.stat_result) -> dict[str, Any]:
    link = _link(path) or b""
    row: dict[str, Any] = {"pid": pid, "fd": int(name), "was": render_path(link.removesuffix(_DELETED))}
    row |= {"size": seen.st_size, "inode": seen.st_ino, "uid": seen.st_uid, "mtime_ns": seen.st_mtime_ns}
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            row["sha256"] = hash_descriptor(descriptor, most_bytes=_EXE_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        row["error"] = error.strerror
    return row
