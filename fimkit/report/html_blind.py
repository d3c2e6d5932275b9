"""The times in which a source did not tell all, as the report shows them. Pure."""

from collections.abc import Iterable

from fimkit.model.changes import Note
from fimkit.model.coverage import Gap, gaps_of_notes
from fimkit.model.paths import render_path
from fimkit.report.html_data import Blind

__all__ = ["blind_of", "find_blind"]


def find_blind(notes: Iterable[Note], *, until_ns: int) -> tuple[Blind, ...]:
    """Find the gaps that the sources' own words are of.

    Args:
        notes: What the sources said, in any order.
        until_ns: Where a gap ends that nothing has ended; one that begins later is none.

    Returns:
        By time. Of records that were lost the note may say when they were last whole; else only when it was noticed.
    """
    return blind_of(gaps_of_notes(notes, until_ns=until_ns), until_ns=until_ns)


def blind_of(gaps: Iterable[Gap], *, until_ns: int) -> tuple[Blind, ...]:
    """Give gaps as the report shows them, by time; one that lasts ends where the report does, and says so."""
    shown = [Blind(from_ns=gap.from_ns, to_ns=gap.until(until_ns), why=_why(gap)) for gap in gaps]
    return tuple(sorted(shown, key=lambda one: (one.from_ns, one.to_ns, one.why)))


def _why(gap: Gap) -> str:
    where = "" if gap.path is None else f"{render_path(gap.path)}: "
    lasts = ", and nothing says that this is over" if gap.to_ns is None else ""
    counted = f" ({gap.lost:,} counted)" if gap.lost else ""
    return f"{where}{gap.words}{counted}{lasts}"
