"""The times in which a source did not tell all, from what the sources said of themselves. Pure."""

import re
from collections.abc import Iterable, Iterator

from fimkit.model.changes import Note, NoteKind
from fimkit.model.time import parse_time
from fimkit.report.html_data import Blind

__all__ = ["find_blind"]

_BETWEEN = re.compile(r"between (\S+Z) and (\S+Z)")
_PAIRS = {
    NoteKind.AUDIT_DISABLED: (NoteKind.AUDIT_ENABLED, "auditing was switched off"),
    NoteKind.LOG_ENDED: (NoteKind.LOG_STARTED, "auditd was stopped: its log has nothing of this time"),
}
_ENDS = {end: begin for begin, (end, _) in _PAIRS.items()}


def find_blind(notes: Iterable[Note], *, until_ns: int) -> tuple[Blind, ...]:
    """Find the gaps.

    Args:
        notes: What the sources said, in any order.
        until_ns: Where a gap ends that nothing has ended; one that begins later is none.

    Returns:
        By time. Of records that were lost the note may say when they were last whole; else only when it was noticed.
    """
    return tuple(sorted(_gaps(sorted(notes, key=lambda note: note.time_ns), until_ns), key=lambda one: (one.from_ns, one.to_ns)))


def _gaps(notes: list[Note], until_ns: int) -> Iterator[Blind]:
    began: dict[NoteKind, int] = {}
    for note in notes:
        if note.kind is NoteKind.RECORDS_LOST:
            yield _lost(note)
        elif note.kind in _PAIRS:
            began.setdefault(note.kind, note.time_ns)
        elif note.kind in _ENDS and (from_ns := began.pop(_ENDS[note.kind], None)) is not None:
            yield Blind(from_ns=from_ns, to_ns=note.time_ns, why=_PAIRS[_ENDS[note.kind]][1])
    for kind, from_ns in began.items():
        if from_ns < until_ns:  # else it is the log's end, after which nothing is asked
            yield Blind(from_ns=from_ns, to_ns=until_ns, why=f"{_PAIRS[kind][1]}, and nothing says that this is over")


def _lost(note: Note) -> Blind:
    said = _BETWEEN.search(note.text)
    if said is not None:
        try:
            from_ns, to_ns = parse_time(said[1]), parse_time(said[2])
        except (ValueError, OverflowError):
            return Blind(from_ns=note.time_ns, to_ns=note.time_ns, why=note.text)
        if from_ns <= to_ns:
            words = (note.text[: said.start()] + note.text[said.end() :]).replace("  ", " ").replace(" :", ":").strip()
            return Blind(from_ns=from_ns, to_ns=to_ns, why=words)
    return Blind(from_ns=note.time_ns, to_ns=note.time_ns, why=note.text)
