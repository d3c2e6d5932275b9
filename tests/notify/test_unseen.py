"""What a general mail says beside its findings of what could not be seen."""

import time
from pathlib import Path

from fimkit.evidence.store import open_store
from fimkit.model.coverage import STOPPED, Cause, Gap, Sense
from fimkit.notify.unseen import unseen_lines

S = 1_000_000_000


def gap(from_ns: int, cause: Cause = Cause.LOST, words: str = "the kernel dropped records") -> Gap:
    sense = Sense.LIVE if cause is Cause.WATCH_DOWN else Sense.AUDIT
    return Gap(from_ns=from_ns, to_ns=from_ns + S, source=sense, cause=cause, words=words)


def test_gaps_of_the_last_day_are_told_and_older_ones_and_meant_ones_are_not(tmp_path: Path) -> None:
    state, now_ns = bytes(tmp_path / "state"), time.time_ns()
    with open_store(state, create=True) as store:
        assert unseen_lines(state, now_ns=now_ns) == ()
        store.add_gaps([gap(now_ns - 3 * 86_400 * S, words="long ago"), gap(now_ns - 60 * S, Cause.WATCH_DOWN, STOPPED)])
        assert unseen_lines(state, now_ns=now_ns) == ()
        store.add_gaps([gap(now_ns - 50 * S), *(gap(now_ns - number * S, words=f"gap {number}") for number in range(9, 2, -1))])
    lines = unseen_lines(state, now_ns=now_ns)
    assert lines[0].startswith("not all was seen in the last 24 hours")
    assert len(lines) == 7 and lines[-1] == "and 3 more gaps"
    assert "gap 3" in lines[-2]


def test_no_store_is_no_line(tmp_path: Path) -> None:
    assert unseen_lines(bytes(tmp_path), now_ns=1) == ()
