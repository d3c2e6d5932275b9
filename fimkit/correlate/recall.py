"""Has what the index forgot loaded again, where judging some paths asks for it. Pure but for what loads.

What bears on a path is not only what was recorded of its name and its file: a folder above it that was renamed, the name that a
file had in between. Which names and files are asked for is known when the picture was walked through; what comes of them may ask
for more. It ends where a walk asks for nothing new.
"""

from collections.abc import Callable, Collection, Iterable

from fimkit.correlate.neighbourhood import Affected, Neighbourhood, Picture
from fimkit.correlate.picture import key_of_change
from fimkit.model.changes import Change, left_out
from fimkit.model.states import FileKey

__all__ = ["Recall"]

_MOST_WALKS = 50
"""So many names that each lead to the next one are followed: a history may be of any length, and a look is not."""
_EVER_NS = 1 << 62


class Recall:
    """Neighbourhoods of a picture whose index has forgotten the older changes.

    Args:
        picture: Followed by the caller.
        load: Gives the changes whose text is one of some paths, or whose file has one of some inode numbers; where these are too
            many, what stands for those in the middle.
    """

    def __init__(self, picture: Picture, load: Callable[[Collection[bytes], Collection[int]], Iterable[Change]]) -> None:
        """Begin with nothing recalled."""
        self._picture, self._load = picture, load
        self._recalled, self._forgotten = set[bytes | int](), 0
        self._passed: dict[FileKey, frozenset[bytes]] = {}

    def affected(self, change: Change) -> list[Affected]:
        """Name the paths that a change may have changed, as :meth:`fimkit.correlate.neighbourhood.Picture.affected` does."""
        key = key_of_change(change)
        if not self._has_forgotten() or key is None:
            return self._picture.affected(change)
        if key not in self._passed:  # a name that it had and lost may be in its older records alone
            self._take((), (key.inode,))
            self._passed[key] = frozenset(self._picture.passed(key))
        found = self._picture.affected(change)
        more = self._passed[key].difference(one.path for one in found)
        return [*found, *(Affected(path, below=False) for path in sorted(more))]

    def _has_forgotten(self) -> bool:
        changes = self._picture.changes
        is_more = self._forgotten != changes.forgotten
        if is_more:
            self._forgotten = changes.forgotten
            self._passed.clear()
        if changes.drop_back() or is_more:
            self._recalled.clear()
        return bool(changes.forgotten)

    def neighbourhood(self, paths: Collection[bytes]) -> Neighbourhood:
        """Collect what bears on some paths, as :meth:`fimkit.correlate.neighbourhood.Picture.neighbourhood` does."""
        picture, index = self._picture, self._picture.changes
        if not self._has_forgotten():
            return picture.neighbourhood(paths)
        states = (state for path in paths for snapshot in (picture.before, picture.after) if (state := snapshot.get(path)))
        self._take(paths, {key.inode for state in states if (key := state.key) is not None})
        for _ in range(_MOST_WALKS):
            index.asked = set()
            near = picture.neighbourhood(paths)
            asked, index.asked = index.asked, None
            if not self._take(*_sorted(asked)):
                return near
        return near._replace(changes=[*near.changes, left_out(0, _EVER_NS)])

    def _take(self, paths: Iterable[bytes], inodes: Iterable[int]) -> bool:
        """Have what was recorded of some names and files put back, once until more is forgotten; tells whether there was any."""
        names, files = set(paths) - self._recalled, set(inodes) - self._recalled
        if not names and not files:
            return False
        self._recalled |= names | files
        known = self._picture.changes.unknown(self._load(names, files))
        for change in known:
            self._picture.put_back(change)
        return bool(known)


def _sorted(asked: Iterable[bytes | int]) -> tuple[set[bytes], set[int]]:
    names, inodes = set[bytes](), set[int]()
    for one in asked:
        if isinstance(one, bytes):
            names.add(one)
        else:
            inodes.add(one)
    return names, inodes
