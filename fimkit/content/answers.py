"""What a process that read hostile files says of them, checked: it may not be itself any more. Pure."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fimkit.content.confine import Confinement
from fimkit.content.hit import SEVERITIES, ContentHit
from fimkit.model.errors import HostError, clip
from fimkit.model.paths import render_terminal

__all__ = ["PACKET_BYTES", "BadAnswerError", "Scanned", "parse_answer", "parse_answers", "parse_hello", "parse_packet"]

PACKET_BYTES = 128 << 10
"""What one packet may have, either way."""


class Scanned(NamedTuple):
    """What came of one file.

    Attributes:
        path: The file.
        hits: What was found, the worst first.
        problem: Why it was not read, or not searched to the end; ``None`` if it was.
        notes: What else a reader should know: that it is large and was read in part, that it changed meanwhile, its other names.
        size_bytes: Its size when it was opened; 0 where it was not.
        read_bytes: What of it was read.
    """

    path: bytes
    hits: tuple[ContentHit, ...] = ()
    problem: str | None = None
    notes: tuple[str, ...] = ()
    size_bytes: int = 0
    read_bytes: int = 0


class BadAnswerError(Exception):
    """A worker said what no worker says."""


def parse_hello(said: dict[str, Any]) -> Confinement:
    """Read a worker's first packet.

    Raises:
        HostError: If it could not be confined as it must be, and reads nothing.
        BadAnswerError: If it is none.
    """
    if "refused" in said:
        raise HostError(f"the process that reads refuses to: {_safe(said['refused'])}")
    try:
        return Confinement(
            user=_safe(said["user"]), filtered=bool(said["filtered"]), no_network=bool(said["no_network"]),
            lacks=tuple(map(_safe, said["lacks"])),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswerError(f"{type(error).__name__} in its first words") from error


def parse_packet(packet: bytes) -> dict[str, Any]:
    """Read a packet.

    Raises:
        BadAnswerError: If it is too long or no JSON object.
    """
    try:
        said = json.loads(packet) if len(packet) <= PACKET_BYTES else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise BadAnswerError(f"it said {clip(packet, 60)}")
    return said


def parse_answers(said: dict[str, Any], files: Sequence[tuple[bytes, int]]) -> tuple[Iterator[Scanned], float]:
    """Read what was said of some files.

    Args:
        said: From :func:`parse_packet`.
        files: Path and size of those that the process has: it answers in the order in which they were given.

    Returns:
        What came of the first of them, one after the other, and the processor time that the process has used by now.

    Raises:
        BadAnswerError: If a worker of this version would not have said that; of one of the files, when its turn comes.
    """
    try:
        rows, cpu_s = said["files"], float(said["cpu"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadAnswerError(f"{type(error).__name__} in its answer") from error
    if not isinstance(rows, list) or not 0 < len(rows) <= len(files):
        raise BadAnswerError(f"it answered {clip(rows, 60)}, asked of {len(files)} files")
    return (parse_answer(row, *file) for row, file in zip(rows, files, strict=False)), cpu_s


def parse_answer(said: object, path: bytes, size_bytes: int) -> Scanned:
    """Read what was said of one file.

    Args:
        said: How many bytes were read, where there is nothing else to say of it; else an object.
        path: The file that it must be about.
        size_bytes: Its size when it was opened.

    Raises:
        BadAnswerError: If a worker of this version would not have said that.
    """
    if type(said) is int:
        return Scanned(path, size_bytes=size_bytes, read_bytes=said)
    if not isinstance(said, dict):
        raise BadAnswerError(f"it said {clip(said, 60)} of a file")
    try:
        read, more = int(said.get("read", 0)), int(said.get("more", 0))
        hits = tuple(_parse_hit(path, row) for row in said.get("hits", ()))
        problem = said.get("problem")
        problem = None if problem is None else _safe(problem)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadAnswerError(f"{type(error).__name__} in its answer") from error
    notes = []
    if said.get("gap"):
        notes.append(f"large: of {size_bytes} bytes the first and the last {read // 2} were read")
    if more:
        notes.append(f"{more} more hits are not shown")
    order = sorted(hits, key=lambda hit: (-SEVERITIES.index(hit.severity), hit.offset))
    return Scanned(path, tuple(order), problem, tuple(notes), size_bytes, read)


def _safe(text: object) -> str:
    if not isinstance(text, str) or len(text) > 4 * PACKET_BYTES:
        raise ValueError
    return render_terminal(text.encode("utf-8", "backslashreplace").decode())


def _parse_hit(path: bytes, row: Any) -> ContentHit:
    rule, severity, description, attack, line, offset, text, kind = row
    if severity not in SEVERITIES or kind not in ("keyword", "yara"):
        raise ValueError
    return ContentHit(path, _safe(rule), severity, _safe(description), _safe(attack), int(line), int(offset), _safe(text), kind)
