"""Who can write the configuration: its commands run with the rights of whoever runs fimkit, so it must be theirs alone."""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fimkit.model.paths import render_path

__all__ = ["find_writers", "trusted_owners"]

_MOST_LINKS = 40  # as many as the kernel follows
_ROOT = 0
_GROUP_WRITES, _OTHERS_WRITE = stat.S_IWGRP, stat.S_IWOTH


def trusted_owners(proc: Path = Path("/proc/self"), environment: Mapping[str, str] = os.environ) -> frozenset[int]:
    """Give the user ids whose configuration root may follow: its own, and that of who is root by sudo just now.

    In a user namespace that has not every user, the host's root is one of those that it shows as the overflow id.

    Source: user_namespaces(7); sudo(8): SUDO_UID, which root alone can set for root.
    """
    try:
        has_all = (proc / "uid_map").read_text().split() == ["0", "0", "4294967295"]
        overflow = _ROOT if has_all else int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        overflow = _ROOT
    caller = environment.get("SUDO_UID", "")
    return frozenset({_ROOT, overflow, *([int(caller)] if caller.isascii() and caller.isdecimal() else [])})


def find_writers(path: str | os.PathLike[str], *, owners: Collection[int]) -> list[str]:
    """Say by which way others than ``owners`` could change what is in a file, or put another in its place.

    The file, each link on the way to it, and every folder above them must be an owner's, and may be written by no other user or
    group. In a folder with the sticky bit, as /tmp, nobody else can replace what is an owner's. A group of an
    owner's number is the owner's alone, as root's is.

    Args:
        path: The file. What is not there says nothing.
        owners: User ids that are trusted with it.

    Returns:
        Words on each fault, with the remedy; empty where there is none.
    """
    faults: dict[str, None] = {}
    here = os.path.abspath(os.fsencode(path))
    for _ in range(_MOST_LINKS):
        faults |= dict.fromkeys(_folders_words(os.path.dirname(here), owners))
        try:
            seen = os.lstat(here)
        except OSError:
            break
        if not stat.S_ISLNK(seen.st_mode):
            faults |= dict.fromkeys(_words(here, seen, owners))
            break
        faults |= dict.fromkeys(_link_words(here, seen, owners))
        here = os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(here)), os.readlink(here)))
    return list(faults)


def _folders_words(folder: bytes, owners: Collection[int]) -> Iterator[str]:
    """Judge a folder and all above it, by the name that was given and by the real one."""
    for place in dict.fromkeys((folder, os.path.realpath(folder))):
        for above in (Path(os.fsdecode(place)), *Path(os.fsdecode(place)).parents):
            try:
                named, seen = os.lstat(above), os.stat(above)
            except OSError:
                continue
            yield from _link_words(os.fsencode(above), named, owners)
            if seen.st_uid not in owners or not seen.st_mode & stat.S_ISVTX:
                yield from _words(os.fsencode(above), seen, owners)


def _link_words(path: bytes, named: os.stat_result, owners: Collection[int]) -> Iterator[str]:
    if stat.S_ISLNK(named.st_mode) and named.st_uid not in owners:
        yield f"{render_path(path)} is a link of uid {named.st_uid}'s, who can lead it elsewhere: put what it leads to in its place"


def _words(path: bytes, seen: os.stat_result, owners: Collection[int]) -> Iterator[str]:
    shown, mode = render_path(path), stat.S_IMODE(seen.st_mode)
    kind = "folder" if stat.S_ISDIR(seen.st_mode) else "file"
    if seen.st_uid not in owners:
        yield f"{shown} belongs to uid {seen.st_uid}, who can change this {kind}: chown root {shown}"
    if mode & _OTHERS_WRITE or (mode & _GROUP_WRITES and seen.st_gid not in owners):
        who = "every user" if mode & _OTHERS_WRITE else f"the group {seen.st_gid}"
        yield f"{shown} can be written by {who} (mode {mode:04o}): chmod go-w {shown}"
