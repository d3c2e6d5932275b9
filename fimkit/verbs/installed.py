"""The memory of `install`: files written and what they held before, folders made, kernel rules that are its own."""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from fimkit.audit.rule_codec import Rule, decode_rule, encode_rule
from fimkit.model.errors import HostError
from fimkit.verbs.whole_files import read_file, write_whole

__all__ = ["Installed", "Memory", "Part", "forget", "load_memory", "save_memory"]

_NAME = "install.json"
_VERSION = 2


class Part(StrEnum):
    """What an installed file is part of."""

    AUDIT = "audit"
    OSQUERY = "osquery"
    EXTENSION = "extension"
    HOOK = "hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One file that was written. ``path`` is as the host itself has it, without ``--root``.

    ``before`` is what it held before the first install, ``None`` for no such file; ``written`` what the last one left. ``line`` is
    ours in a file of others. ``stays``: once somebody else has changed it, it is theirs.
    """

    path: str
    part: Part
    before: bytes | None
    written: bytes
    line: bytes | None = None
    stays: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was put where. ``folders`` were made for it; ``rules`` are the kernel rules that are ours."""

    files: tuple[Installed, ...] = ()
    folders: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def file_at(self, path: str) -> Installed | None:
        """Find what was written there."""
        return next((one for one in self.files if one.path == path), None)


def _encode(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode("ascii")


def _decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _render_file(one: Installed) -> dict[str, Any]:
    row = {"path": one.path, "part": one.part.value, "before": _encode(one.before), "written": _encode(one.written)}
    return {**row, "line": _encode(one.line), "stays": one.stays}


def _parse_file(row: dict[str, Any]) -> Installed:
    return Installed(
        path=str(row["path"]),
        part=Part(row["part"]),
        before=_decode(row["before"]),
        written=base64.b64decode(row["written"], validate=True),
        line=_decode(row["line"]),
        stays=bool(row["stays"]),
    )


def _parse_files(row: dict[str, Any], rules_file: str) -> tuple[Installed, ...]:
    if row["version"] == 1:  # knew one file
        return (_parse_file({**row, "path": rules_file, "part": Part.AUDIT, "line": None, "stays": False}),)
    return tuple(map(_parse_file, row["files"]))


def load_memory(state_dir: Path, *, rules_file: str) -> Memory | None:
    """Read what an earlier install remembered; ``None`` if there is nothing.

    Args:
        state_dir: Where it is.
        rules_file: The audit rule file, which the first version of the memory does not name.

    Raises:
        HostError: If the memory is there and cannot be read.
    """
    raw = read_file(state_dir / _NAME)
    if raw is None:
        return None
    try:
        row = json.loads(raw)
        if row["version"] not in (1, _VERSION):
            raise HostError(f"{state_dir / _NAME} is of version {row['version']!r}, and this fimkit reads up to {_VERSION}")
        return Memory(
            files=_parse_files(row, rules_file),
            folders=tuple(map(str, row["folders"])),
            rules=tuple(decode_rule(bytes.fromhex(rule)) for rule in row["rules"]),
        )
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        words = "remove it, and what carries fimkit's key or first line counts as fimkit's"
        raise HostError(f"{state_dir / _NAME} is damaged ({error}): {words}") from error


def save_memory(state_dir: Path, memory: Memory) -> None:
    """Write the memory.

    Raises:
        HostError: If the host does not let it.
    """
    row = {
        "version": _VERSION,
        "files": [_render_file(one) for one in memory.files],
        "folders": list(memory.folders),
        "rules": [encode_rule(rule).hex() for rule in memory.rules],
    }
    write_whole(state_dir / _NAME, json.dumps(row, indent=1).encode() + b"\n", 0o600)


def forget(state_dir: Path) -> None:
    """Remove the memory."""
    (state_dir / _NAME).unlink(missing_ok=True)
