"""What must be so after every kill, whatever was killed and when; and the count of what the kills hit."""

import contextlib
import json
import os
import struct
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fimkit.evidence.connection import store_path
from fimkit.evidence.lock import lock_state
from fimkit.evidence.store import Store, open_store
from fimkit.model.chain import Head
from tests.faults.forked import Ran, Running

__all__ = ["Tally", "has_open_commit", "parse_findings", "settled", "wait_ready"]

_FRAME = struct.Struct(">6I")
# What a state folder holds between two runs. SQLite's own files beside a store stay after a kill, and go with the next closing.
_KEPT = {
    "fimkit.sqlite", "outbox.sqlite3", "lock", "watch.lock", "watch.json", "evidence-head.json", "evidence.key", "evidence.pub",
    "disk-full.json", "panic", "seal", "contents",
}  # fmt: skip
_SQLITES = {f"{name}{end}" for name in ("fimkit.sqlite", "outbox.sqlite3") for end in ("-wal", "-shm")}


class Tally:
    """Counts the kills of one verb by what they hit; ``head`` is the last one that was seen: nothing before it may be lost."""

    def __init__(self, verb: str, state: Path) -> None:
        self.verb, self.state = verb, state
        self.hits: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.head: Head | None = None

    def after(self, ran: Ran, *, outcomes: Iterable[int] = (0, 1)) -> None:
        """Look at what one run left, before anything else does."""
        assert ran.was_killed or ran.status in outcomes, (ran.status, ran.stderr)
        assert not ran.left, f"processes of a killed {self.verb} go on: {ran.left}"
        was_open = has_open_commit(self.state)
        names = {path.name for path in self.state.iterdir() if not path.name.startswith(".fimkit-")}  # which the next run clears
        assert names <= _KEPT | _SQLITES, sorted(names)
        head = settled(self.state, self.head)
        moved, self.head = head != self.head, head
        self.places[ran.at] += 1
        if not ran.was_killed:
            self.hits["over before"] += 1
        else:
            self.hits["in a commit" if was_open else "after a commit" if moved else "before any commit"] += 1

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self.hits.items()))
        places = ", ".join(f"{place} {count}" for place, count in self.places.most_common(8) if place)
        killed = sum(count for what, count in self.hits.items() if what in ("in a commit", "after a commit", "before any commit"))
        return f"{self.verb}: {killed} kills: {counts}; at calls: {places}"


def settled(state: Path, head: Head | None) -> Head | None:
    """Assert that a store opens, is whole, agrees with its chain and has all that it ever acknowledged; gives its head."""
    with lock_state(os.fsencode(state), verb="the test"):
        pass  # nobody holds it any more
    with open_store(os.fsencode(state)) as store:
        assert_whole(store, [head] if head else [])
        return store.head()


def assert_whole(store: Store, heads: list[Head]) -> None:
    assert store.verify() == []
    verdict = store.verify_chain(heads=heads)
    assert verdict.broken == (), verdict.broken


def has_open_commit(state: Path) -> bool:
    """Tell whether frames of a commit that never ended stand in the log. Source: sqlite.org/fileformat2.html#walformat."""
    try:
        log = Path(os.fsdecode(store_path(os.fsencode(state))) + "-wal").read_bytes()
    except FileNotFoundError:
        return False
    if len(log) < 32:
        return False
    page_bytes, salts = int.from_bytes(log[8:12], "big"), struct.unpack_from(">2I", log, 16)
    is_open = False
    for place in range(32, len(log) - 23, 24 + page_bytes):
        _, pages, *frame_salts, _, _ = _FRAME.unpack_from(log, place)
        if tuple(frame_salts) != salts:
            break
        is_open = not pages
    return is_open


def parse_findings(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Read the findings among printed lines."""
    return [row for row in map(json.loads, lines) if "path" in row]


def wait_ready(state: Path, running: Running) -> None:
    """Wait until a watch says that its first look is over, or it is dead."""
    began_ns, ready = time.time_ns(), False
    while not ready and not running.poll():
        time.sleep(0.01)
        with contextlib.suppress(OSError, ValueError):
            row = json.loads((state / "watch.json").read_text())
            ready = row["ready"] and row["written_ns"] > began_ns
