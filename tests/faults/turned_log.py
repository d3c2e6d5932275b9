"""A log that is written, turned, packed, cut, replaced and taken away, by seed; it knows what became of each line."""

import bz2
import gzip
import os
import random
from collections.abc import Callable
from pathlib import Path

__all__ = ["GENTLE", "ROUGH", "TurnedLog"]

GENTLE = ("write", "write", "burst", "half", "turn", "turn_late", "pack", "pack_slowly", "copytruncate", "recreate_same", "pause")
"""What daemons and logrotate do: no line is lost by it, and none may be read twice."""
ROUGH = (*GENTLE, "truncate", "cut", "delete", "replace", "drop_oldest", "vanish", "special", "special")
"""What others do: lines are lost, and it must be said."""


class TurnedLog:
    """One log with its rotations. ``written`` counts the lines that were ended; line n says so.

    ``line_of`` makes a line's text; a line ends with a newline. ``hurt`` are the things that were done by which lines may be lost.
    ``traceless`` are the lines of which nothing is left that could tell of them: what was cut from the end before it was read, and
    what went with a file that was never read, as far as ``is_read`` knows.
    """

    def __init__(self, path: Path, chance: random.Random, line_of: Callable[[int], bytes]) -> None:
        self.path, self.chance, self.line_of = path, chance, line_of
        self.written = 0
        self.hurt: list[str] = []
        self.traceless: set[bytes] = set()
        self.is_read: Callable[[bytes], bool] = lambda text: False
        self._open = b""  # the rest of a line that is half written
        self._aside: Path | None = None  # where the log is while something else has its name
        self._writer: Path | None = None  # a daemon that was not told yet writes on into the file that was turned
        path.touch()

    def do(self, action: str) -> None:
        """Do one thing; what cannot be done now is left out."""
        if self._aside is not None and action not in ("write", "burst", "half", "pause"):
            self._put_back()
        getattr(self, "_" + action)()

    def settle(self) -> None:
        """End what was begun: the last line, what stands in the log's place, and the daemon that was not told."""
        self._put_back()
        self._write()
        self._writer = None
        self._write()

    # What is written.

    def _append(self, text: bytes) -> None:
        path = self._aside or self._writer or self.path
        with path.open("ab") as file:
            file.write(text)

    def _write(self, count: int = 3) -> None:
        text = self._open
        self.written += bool(text)
        self._open = b""
        for _ in range(count):
            self.written += 1
            text += self.line_of(self.written)
        self._append(text)

    def _burst(self) -> None:
        self._write(self.chance.choice((50, 700, 2000)))

    def _half(self) -> None:
        if not self._open:
            line = self.line_of(self.written + 1)
            at = self.chance.randrange(1, len(line))
            self._append(line[:at])
            self._open = line[at:]

    def _pause(self) -> None:
        pass

    # What turns it.

    def _numbered(self) -> list[Path]:
        """Give the rotations, the newest first."""
        found = self.path.parent.glob(self.path.name + ".[0-9]*")
        return sorted(found, key=lambda path: int(path.name.removeprefix(self.path.name + ".").partition(".")[0]))

    def _shift(self) -> None:
        for path in reversed(self._numbered()):
            number, dot, packed = path.name.removeprefix(self.path.name + ".").partition(".")
            new = path.with_name(f"{self.path.name}.{int(number) + 1}{dot}{packed}")
            path.rename(new)
            if path == self._writer:
                self._writer = new

    def _end_half(self) -> None:
        if self._open:
            self._write(0)

    def _turn(self) -> None:
        """As auditd does: between two lines; the daemon goes on in the new file."""
        self._end_half()
        self._writer = None
        self._shift()
        self.path.rename(self.path.with_name(self.path.name + ".1"))
        self.path.touch()

    def _turn_late(self) -> None:
        """As logrotate does before the daemon is told: it writes on into the old file, its half line too."""
        if self._writer is not None:
            self._end_half()
        self._writer = None
        self._shift()
        old = self.path.with_name(self.path.name + ".1")
        self.path.rename(old)
        self.path.touch()
        self._writer = old

    def _pack(self) -> None:
        for path in self._numbered():
            if not path.suffix[1:].isdigit() or path == self._writer:
                continue
            suffix, pack = self.chance.choice(((".gz", gzip.compress), (".bz2", bz2.compress)))
            if path.with_name(path.name + ".gz").exists():  # begun, and not ended
                suffix, pack = ".gz", gzip.compress
            path.with_name(path.name + suffix).write_bytes(pack(path.read_bytes()))
            path.unlink()
            return

    def _pack_slowly(self) -> None:
        """Leave a packed file that is not whole beside the plain one; the next packing ends it."""
        plain = [path for path in self._numbered() if path.suffix[1:].isdigit() and path != self._writer]
        if plain:
            whole = gzip.compress(plain[0].read_bytes())
            plain[0].with_name(plain[0].name + ".gz").write_bytes(whole[: self.chance.randrange(len(whole))])

    def _copytruncate(self) -> None:
        self._end_half()
        self._writer = None
        self._shift()
        self.path.with_name(self.path.name + ".1").write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)

    def _recreate_same(self) -> None:
        """Another file with the same text and name, as an editor leaves it."""
        other = self.path.with_name("other.tmp")
        other.write_bytes(self.path.read_bytes())
        other.rename(self.path)

    # What loses lines.

    def _lose(self, how: str) -> None:
        self.hurt.append(how)
        self._end_half()
        text = self.path.read_bytes()
        if not self.is_read(text):
            self.traceless.update(text.splitlines(keepends=True))

    def _truncate(self) -> None:
        self._lose("truncate")
        os.truncate(self.path, 0)

    def _cut(self) -> None:
        self.hurt.append("cut")
        self._end_half()
        text = self.path.read_bytes()
        left = text[: text.rfind(b"\n", 0, len(text) // 2) + 1]
        self.traceless.update(text[len(left) :].splitlines(keepends=True))
        os.truncate(self.path, len(left))

    def _delete(self) -> None:
        self._lose("delete")
        self.path.unlink()
        self.path.touch()

    def _replace(self) -> None:
        self._lose("replace")
        other = self.path.with_name("other.tmp")
        other.write_bytes(b"")
        other.rename(self.path)

    def _drop_oldest(self) -> None:
        if len(numbered := self._numbered()) > 1 and numbered[-1] != self._writer:
            self.hurt.append("drop_oldest")
            numbered[-1].unlink()

    def _vanish(self) -> None:
        if numbered := self._numbered():
            gone = self.chance.choice(numbered)
            if gone != self._writer:
                self.hurt.append("vanish")
                gone.unlink()

    def _special(self) -> None:
        """Put a thing in the log's place that is none: it must hold nobody up. The daemon writes on into its file."""
        self._end_half()
        self._aside = self.path.with_name("aside.tmp")
        self.path.rename(self._aside)
        match self.chance.randrange(5):
            case 0:
                os.mkfifo(self.path)
            case 1:
                self.path.symlink_to("/dev/zero")
            case 2:
                self.path.symlink_to(self.path.name)
            case 3:
                self.path.mkdir()
            case 4:
                self.path.symlink_to("/dev/full")

    def _put_back(self) -> None:
        if self._aside is None:
            return
        if self.path.is_dir() and not self.path.is_symlink():
            self.path.rmdir()
        else:
            self.path.unlink(missing_ok=True)
        self._aside.rename(self.path)
        self._aside = None
