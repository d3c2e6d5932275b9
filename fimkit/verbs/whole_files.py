"""Files of a host written whole or not at all, below ``--root`` too, and the folders made for them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fimkit.model.beside import make_beside, put_new
from fimkit.model.errors import HostError, UsageError
from fimkit.model.paths import render_path

__all__ = [
    "below_root",
    "make_folders",
    "open_beside",
    "put_file",
    "read_file",
    "remove_folders",
    "sync_folder",
    "write_whole",
]


def below_root(root: str | None, path: str | bytes) -> Path:
    """Find a path of the installed host below ``root``, and see that no link leads out of there.

    Raises:
        UsageError: If ``root`` is no folder, or a link leads out of it.
    """
    text = os.fsdecode(path)
    if root is None:
        return Path(text)
    base = Path(root).absolute()
    if not base.is_dir():
        raise UsageError(f"--root {root}: no such folder")
    found = base / text.lstrip("/")
    if not found.resolve().is_relative_to(base.resolve()):
        raise UsageError(f"--root {root}: a symbolic link leads {text} out of it")
    return found


def _needs_root() -> str:
    return "; this needs root" if os.geteuid() != 0 else ""


def read_file(path: Path) -> bytes | None:
    """Read a file; ``None`` if there is none.

    Raises:
        HostError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}{_needs_root()}") from error


def make_folders(folder: Path, mode: int) -> list[str]:
    """Make a folder and those above it; give those that were made, the outermost first.

    Raises:
        HostError: If the host does not let it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        for one in reversed(missing):
            one.mkdir(mode=mode)
    except OSError as error:
        raise HostError(f"the folder {folder} cannot be made: {error.strerror}{_needs_root()}") from error
    return [os.fspath(one) for one in reversed(missing)]


def remove_folders(folders: Sequence[str]) -> list[str]:
    """Remove what :func:`make_folders` made, where it is empty; give what stays."""
    kept = []
    for folder in sorted(folders, key=len, reverse=True):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            kept.append(folder)
    return kept


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one; owner and mode of an old one stay.

    Args:
        path: Where.
        content: What.
        mode: For a new file.

    Raises:
        HostError: If the host does not let it.
    """
    try:
        number, beside = make_beside(os.fspath(path))
        with os.fdopen(number, "wb") as file:
            try:
                if path.exists():
                    old = path.stat()
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                    mode = old.st_mode & 0o7777
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.rename(beside, path)
            except BaseException:
                os.unlink(beside)
                raise
        sync_folder(path.parent)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror}{_needs_root()}") from error


@contextmanager
def open_beside(path: Path, *, over: bool = True) -> Iterator[IO[bytes]]:
    """Write beside a place, private, and put it there at the end: nobody ever reads half of it.

    Args:
        path: Where it is to be; what fails leaves it as it was, and nothing beside it.
        over: In the place of what is there; else what is there by then is kept.

    Raises:
        UsageError: If something is there that is to be kept.
        HostError: If the host does not let it.
    """
    name = render_path(os.fsencode(path))
    beside = None
    try:
        number, beside = make_beside(os.fspath(path))
        with os.fdopen(number, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if over:
                os.replace(beside, path)
            else:
                put_new(beside, os.fspath(path))
    except BaseException as error:
        if beside is not None:
            with suppress(OSError):
                os.unlink(beside)
        if isinstance(error, FileExistsError) and not over:
            raise UsageError(f"{name} is there already, and is not overwritten") from error
        if isinstance(error, OSError) and not isinstance(error, HostError):
            raise HostError(f"cannot write {name}: {error.strerror}") from error
        raise


def sync_folder(folder: Path) -> None:
    """Make what was renamed or removed in a folder last through a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_file(path: Path, content: bytes | None, mode: int) -> None:
    """Make a file hold ``content``; ``None`` is no file.

    Raises:
        HostError: If the host does not let it.
    """
    if content is not None:
        write_whole(path, content, mode)
        return
    try:
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise HostError(f"{path} cannot be removed: {error.strerror}{_needs_root()}") from error
