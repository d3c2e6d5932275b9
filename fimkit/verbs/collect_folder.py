"""The folder that a collection is made in, beside the place that it will have; and what a killed run has left of one.

It is ``.NAME.`` and eight characters more, and who works in it holds a lock on the folder itself, which ends with its process: a
folder without its holder is what a dead run left.
"""

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fimkit.model.paths import render_path
from fimkit.verbs.collected import is_collected_name

__all__ = ["clear_left_folders", "working_folder"]

_LEFT = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def working_folder(output: Path) -> Iterator[Path]:
    """Make the folder, mode 0700 and held; take it away afterwards, unless it has another name then.

    Raises:
        OSError: If it cannot be made.
    """
    folder, held = _make(output)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _make(output: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        held = os.open(folder, _OPEN)
        fcntl.flock(held, fcntl.LOCK_EX)
        if _is_there(folder, held):
            return folder, held
        os.close(held)  # another run took it for a dead one's, before it was held


def _is_there(folder: Path, opened: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.lstat(folder), os.fstat(opened))
    return False


def clear_left_folders(output: Path) -> list[str]:
    """Take away what dead runs have left beside an output: this user's folders, held by nobody, with a collection's files alone.

    An empty one is taken away only under this output's own name. What cannot be taken away stays.

    Returns:
        Words on what was taken away.
    """
    words = []
    try:
        names = sorted(os.listdir(output.parent))
    except OSError:
        return []
    for name in names:
        match = _LEFT.fullmatch(name)
        if match and _clear(output.parent / name, match[1], may_be_empty=match[1] == output.name):
            words.append(f"{render_path(os.fsencode(output.parent / name))}, which a run that was killed had left, was taken away")
    return words


def _clear(folder: Path, output_name: str, *, may_be_empty: bool) -> bool:
    with contextlib.suppress(OSError):
        opened = os.open(folder, _OPEN)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_left(opened, output_name, may_be_empty=may_be_empty):
                return False
            for name in os.listdir(opened):
                os.unlink(name, dir_fd=opened)
            if _is_there(folder, opened):
                folder.rmdir()
                return True
        finally:
            os.close(opened)
    return False


def _is_left(opened: int, output_name: str, *, may_be_empty: bool) -> bool:
    """Tell whether an open folder is a collection that was being made: by its owner, its mode, and everything in it."""
    seen, names = os.fstat(opened), os.listdir(opened)
    if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) != 0o700 or not (names or may_be_empty):
        return False
    files = [os.stat(name, dir_fd=opened, follow_symlinks=False) for name in names]
    known = all(name == output_name or is_collected_name(name) for name in names)
    return known and all(stat.S_ISREG(file.st_mode) and file.st_uid == seen.st_uid for file in files)
