"""What `install` left on a host: files written whole or not at all, and the memory that `uninstall` goes by."""

import base64
import binascii
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fimkit.audit.rule_codec import Rule, decode_rule, encode_rule
from fimkit.model.errors import HostError, UsageError

__all__ = [
    "Memory",
    "below_root",
    "forget",
    "load_memory",
    "make_folders",
    "read_file",
    "remove_folders",
    "save_memory",
    "sync_folder",
    "write_whole",
]

_NAME = "install.json"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was put where. ``before`` is what the rule file held before the first install, ``None`` for no such file.

    ``folders`` were made for it, the outermost first; ``rules`` are the kernel rules that are ours.
    """

    before: bytes | None
    written: bytes
    folders: tuple[str, ...]
    rules: tuple[Rule, ...]


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
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                if path.exists():
                    old = path.stat()
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                    mode = old.st_mode & 0o7777
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.rename(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
        sync_folder(path.parent)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror}{_needs_root()}") from error


def sync_folder(folder: Path) -> None:
    """Make what was renamed or removed in a folder last through a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_memory(state_dir: Path) -> Memory | None:
    """Read what an earlier install remembered; ``None`` if there is nothing.

    Raises:
        HostError: If the memory is there and cannot be read.
    """
    raw = read_file(state_dir / _NAME)
    if raw is None:
        return None
    try:
        row = json.loads(raw)
        if row["version"] != _VERSION:
            raise HostError(f"{state_dir / _NAME} is of version {row['version']!r}, and this fimkit reads {_VERSION}")
        return Memory(
            before=None if row["before"] is None else base64.b64decode(row["before"], validate=True),
            written=base64.b64decode(row["written"], validate=True),
            folders=tuple(map(str, row["folders"])),
            rules=tuple(decode_rule(bytes.fromhex(rule)) for rule in row["rules"]),
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise HostError(
            f"{state_dir / _NAME} is damaged ({error}): remove it, and what carries fimkit's key counts as fimkit's"
        ) from error


def save_memory(state_dir: Path, memory: Memory) -> None:
    """Write the memory.

    Raises:
        HostError: If the host does not let it.
    """
    row = {
        "version": _VERSION,
        "before": None if memory.before is None else base64.b64encode(memory.before).decode(),
        "written": base64.b64encode(memory.written).decode(),
        "folders": list(memory.folders),
        "rules": [encode_rule(rule).hex() for rule in memory.rules],
    }
    write_whole(state_dir / _NAME, json.dumps(row, indent=1).encode() + b"\n", 0o600)


def forget(state_dir: Path) -> None:
    """Remove the memory."""
    (state_dir / _NAME).unlink(missing_ok=True)
