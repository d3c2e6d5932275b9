"""What waits to be told, in a file of the state folder: findings for the next mail, and letters until somebody takes them.

A letter is made and its findings leave the queue in one transaction, and each recipient leaves the letter as soon as a server has
taken it for them: a kill at any moment loses nothing. One that hits between a server's word and ours sends a letter again, with
the same Message-ID.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fimkit.model.findings import Finding
from fimkit.model.json_form import parse_finding, render_finding
from fimkit.notify.mutes import Mute, MutedCount, render_mute
from fimkit.notify.pace import HOUR_NS, Hour, Lane, pause_s
from fimkit.notify.queue_file import QueueFile

__all__ = ["Draft", "Failure", "Outbox", "Queued", "QueuedLetter", "Waiting"]

_MOST_WAITING = 10_000      # of each lane
_MOST_TRIES = 60            # with growing pauses: more than two days
_MOST_LETTERS = 20          # for one recipient: then the oldest is dropped, and named
_MOST_BYTES = 256 * 1024 * 1024
_MOST_FAILURES = 1000
_LEASE_S = 600              # far beyond a deadline: whoever took a letter then was killed
_NS = 1_000_000_000
_LANES = {Lane.GENERAL: ("folded", "last_ns"), Lane.ALERTS: ("folded_alerts", "last_alert_ns")}
_DOWN = "mail_down_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A letter that somebody will not get any more, and why."""

    time_ns: int
    address: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What the next mail of a lane is made of.

    ``added_ns`` and ``known`` go beside ``findings``: when each came, and whether the channels beside mail were told of it.
    ``folded`` came beyond what is kept one by one; ``muted`` and ``failures`` are what no mail has told yet.
    """

    lane: Lane
    findings: tuple[Finding, ...]
    numbers: tuple[int, ...]
    added_ns: tuple[int, ...]
    known: tuple[bool, ...]
    folded: int
    last_ns: int | None
    muted: tuple[MutedCount, ...] = ()
    failures: tuple[Failure, ...] = ()
    last_failure: int = 0

    @property
    def oldest_ns(self) -> int | None:
        """When the oldest of them came."""
        return min(self.added_ns, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A letter to be queued: a whole message for recipients, or what a channel is to be told."""

    message: bytes
    recipients: tuple[str, ...]
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedLetter:
    """A letter, ready to be sent, and who has not got it yet."""

    number: int
    message: bytes
    recipients: tuple[str, ...]
    tries: int
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """The state of one letter in the queue, for people: who still waits for it, and why."""

    number: int
    channel: str | None
    recipients: tuple[str, ...]
    made_ns: int
    next_ns: int
    tries: int
    size_bytes: int
    reason: str


class _Overtaken(Exception):
    """Another process was faster: the transaction is undone."""


def _told_as(lane: Lane, number: str) -> str:
    """Name what was told: what was in a digest, and turns out to be suspect, is told once more, as an alert."""
    return number if lane is Lane.GENERAL else f"{lane.value} {number}"


class Outbox(QueueFile):
    """The queue; a context manager. Several processes may use it."""

    def add(self, findings: Sequence[Finding], *, now_ns: int, lane: Lane = Lane.GENERAL) -> None:
        """Let findings wait for the next mail of a lane; as :meth:`add_all`."""
        self.add_all({lane: findings}, now_ns=now_ns)

    def add_all(
        self, by_lane: Mapping[Lane, Sequence[Finding]], *, now_ns: int, muted: Sequence[tuple[Mute, Finding]] = ()
    ) -> None:
        """Let findings wait for the next mails; on the disk when this returns, all of them or none.

        Args:
            by_lane: One that waits already is replaced, and keeps its place; one that was told within the hour stays told, but for
                one that was in a digest and cannot wait now.
            now_ns: When they came.
            muted: Those that are only counted, each by its mute.
        """
        with self._transaction():
            for lane, findings in by_lane.items():
                self._add(lane, findings, now_ns)
            self._count_muted([mute for mute, _ in muted], now_ns)

    def _add(self, lane: Lane, findings: Sequence[Finding], now_ns: int) -> None:
        told = {name for (name,) in self._rows("SELECT id FROM told WHERE time_ns > ?", now_ns - HOUR_NS)}
        new = [one for one in findings if _told_as(lane, one.id) not in told and _told_as(Lane.ALERTS, one.id) not in told]
        ((count,),) = self._rows("SELECT count(*) FROM waiting WHERE lane = ?", lane.value)
        kept = new[: max(0, _MOST_WAITING - count)]
        sql = "INSERT INTO waiting (id, added_ns, finding, lane) VALUES (?, ?, ?, ?)"
        sql += " ON CONFLICT (id) DO UPDATE SET finding = excluded.finding, lane = excluded.lane"
        self._database.executemany(sql, [(one.id, now_ns, json.dumps(render_finding(one)), lane.value) for one in kept])
        if len(kept) < len(new):
            name = _LANES[lane][0]
            self._set_fact(name, self.facts().get(name, 0) + len(new) - len(kept))

    def _count_muted(self, mutes: Sequence[Mute], now_ns: int) -> None:
        sql = "INSERT INTO muted VALUES (?, ?, 1, ?) ON CONFLICT (number) DO UPDATE SET count = count + 1"
        self._database.executemany(sql, [(one.number, f"{render_mute(one)} ({one.reason})", now_ns) for one in mutes])

    def withdraw(self, numbers: Sequence[int], mutes: Sequence[Mute], *, now_ns: int) -> int:
        """Take findings out of the queue that mutes hold back now, and count them; give how many were still there."""
        with self._transaction():
            gone = [
                mute for number, mute in zip(numbers, mutes, strict=True)
                if self._database.execute("DELETE FROM waiting WHERE number = ?", (number,)).rowcount
            ]  # fmt: skip
            self._count_muted(gone, now_ns)
        return len(gone)

    def waiting(self, lane: Lane = Lane.GENERAL) -> Waiting:
        """Give what waits, the oldest first."""
        rows = self._rows("SELECT number, added_ns, channels_know, finding FROM waiting WHERE lane = ? ORDER BY number", lane.value)
        facts, (folded, last) = self.facts(), _LANES[lane]
        failures = self._rows(
            "SELECT rowid, time_ns, address, reason FROM failures WHERE rowid > ? ORDER BY rowid", facts.get("told_failure", 0)
        )
        muted = self._rows("SELECT number, words, count, first_ns FROM muted ORDER BY number") if lane is Lane.GENERAL else []
        return Waiting(
            lane=lane,
            findings=tuple(parse_finding(json.loads(text)) for *_, text in rows),
            numbers=tuple(number for number, *_ in rows),
            added_ns=tuple(added_ns for _, added_ns, *_ in rows),
            known=tuple(bool(known) for _, _, known, _ in rows),
            folded=facts.get(folded, 0),
            last_ns=facts.get(last),
            muted=tuple(MutedCount(number=one[0], words=one[1], count=one[2], first_ns=one[3]) for one in muted),
            failures=tuple(Failure(time_ns=one[1], address=one[2], reason=one[3]) for one in failures),
            last_failure=failures[-1][0] if failures else facts.get("told_failure", 0),
        )

    def glance(self, lane: Lane, *, unknown: bool = False) -> tuple[int, int | None, int | None]:
        """Look at a lane without reading its findings.

        Args:
            lane: Which.
            unknown: Only what the channels beside mail were not told yet.

        Returns:
            How many findings wait, when the oldest came, and when the lane's last mail was made.
        """
        sql = "SELECT count(*), min(added_ns) FROM waiting WHERE lane = ? AND channels_know <= ?"
        ((count, oldest_ns),) = self._rows(sql, lane.value, int(not unknown))
        return count, oldest_ns, self.facts().get(_LANES[lane][1])

    def has_critical(self) -> bool:
        """Tell whether something critical waits to be told at once."""
        sql = "SELECT EXISTS (SELECT 1 FROM waiting WHERE lane = ? AND json_extract(finding, '$.severity') = 'critical')"
        return bool(self._rows(sql, Lane.ALERTS.value)[0][0])

    def first_muted_ns(self) -> int | None:
        """Give when the first finding was muted that no mail has counted yet."""
        ((first_ns,),) = self._rows("SELECT min(first_ns) FROM muted")
        return None if first_ns is None else int(first_ns)

    def hour(self) -> Hour:
        """Give the hour that alerts are counted in."""
        facts = self.facts()
        return Hour(began_ns=facts.get("hour_ns"), alerts=facts.get("alerts", 0), critical=facts.get("critical_alerts", 0))

    def seal(self, letters: Sequence[Draft], waiting: Waiting, *, now_ns: int, hour: Hour | None = None,
             mail_waits: bool = False) -> bool:
        """Put letters into the queue and take out, in one step, the findings that they tell.

        Args:
            letters: To be sent.
            waiting: What they were made of.
            now_ns: When they were made.
            hour: The alerts of the hour, this one counted.
            mail_waits: The letters are for the channels alone: the findings stay for a mail, and are known there.

        Returns:
            Whether it was done; false where another process has told some of them in the meantime, and then nothing was.
        """
        try:
            with self._transaction():
                self._seal(letters, waiting, now_ns, mail_waits)
                if hour is not None:
                    facts = {"hour_ns": hour.began_ns, "alerts": hour.alerts, "critical_alerts": hour.critical}
                    for name, value in facts.items():
                        self._set_fact(name, value)
                self._limit(now_ns)
        except _Overtaken:
            return False
        return True

    def post(self, letters: Sequence[Draft], *, now_ns: int) -> None:
        """Put letters into the queue that tell no finding: a notice, say. No digest waits longer for them."""
        with self._transaction():
            self._insert(letters, now_ns)
            self._limit(now_ns)

    def _insert(self, letters: Sequence[Draft], now_ns: int) -> None:
        for draft in letters:
            sql = "INSERT INTO letters (message, made_ns, tries, next_ns, channel) VALUES (?, ?, 0, ?, ?)"
            cursor = self._database.execute(sql, (draft.message, now_ns, now_ns, draft.channel))
            rows = [(cursor.lastrowid, address) for address in dict.fromkeys(draft.recipients)]
            self._database.executemany("INSERT INTO recipients VALUES (?, ?, NULL)", rows)

    def _seal(self, letters: Sequence[Draft], waiting: Waiting, now_ns: int, mail_waits: bool) -> None:
        folded, last = _LANES[waiting.lane]
        facts = self.facts()
        if facts.get(last) != waiting.last_ns:
            raise _Overtaken
        sql = "UPDATE waiting SET channels_know = 1 WHERE number = ?" if mail_waits else "DELETE FROM waiting WHERE number = ?"
        done = self._database.executemany(sql, [(one,) for one in waiting.numbers])
        if waiting.numbers and done.rowcount != len(waiting.numbers):
            raise _Overtaken
        ids = [(_told_as(waiting.lane, one.id), now_ns) for one in waiting.findings]
        self._database.executemany("INSERT OR REPLACE INTO told VALUES (?, ?)", ids)
        self._database.execute("DELETE FROM told WHERE time_ns <= ?", (now_ns - HOUR_NS,))
        self._insert(letters, now_ns)
        self._set_fact(last, now_ns)
        if mail_waits:
            return
        self._set_fact(folded, max(0, facts.get(folded, 0) - waiting.folded))
        self._set_fact("told_failure", max(waiting.last_failure, facts.get("told_failure", 0)))
        for one in waiting.muted:
            self._database.execute("UPDATE muted SET count = count - ? WHERE number = ?", (one.count, one.number))
        self._database.execute("DELETE FROM muted WHERE count <= 0")

    def _limit(self, now_ns: int) -> None:
        """Keep the queue bounded: what is dropped is a failure with its reason, and the next mail names it."""
        crowded = self._rows("SELECT address FROM recipients GROUP BY address HAVING count(*) > ?", _MOST_LETTERS)
        for (address,) in crowded:
            sql = "SELECT letter FROM recipients WHERE address = ? ORDER BY letter DESC LIMIT -1 OFFSET ?"
            for (letter,) in self._rows(sql, address, _MOST_LETTERS):
                self._give_up(letter, f"dropped: more than {_MOST_LETTERS} letters wait for it", now_ns, address)
        rows = self._rows("SELECT number, length(message) FROM letters ORDER BY number DESC")
        total = 0
        for number, size in rows:
            total += size
            if total > _MOST_BYTES:
                self._give_up(number, f"dropped: letters of more than {_MOST_BYTES >> 20} MiB wait", now_ns)
        self._clean()

    def _give_up(self, letter: int, reason: str | None, now_ns: int, address: str | None = None) -> None:
        """Note that whoever still waits for a letter, or one of them, will not get it."""
        mine = "letter = ? AND (? IS NULL OR address = ?)"
        rows = self._rows(f"SELECT address, reason FROM recipients WHERE {mine}", letter, address, address)
        failed = [(now_ns, one, reason or why or "not tried") for one, why in rows]
        self._database.executemany("INSERT INTO failures VALUES (?, ?, ?)", failed)
        self._database.execute(f"DELETE FROM recipients WHERE {mine}", (letter, address, address))

    def _clean(self) -> None:
        self._database.execute("DELETE FROM letters WHERE number NOT IN (SELECT letter FROM recipients)")
        sql = "DELETE FROM failures WHERE rowid <= (SELECT max(rowid) FROM failures) - ?"
        self._database.execute(sql, (_MOST_FAILURES,))

    def take_letter(self, *, now_ns: int, channel: str | None = None) -> QueuedLetter | None:
        """Give the oldest letter whose time has come, to this caller alone; it comes again if it is not settled in ten minutes.

        Args:
            now_ns: The time.
            channel: Of this channel; ``None`` is mail.
        """
        with self._transaction():
            rows = self._rows(
                "SELECT number, message, tries FROM letters WHERE next_ns <= ? AND channel IS ? ORDER BY number LIMIT 1",
                now_ns, channel,
            )  # fmt: skip
            if not rows:
                return None
            number, message, tries = rows[0]
            self._database.execute("UPDATE letters SET next_ns = ? WHERE number = ?", (now_ns + _LEASE_S * _NS, number))
            recipients = self._recipients(number)
            return QueuedLetter(number=number, message=message, recipients=recipients, tries=tries, channel=channel)

    def _recipients(self, letter: int) -> tuple[str, ...]:
        rows = self._rows("SELECT address FROM recipients WHERE letter = ? ORDER BY rowid", letter)
        return tuple(address for (address,) in rows)

    def settle(self, letter: QueuedLetter, *, taken: Sequence[str], refused: Mapping[str, str], now_ns: int,
               down: bool = False) -> None:
        """Note what came of sending a letter; whoever has not got it is tried again later, and after some days no more.

        Args:
            letter: From :meth:`take_letter`.
            taken: Who has it now.
            refused: Who has not, with why.
            now_ns: When it was tried.
            down: No mail server was reached at all: mails wait for one, and are folded.
        """
        tries = letter.tries + 1
        with self._transaction():
            delete = "DELETE FROM recipients WHERE letter = ? AND address = ?"
            self._database.executemany(delete, [(letter.number, address) for address in taken])
            for address, reason in refused.items():
                self._database.execute(
                    "UPDATE recipients SET reason = ? WHERE letter = ? AND address = ?", (reason, letter.number, address)
                )
            if tries >= _MOST_TRIES:
                self._give_up(letter.number, None, now_ns)
            self._database.execute(
                "UPDATE letters SET tries = ?, next_ns = ? WHERE number = ?", (tries, now_ns + pause_s(tries) * _NS, letter.number)
            )
            self._clean()
            if letter.channel is None:
                self._set_fact(_DOWN, self.facts().get(_DOWN, now_ns) if down else None)

    def mail_down_ns(self) -> int | None:
        """Give since when no mail server is reached, while a letter waits for one; ``None`` where mail goes out."""
        ((count,),) = self._rows("SELECT count(*) FROM letters WHERE channel IS NULL")
        return self.facts().get(_DOWN) if count else None

    def letters(self) -> tuple[Queued, ...]:
        """Give what was not taken yet, the oldest first; without what is in it."""
        rows = self._rows(
            "SELECT number, channel, made_ns, next_ns, tries, length(message),"
            " (SELECT max(reason) FROM recipients WHERE letter = number) FROM letters ORDER BY number"
        )
        return tuple(
            Queued(number=one[0], channel=one[1], recipients=self._recipients(one[0]), made_ns=one[2], next_ns=one[3],
                   tries=one[4], size_bytes=one[5], reason=one[6] or "")
            for one in rows
        )  # fmt: skip

    def next_letter_ns(self, channels: Sequence[str] = ()) -> int | None:
        """Give when the next mail, or letter for one of these channels, is to be tried."""
        marks = ", ".join("?" * len(channels))
        ((next_ns,),) = self._rows(f"SELECT min(next_ns) FROM letters WHERE channel IS NULL OR channel IN ({marks})", *channels)
        return None if next_ns is None else int(next_ns)

    def retire(self, channels: Sequence[str], *, now_ns: int) -> None:
        """Give the letters up that are for channels other than these: the configuration does not know them any more."""
        for queued in self.letters():
            if queued.channel is not None and queued.channel not in channels:
                with self._transaction():
                    self._give_up(queued.number, "the channel is not configured any more", now_ns)
                    self._clean()

    def failures(self) -> tuple[Failure, ...]:
        """Give the letters that were given up, the oldest first."""
        rows = self._rows("SELECT time_ns, address, reason FROM failures ORDER BY time_ns, rowid")
        return tuple(Failure(time_ns=time_ns, address=address, reason=reason) for time_ns, address, reason in rows)
