"""Under which names, and by which packages, a path may stand in archives: merged folders, diversions, files put beside. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from fimkit.packages.pins import Diversion

__all__ = ["KEPT_ASIDE", "Spot", "find_spots", "other_names"]

KEPT_ASIDE = b".dpkg-dist"
"""Where dpkg puts the new version of a configuration file that the administrator keeps. Source: dpkg(1), --force-confold."""


class Spot(NamedTuple):
    """Names in archives that end up at a path.

    ``only`` is the one package that may put it there, ``never`` one that may not; ``diversion`` is what brings it there from
    other names; ``is_aside`` is a new configuration file beside the kept one.
    """

    names: tuple[bytes, ...]
    only: str | None = None
    never: str | None = None
    diversion: Diversion | None = None
    is_aside: bool = False
    by_nobody: bool = False


def other_names(path: bytes, merged: Iterable[bytes]) -> tuple[bytes, ...]:
    """Give all names of a path: with and without /usr, where the folder is a symlink into it.

    >>> other_names(b"/usr/bin/ls", [b"/bin"]), other_names(b"/bin/ls", [b"/bin"]), other_names(b"/usr/bin/ls", [])
    ((b'/usr/bin/ls', b'/bin/ls'), (b'/bin/ls', b'/usr/bin/ls'), (b'/usr/bin/ls',))
    """
    for folder in merged:
        if path.startswith(folder + b"/"):
            return path, b"/usr" + path
        if path.startswith(b"/usr" + folder + b"/"):
            return path, path[4:]
    return (path,)


def find_spots(path: bytes, merged: Iterable[bytes], diversions: Iterable[Diversion]) -> list[Spot]:
    """Find where a path may come from.

    Source: dpkg-divert(1): every package's file but the diverting one's goes to the other name.

    >>> [spot.names for spot in find_spots(b"/a.real", [], [Diversion(b"/a", b"/a.real", "p")])]
    [(b'/a.real',), (b'/a',)]
    """
    merged = tuple(merged)
    names = other_names(path, merged)
    diverted = [one for one in diversions if one.path in names]
    own = Spot(names, only=diverted[0].package, by_nobody=diverted[0].package is None) if diverted else Spot(names)
    spots = [own]
    spots += [
        Spot(other_names(one.path, merged), never=one.package, diversion=one) for one in diversions if one.target in names
    ]
    if path.endswith(KEPT_ASIDE):
        spots.append(Spot(other_names(path.removesuffix(KEPT_ASIDE), merged), is_aside=True))
    return spots
