"""Files that `install` is to write, as changes that can be shown, made, undone and taken back exactly."""

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fimkit.osquery.pack import MARK
from fimkit.verbs.installed import Installed, Memory, Part
from fimkit.verbs.whole_files import below_root, put_file, read_file

__all__ = ["FileChange", "Known", "PlannedFile", "plan_removals", "plan_writes", "render_changes"]

_MARK = MARK.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file of ours, or with ``line`` one line of ours in a file of others. ``path`` is as the host itself has it.

    ``keep_mode`` leaves the mode of a file that is there; otherwise ours is set again. ``stays``: once changed it is another's.
    """

    path: str
    part: Part
    content: bytes = b""
    line: bytes | None = None
    mode: int = 0o644
    folder_mode: int = 0o755
    keep_mode: bool = True
    stays: bool = False

    def after(self, now: bytes | None) -> bytes:
        """Give what the file will hold."""
        return self.content if self.line is None else _with_line(now, self.line)


class Known(NamedTuple):
    """Where a file, or a line, of ours is looked for when there is no memory of it."""

    path: str
    line: bytes | None = None


class FileChange(NamedTuple):
    """One file as it is and as it will be; ``None`` is no file. ``modes``: the mode that a file has, and the one it gets."""

    path: Path
    now: bytes | None
    after: bytes | None
    mode: int = 0o644
    folder_mode: int = 0o755
    modes: tuple[int, int] | None = None
    aside: bool = False

    @property
    def is_none(self) -> bool:
        """Whether nothing changes."""
        return self.now == self.after and self.modes is None

    @property
    def aside_path(self) -> Path:
        """Where a text that somebody changed is kept: neither augenrules nor osqueryd reads a file of that ending."""
        return self.path.with_name(self.path.name + ".changed")

    def make(self) -> None:
        """Make it so.

        Raises:
            HostError: If the host does not let it.
        """
        if self.aside:
            put_file(self.aside_path, self.now, self.mode)
        if self.now != self.after:
            put_file(self.path, self.after, self.mode)
        if self.modes is not None:
            self.path.chmod(self.modes[1])

    def undo(self) -> None:
        """Put it back."""
        if read_file(self.path) != self.now:
            put_file(self.path, self.now, self.mode)
        if self.modes is not None:
            self.path.chmod(self.modes[0])


def _has_line(content: bytes | None, line: bytes) -> bool:
    return content is not None and line in content.split(b"\n")


def _with_line(content: bytes | None, line: bytes) -> bytes:
    if content is None or _has_line(content, line):
        return content or line + b"\n"
    return content + (b"" if not content or content.endswith(b"\n") else b"\n") + line + b"\n"


def _without_line(content: bytes, line: bytes) -> bytes:
    return b"\n".join(one for one in content.split(b"\n") if one != line)


def plan_writes(
    planned: Iterable[PlannedFile], memory: Memory | None, root: str | None
) -> tuple[list[FileChange], list[Installed]]:
    """Compare what is to be there with what is.

    Args:
        planned: The files.
        memory: What an earlier install left.
        root: The folder below which the host's files are.

    Returns:
        A change for each, also where nothing changes; and what is to be remembered.
    """
    changes, rows = [], []
    for one in planned:
        path = below_root(root, one.path)
        now = read_file(path)
        known = memory.file_at(one.path) if memory else None
        mode = one.mode if now is None else path.stat().st_mode & 0o7777
        modes = None if one.keep_mode or mode == one.mode else (mode, one.mode)
        changes.append(FileChange(path, now, one.after(now), one.mode, one.folder_mode, modes))
        if one.line is not None and known is None and _has_line(now, one.line):
            continue  # another's line, which says the same
        ours = known is None and one.line is None and now is not None and _MARK in now
        before = known.before if known is not None else None if ours else now
        rows.append(
            Installed(path=one.path, part=one.part, before=before, written=one.after(now), line=one.line, stays=one.stays)
        )
    return changes, rows


def plan_removals(gone: Iterable[Installed], known: Iterable[Known], root: str | None) -> list[FileChange]:
    """Plan to take files away and to put back what was there before.

    Args:
        gone: What an install left, and is to go.
        known: Where else to look, for what no memory tells of.
        root: The folder below which the host's files are.
    """
    changes = []
    for one in gone:
        path = below_root(root, one.path)
        now = read_file(path)
        after = _before(one, now)
        aside = one.line is None and now not in (None, one.written, after)
        changes.append(FileChange(path, now, after, aside=aside))
    for place in known:
        path = below_root(root, place.path)
        now = read_file(path)
        if now is None:
            continue
        if place.line is not None and _has_line(now, place.line):
            changes.append(FileChange(path, now, _without_line(now, place.line) or None))
        elif place.line is None and _MARK in now:
            changes.append(FileChange(path, now, None))
    return changes


def _before(one: Installed, now: bytes | None) -> bytes | None:
    if one.line is None:
        return now if one.stays and now != one.written else one.before
    if now is None or now == _with_line(one.before, one.line):
        return None if now is None else one.before
    return _without_line(now, one.line) or (None if one.before is None else b"")


def _lines(content: bytes | None) -> list[str]:
    # Not splitlines(), which breaks lines where auditctl does not.
    *whole, rest = os.fsdecode(content or b"").split("\n")
    return [f"{line}\n" for line in whole] + ([f"{rest}\n\\ No newline at end of file\n"] if rest else [])


def render_changes(changes: Sequence[FileChange]) -> str:
    """Write changes as a unified diff, empty if nothing changes."""
    text = []
    for change in changes:
        names = ["/dev/null" if content is None else str(change.path) for content in (change.now, change.after)]
        if change.modes is not None:
            text.append(f"--- {change.path}\n+++ {change.path}\nmode {change.modes[0]:04o} becomes {change.modes[1]:04o}\n")
        text += difflib.unified_diff(_lines(change.now), _lines(change.after), names[0], names[1])
    return "".join(text)
