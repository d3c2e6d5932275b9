"""Trees walked and their files opened, in a tree that somebody may rearrange meanwhile."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence

from fimkit.content.reader import OpenContent, Unread, kind_words, open_beneath, open_named

__all__ = ["open_trees"]


def open_trees(paths: Sequence[bytes], *, cross_mounts: bool = True) -> Iterator[OpenContent | Unread]:
    """Open every regular file at and below the paths.

    What is named may be a link, as whoever names it means; below it none is followed. Each file is to be closed by who takes it.

    Args:
        paths: Files and folders. A folder is entered once, whichever of them leads there.
        cross_mounts: Whether to go into file systems that are mounted below.

    Returns:
        Open files, and what is not read with its reason, as the walk comes to them.
    """
    been: set[tuple[int, int]] = set()
    for path in dict.fromkeys(os.path.abspath(path) for path in paths):
        try:
            seen = os.stat(path)
            if not stat.S_ISDIR(seen.st_mode):
                yield _open_given(path)
                continue
            tree = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            yield Unread(path, f"cannot be opened: {error.strerror}")
            continue
        try:
            yield from _open_tree(path, tree, been, cross_mounts=cross_mounts)
        finally:
            os.close(tree)


def _open_given(path: bytes) -> OpenContent | Unread:
    """A link that was named is followed once, here; what it leads to is opened as any other file."""
    real = os.path.realpath(path)
    above = os.open(os.path.dirname(real), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return open_named(above, os.path.basename(real), path)
    finally:
        os.close(above)


def _open_tree(root: bytes, tree: int, been: set[tuple[int, int]], *, cross_mounts: bool) -> Iterator[OpenContent | Unread]:
    home = os.fstat(tree).st_dev
    pending = [b""]
    while pending:
        below = pending.pop()
        path = os.path.join(root, below) if below else root
        try:
            # From the tree's own descriptor each time: wherever the walk is, no folder that became a link leads it out.
            folder = open_beneath(tree, below or b".", os.O_RDONLY)
        except OSError as error:
            yield Unread(path, _folder_words(error))
            continue
        try:
            seen = os.fstat(folder)
            if (seen.st_dev, seen.st_ino) in been:
                continue
            if seen.st_dev != home and not cross_mounts:
                yield Unread(path, "another file system is mounted there")
                continue
            been.add((seen.st_dev, seen.st_ino))
            folders: list[bytes] = []
            yield from _open_folder(folder, path, folders)
            pending += [os.path.join(below, name) if below else name for name in reversed(folders)]
        except OSError as error:
            yield Unread(path, f"its folder cannot be listed to its end: {error.strerror}")
        finally:
            os.close(folder)


def _open_folder(folder: int, path: bytes, folders: list[bytes]) -> Iterator[OpenContent | Unread]:
    start = path if path.endswith(b"/") else path + b"/"
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            try:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                    continue
                if not entry.is_file(follow_symlinks=False):
                    yield Unread(start + name, kind_words(entry.stat(follow_symlinks=False).st_mode))
                    continue
            except OSError as error:
                yield Unread(start + name, f"cannot be looked at: {error.strerror}")
                continue
            yield open_named(folder, name, start + name)


def _folder_words(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV):
        return "a folder that became something else meanwhile: not followed"
    if error.errno == errno.ENOENT:
        return "a folder that vanished meanwhile"
    return f"a folder that cannot be opened: {error.strerror}"
