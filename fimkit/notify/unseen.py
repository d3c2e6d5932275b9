"""What a mail says of what could not be seen: the gaps of the last day, for those who hear of the whole host."""

import contextlib

from fimkit.evidence.reader import open_reader
from fimkit.model.coverage import gaps_of_notes, render_gap, select_gaps, weighty
from fimkit.model.errors import FimkitError

__all__ = ["unseen_lines"]

_DAY_NS = 86_400 * 1_000_000_000
_MOST = 5
_DEADLINE_S = 2.0


def unseen_lines(state_dir: bytes, *, now_ns: int) -> tuple[str, ...]:
    """Give the lines; none where all was seen, or where the store cannot be read, which is said elsewhere."""
    with contextlib.suppress(FimkitError), open_reader(state_dir, deadline_s=_DEADLINE_S) as reader:
        stored = reader.gaps()
        settled = {(gap.source, gap.cause, gap.from_ns) for gap in stored}
        said = gaps_of_notes(reader.notes(), until_ns=now_ns, told=stored)
        every = [*stored, *(gap for gap in said if (gap.source, gap.cause, gap.from_ns) not in settled)]
        gaps = weighty(select_gaps(every, since_ns=now_ns - _DAY_NS, until_ns=now_ns))
        if gaps:
            more = [f"and {len(gaps) - _MOST} more gaps"] if len(gaps) > _MOST else []
            head = "not all was seen in the last 24 hours; fimkit coverage on the host says more:"
            return (head, *map(render_gap, gaps[-_MOST:]), *more)
    return ()
