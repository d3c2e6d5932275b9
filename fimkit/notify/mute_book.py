"""The mutes of a state folder, kept beside the queue: added, listed, removed."""

from fimkit.notify.mutes import Mute, MuteBy, check_mute
from fimkit.notify.queue_file import QueueFile

__all__ = ["MuteBook"]

_KEPT_NS = 30 * 86_400 * 1_000_000_000  # after its end, so that people see why a mail came again


class MuteBook(QueueFile):
    """The mutes; a context manager."""

    def add(self, by: MuteBy, what: str, *, until_ns: int, reason: str, who: str, now_ns: int) -> Mute:
        """Mute something from now on.

        Raises:
            UsageError: If it can match nothing or everything, or has no end within a year, or no reason.
        """
        check_mute(by, what, until_ns=until_ns, reason=reason, now_ns=now_ns)
        sql = "INSERT INTO mutes (by, what, until_ns, reason, who, made_ns) VALUES (?, ?, ?, ?, ?, ?)"
        with self._transaction():
            self._database.execute("DELETE FROM mutes WHERE until_ns < ?", (now_ns - _KEPT_NS,))
            number = self._database.execute(sql, (by.value, what, until_ns, reason.strip(), who, now_ns)).lastrowid or 0
        return Mute(number=number, by=by, what=what, until_ns=until_ns, reason=reason.strip(), who=who, made_ns=now_ns)

    def remove(self, number: int) -> Mute | None:
        """Take one away, and give it; ``None`` where there is none of that number."""
        with self._transaction():
            found = next((one for one in self.mutes() if one.number == number), None)
            self._database.execute("DELETE FROM mutes WHERE number = ?", (number,))
        return found

    def mutes(self) -> tuple[Mute, ...]:
        """Give them all, in their order; those that ended within a month too."""
        rows = self._rows("SELECT number, by, what, until_ns, reason, who, made_ns FROM mutes ORDER BY number")
        return tuple(
            Mute(number=one[0], by=MuteBy(one[1]), what=one[2], until_ns=one[3], reason=one[4], who=one[5], made_ns=one[6])
            for one in rows
        )
