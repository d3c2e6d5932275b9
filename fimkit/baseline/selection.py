"""Which paths a walk takes: :class:`WatchSet` narrowed to one folder, where most often nothing is left to ask. Pure."""

from collections.abc import Iterable

from fimkit.model.config import Watch
from fimkit.model.paths import is_below
from fimkit.model.watches import WatchSet

__all__ = ["Selection", "select_in"]


class Selection:
    """The watches that cover what lies in one folder, the deepest first.

    Where the deepest has no patterns, it takes every child and no pattern is tried. A child that is itself a configured path
    is another selection's: a walk leaves it to the walk that starts there.
    """

    __slots__ = ("_asked", "_below", "watches")

    def __init__(self, watches: tuple[Watch, ...]) -> None:
        """Take the watches that cover the folder's children, the deepest first."""
        self.watches = watches
        plain = not watches or not (watches[0].include or watches[0].exclude)
        self._asked = None if plain else WatchSet(watches)
        self._below: Selection | None = None

    def watch_of(self, path: bytes, *, is_folder: bool) -> Watch | None:
        """Find the watch that a child of the folder belongs to, as :meth:`WatchSet.watch_of` does."""
        if self._asked is not None:
            return self._asked.watch_of(path, is_folder=is_folder)
        return self.watches[0] if self.watches else None

    def enters(self, folder: bytes) -> bool:
        """Tell whether anything in this child folder can belong to one of the watches."""
        if self._asked is not None:
            return self._asked.enters(folder)
        return bool(self.watches) and (self.watches[0].recursive or bool(self.below().watches))

    def below(self) -> "Selection":
        """Give the selection for the children of a child folder: only recursive watches reach there."""
        if self._below is None:
            deep = tuple(watch for watch in self.watches if watch.recursive)
            self._below = self if deep == self.watches else Selection(deep)
        return self._below

    @property
    def takes_all(self) -> bool:
        """True where every child is taken unasked."""
        return self._asked is None and bool(self.watches)


def select_in(folder: bytes, watches: Iterable[Watch]) -> Selection:
    """Give the selection for the children of ``folder``, which a configured path names.

    >>> etc, ssh = Watch(path=b"/etc"), Watch(path=b"/etc/ssh", recursive=False)
    >>> [watch.path for watch in select_in(b"/etc/ssh", [etc, ssh]).watches]
    [b'/etc/ssh', b'/etc']
    >>> [watch.path for watch in select_in(b"/etc/ssh", [etc, ssh]).below().watches]
    [b'/etc']
    """
    covering = (watch for watch in watches if watch.path == folder or (watch.recursive and is_below(folder, watch.path)))
    return Selection(tuple(sorted(covering, key=lambda watch: -len(watch.path))))
