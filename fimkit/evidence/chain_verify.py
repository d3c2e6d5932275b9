"""Holds a store against its evidence chain: each link against the one before, and each row against its subject's last link.

Who can write the file can write a new chain, too: so heads that were sent elsewhere are held against it. Without one, what shows is
every change that was made past fimkit: a row altered, deleted, put in or swapped, a link altered, the end cut off.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from fimkit.evidence.chain_dropped import load_dropped
from fimkit.evidence.chain_rows import has_chain, last_head
from fimkit.evidence.chain_subjects import ALTERED, BEGIN, CHECKPOINT, LOTS, SINGLES, STRANGER, read_lot, read_single, split_tags
from fimkit.evidence.schema_strangers import find_strangers
from fimkit.model.chain import NO_LINK, Head, next_link, render_head
from fimkit.model.errors import clip
from fimkit.model.paths import render_path
from fimkit.model.time import render_time

__all__ = ["Broken", "ChainVerdict", "verify_chain"]

_MOST = 100
_CHANGE_TIME, _CHANGE_PATH = 0, 6
_KINDS = {"gap": "gap of the coverage ledger, row"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One thing that is not as the chain has it. ``seq`` is the link, ``time_ns`` its time; ``words`` say what is wrong with what.

    ``key`` names the case, whenever it is found again: what is in no link is told of at the chain's end, which moves.

    ``is_end`` is said of an end that is missing: an older copy of the store looks the same, and nobody need have altered anything.
    """

    seq: int
    words: str
    key: str
    is_end: bool = False
    time_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """What verifying came to: ``broken`` by the number of the link, at most a hundred; ``first`` to ``head`` is the chain.

    ``links`` and ``rows`` are how many were looked at; ``notes`` what could not be told.
    """

    head: Head | None
    first: int
    links: int
    rows: int
    broken: tuple[Broken, ...]
    notes: tuple[str, ...] = ()

    @property
    def unsure(self) -> tuple[int, int] | None:
        """The first and last link that no longer prove what was before them, where any is broken."""
        if not self.broken or self.head is None or self.broken[0].seq >= self.head.seq:
            return None
        return self.broken[0].seq + 1, self.head.seq


def verify_chain(connection: sqlite3.Connection, *, after: Head | None = None, heads: Sequence[Head] = ()) -> ChainVerdict:
    """Verify a store, in the caller's transaction; nothing is written.

    Args:
        connection: The store.
        after: What was verified before: only what was stored later is looked at, and that this link is there still.
        heads: Heads that were seen elsewhere.
    """
    if not has_chain(connection):
        words = "the store has no evidence chain yet: the next check begins one"
        seen = ((head.seq, f"head {render_head(head)} was seen, and the store has no chain") for head in heads)
        gone = [Broken(seq=seq, words=text, key=f"{seq}: {text}", is_end=True) for seq, text in seen]
        return ChainVerdict(head=None, first=0, links=0, rows=0, broken=tuple(gone), notes=(words,))
    text_factory = connection.text_factory
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")  # what is no text is another text, and no error
    try:
        return _Verifier(connection, after).verify(heads)
    finally:
        connection.text_factory = text_factory


class _Verifier:
    def __init__(self, connection: sqlite3.Connection, after: Head | None) -> None:
        self._connection = connection
        self._dropped = load_dropped(connection)
        row = connection.execute("SELECT min(seq) FROM chain").fetchone()
        self._first = int(row[0] or 0)
        self._after = after if after is not None and after.seq >= self._first else None
        self._head = last_head(connection)
        self._broken: list[Broken] = []
        self._notes: list[str] = []
        self._links = self._rows = 0

    def verify(self, heads: Sequence[Head]) -> ChainVerdict:
        self._walk()
        self._check_end()
        for head in dict.fromkeys((*heads, *([self._after] if self._after else []))):
            self._check_head(head)
        self._check_subjects()
        for stranger in find_strangers(self._connection):
            self._say_loose(f"{stranger.words} was put in past fimkit")
        self._check_strangers()
        broken = sorted(self._broken, key=lambda one: one.seq)[:_MOST]
        return ChainVerdict(
            head=self._head, first=self._first, links=self._links, rows=self._rows, notes=tuple(self._notes),
            broken=tuple(replace(one, time_ns=self._time_of(one.seq)) for one in broken),
        )  # fmt: skip

    def _time_of(self, seq: int) -> int | None:
        """Read when a link, or the last one before it, was made: it names the same break the same way in the next check."""
        row = self._connection.execute("SELECT time_ns FROM chain WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (seq,)).fetchone()
        return row[0] if row is not None and isinstance(row[0], int) else None

    def _say(self, seq: int, words: str, *, is_end: bool = False) -> None:
        self._broken.append(Broken(seq=seq, words=words, key=f"{seq}: {words}", is_end=is_end))

    def _say_loose(self, words: str) -> None:
        self._broken.append(Broken(seq=self._end, words=words, key=words))

    # The links.

    def _walk(self) -> None:
        before, expected = self._start()
        query = "SELECT seq, time_ns, kind, subject, rows, digest, link, parts FROM chain WHERE seq >= ? ORDER BY seq"
        for seq, time_ns, kind, subject, rows, digest, link, parts in self._connection.execute(query, (expected,)):
            self._links += 1
            if seq != expected:
                self._say(expected, f"{_link_words(expected, seq - 1)} missing: deleted")
            elif next_link(before, (seq, time_ns, kind, subject, rows, digest)) != link:
                self._say(seq, f"link {seq} ({_about(kind, subject)}) does not follow from the one before: altered")
            if (kind in LOTS or kind == CHECKPOINT) and (not isinstance(parts, bytes) or sha256(parts).digest() != digest):
                self._say(seq, f"link {seq} ({_about(kind, subject)}): its list of rows is not the one that it was made of")
            if kind == ALTERED:
                self._say(seq, f"link {seq}: the {_text(subject)} had been altered past fimkit when it was written anew")
            if kind == STRANGER:
                self._say(seq, f"link {seq}: {_text(subject)} was put in past fimkit, and was taken out")
            before, expected = link if isinstance(link, bytes) else NO_LINK, seq + 1

    def _start(self) -> tuple[bytes, int]:
        if self._after is not None:
            return self._after.link, self._after.seq + 1
        if self._dropped.first == self._first:
            return self._dropped.before, self._first
        if self._first != 1 and self._head is not None:
            self._say(1, f"{_link_words(1, self._first - 1)} missing, and no checkpoint says that they were dropped")
            row = self._connection.execute("SELECT link FROM chain WHERE seq = ?", (self._first,)).fetchone()
            return row[0], self._first + 1
        return NO_LINK, 1

    def _check_end(self) -> None:
        last = int(self._connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'chain'").fetchone()[0])
        end = 0 if self._head is None else self._head.seq
        if last > end:
            self._say(end + 1, f"{_link_words(end + 1, last)} missing: the end of the chain was cut off")

    def _check_head(self, head: Head) -> None:
        end = 0 if self._head is None else self._head.seq
        if head.seq < self._first:
            self._notes.append(f"head {head.seq} is older than the first link that is kept, {self._first}: it says nothing now")
            return
        row = self._connection.execute("SELECT link FROM chain WHERE seq = ?", (head.seq,)).fetchone()
        if head.seq > end:
            words = f"the chain ends at link {end}: its end was cut off, or this is an older copy"
            self._say(end + 1, f"head {render_head(head)} was seen, and {words}", is_end=True)
        elif row is None or row[0] != head.link:
            self._say(head.seq, f"head {render_head(head)} was seen, and link {head.seq} is another: the chain was written anew")

    # What they are about.

    def _last_links(self) -> list[tuple[int, str, Any]]:
        """List the last link of each subject: after a verified point of those that came later, and of all kinds that have few."""
        query = "SELECT max(seq), kind, subject FROM chain WHERE {where} AND kind NOT IN (?, ?, ?, ?) GROUP BY kind, subject"
        own = (BEGIN, CHECKPOINT, ALTERED, STRANGER)
        start = 0 if self._after is None else self._after.seq
        found = {tuple(row) for row in self._connection.execute(query.format(where="seq > ?"), (start, *own))}
        for kind, single in SINGLES.items():
            if single.few and start:
                found |= {tuple(row) for row in self._connection.execute(query.format(where="kind = ?"), (kind, *own))}
        return sorted(found, key=lambda link: link[0])

    def _check_subjects(self) -> None:
        for seq, kind, subject in self._last_links():
            rows, digest, parts = self._connection.execute(
                "SELECT rows, digest, parts FROM chain WHERE seq = ?", (seq,)
            ).fetchone()
            was_dropped = self._dropped.has(kind, subject)
            if kind in LOTS:
                self._check_lot(kind, subject, seq, 0 if was_dropped else rows, b"" if was_dropped else parts)
            elif kind in SINGLES:
                self._check_single(kind, subject, seq, None if was_dropped else digest)
            else:
                self._say(seq, f"link {seq} is of the unknown kind {clip(kind)}")

    def _check_single(self, kind: str, subject: object, seq: int, digest: bytes | None) -> None:
        self._rows += 1
        now = read_single(self._connection, kind, subject)
        if now != digest:
            what = "deleted" if now is None else "put back, though it was dropped" if digest is None else "altered"
            self._say(seq, f"link {seq}: {self._name(kind, subject)} was {what}")

    def _name(self, kind: str, subject: object) -> str:
        if kind == "finding":
            row = self._connection.execute("SELECT id, path FROM findings WHERE row_id = ?", (subject,)).fetchone()
            if row is not None:
                return f"the finding {_text(row[0])} of {_path(row[1])}"
        if kind == "pins":
            return "what packages are trusted by"
        return f"the {_KINDS.get(kind, kind)} {_text(subject)}"

    def _check_lot(self, kind: str, subject: object, seq: int, rows: int, parts: bytes | None) -> None:
        left = dict.fromkeys(split_tags(parts if isinstance(parts, bytes) else None), 1)
        count, strange = 0, list[tuple[Any, ...]]()
        for tag, row in read_lot(self._connection, kind, subject):
            count += 1
            if not left.pop(tag, 0):
                strange.append(row)
        self._rows += count
        for row in strange[:_MOST]:
            self._say(seq, f"link {seq}: {_row_name(kind, row)} was altered or put in")
        if count < rows or len(left) > len(strange):
            missing = max(rows - count, len(left) - len(strange))
            self._say(seq, f"link {seq}: {missing} of {rows} rows ({_about(kind, subject)}) were deleted")

    def _check_strangers(self) -> None:
        """Find rows that no link is about; after a verified point, of the kinds alone of which there are few."""
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        for kind, single in SINGLES.items():
            if version < single.since or not (single.few or self._after is None):
                continue
            known = "(SELECT subject FROM chain WHERE kind = ?)"
            query = f"SELECT {single.key} FROM {single.table} WHERE {single.key} NOT IN {known} LIMIT ?"
            for (subject,) in self._connection.execute(query, (kind, _MOST)).fetchall():
                self._say_loose(f"{self._name(kind, subject)} is in no link: put in past fimkit")
        for kind, lot in () if self._after is not None else LOTS.items():
            query = (
                f"SELECT {lot.key}, count(*) FROM {lot.table} WHERE {lot.key} IS NULL OR {lot.key} NOT IN"
                " (SELECT subject FROM chain WHERE kind = ?) GROUP BY 1 LIMIT ?"
            )
            for _, count in self._connection.execute(query, (kind, _MOST)).fetchall():
                self._say_loose(f"{count} rows of {lot.table} are in no link: put in past fimkit")

    @property
    def _end(self) -> int:
        return 0 if self._head is None else self._head.seq


def _text(value: object) -> str:
    return value if isinstance(value, str) else render_path(value) if isinstance(value, bytes) else str(value)


def _path(value: object) -> str:
    return render_path(value) if isinstance(value, bytes) else _text(value)


def _link_words(low: int, high: int) -> str:
    return f"link {low} is" if low == high else f"links {low} to {high} are"


def _about(kind: object, subject: object) -> str:
    return {
        "changes": f"a batch of changes, {_text(subject)}", "history": f"the states of acceptance {_text(subject)}",
        CHECKPOINT: "a checkpoint", BEGIN: "the beginning", STRANGER: "a stranger",
    }.get(str(kind), f"{_text(kind)} {_text(subject)}")  # fmt: skip


def _row_name(kind: str, row: Sequence[Any]) -> str:
    path = row[_CHANGE_PATH if kind == "changes" else 2]
    where = "a file without a name" if path is None else _path(path)
    if kind != "changes":
        return f"the state of {where} in acceptance {_text(row[0])}"
    when = render_time(row[_CHANGE_TIME]) if isinstance(row[_CHANGE_TIME], int) else _text(row[_CHANGE_TIME])
    return f"the change of {where} at {when}"

