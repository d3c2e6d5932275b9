"""Evidence goes in parts, each a commit of its own: what went of it so far, and the next part."""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from fimkit.model.time import render_time

__all__ = ["DAY_NS", "MIB", "Gone", "Limiting"]

DAY_NS = 86_400 * 1_000_000_000
MIB = 1024 * 1024
_OVER = object()


@dataclass(slots=True, kw_only=True)
class Gone:
    """The limits, and how many rows went, by the words for their kind: for their age, and for the store's size.

    ``still_bytes`` is what the store takes at the end, where that is too much and nothing more may go.
    """

    keep_days: int
    max_mb: int
    now_ns: int
    aged: Counter[str] = field(default_factory=Counter)
    surplus: Counter[str] = field(default_factory=Counter)
    still_bytes: int | None = None

    @property
    def before_ns(self) -> int:
        """What is older is too old."""
        return self.now_ns - self.keep_days * DAY_NS

    def words(self) -> list[str]:
        """Say what went, one line a kind; nothing if nothing did."""
        before = render_time(self.before_ns)
        words = [f"dropped {rows} {kind}, older than {self.keep_days} days (before {before})" for kind, rows in self.aged.items()]
        reason = f"to keep the store within {self.max_mb} MB"
        words += [f"dropped the {rows} oldest {kind}, {reason}" for kind, rows in self.surplus.items()]
        if self.still_bytes is not None:
            words.append(
                f"the store still takes {-(-self.still_bytes // MIB)} MB of {self.max_mb} MB: the baseline, the open findings and"
                " what they stand on are never dropped; accept findings, or raise store.max_mb"
            )
        return words


class Limiting:
    """A round of dropping under way; ``words()`` says what went of it so far.

    Args:
        gone: What the parts add to.
        parts: Does the work, a part each time it is asked for the next.
        transaction: Makes a commit of each.
        give_back: Afterwards, gives some of the room back to the file system, and tells whether there is more.
    """

    def __init__(
        self,
        gone: Gone,
        parts: Generator[None, None, None],
        transaction: Callable[[], AbstractContextManager[None]],
        give_back: Callable[[], bool],
    ) -> None:
        """Begin; nothing is dropped yet."""
        self._parts, self._transaction, self._give_back = parts, transaction, give_back
        self._is_dropped = False
        self.words = gone.words

    def step(self) -> bool:
        """Drop a part, or when all is dropped give back some room, and tell whether there is more.

        Raises:
            HostError: If the store refuses: the round is over, and what went before is gone.
        """
        if self._is_dropped:
            return self._give_back()
        try:
            with self._transaction():
                self._is_dropped = next(self._parts, _OVER) is _OVER
        except BaseException:
            self._parts.close()  # what it had noted may be rolled back
            raise
        return not self._is_dropped or bool(self.words())
