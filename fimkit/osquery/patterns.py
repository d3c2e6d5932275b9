r"""Folders as osquery's ``file_paths`` patterns, so that no path is lost and no two categories overlap. Pure.

What osqueryd makes of a pattern, and what follows here:

- Every ``%`` becomes ``*``. ``folder/%%`` is a tree, ``folder/%`` one level; a name as the last part filters nothing.
- A pattern with no other wildcard is taken as it stands: brackets, braces, question marks and backslashes in names are plain.
- A wildcard further up makes osqueryd expand the folders with glob(3), once: then those characters mean something. Nothing escapes
  them, so each run of them, and of bytes that JSON cannot hold, becomes one wildcard: more is watched than asked, and the reader of
  the results takes what belongs to a watch.
- What stands before the first wildcard is canonicalized. Where that would lead elsewhere (a link of that name, ``.``), and where
  glob's ``*`` would pass over a hidden name, the folder above is watched whole instead.
- A folder belongs to the pattern that came to it last, alone; a pattern of one level there would not follow new subfolders. So what
  lies in a tree gets no pattern of its own, and a level that may lie in a tree becomes a tree.

Source: osquery, events/linux/inotify.cpp, monitorSubscription(), addMonitor(); filesystem/filesystem.cpp, replaceGlobWildcards().
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from fimkit.model.findings import Tier

__all__ = ["FolderPattern", "make_pattern", "render_pattern", "settle_patterns"]

_UNSPEAKABLE = re.compile(r"[%*\udc80-\udcff]+")
_GLOB = re.compile(r"[%*?\[\]{}\\\udc80-\udcff]+")


class FolderPattern(NamedTuple):
    """One folder, or all that fit; ``*`` in a part is the wildcard, and all else is plain.

    ``recursive``: the whole tree; otherwise what lies directly in it.
    """

    parts: tuple[bytes, ...]
    recursive: bool

    @property
    def is_wild(self) -> bool:
        """Whether a wildcard stands for a part of the folder's own name."""
        return any(b"*" in part for part in self.parts)

    def holds(self, other: "FolderPattern") -> bool:
        """Tell whether all that ``other`` watches is watched by this one too."""
        if len(self.parts) > len(other.parts) or (not self.recursive and (other.recursive or len(self.parts) < len(other.parts))):
            return False
        return all(map(_fits, self.parts, other.parts))

    def meets(self, other: "FolderPattern") -> bool:
        """Tell whether there can be a folder that both watch."""
        short, long = sorted((self, other), key=lambda one: len(one.parts))
        if len(short.parts) < len(long.parts) and not short.recursive:
            return False
        return all(map(_may_both_fit, short.parts, long.parts))


@cache
def _expression(part: bytes) -> re.Pattern[bytes]:
    pieces = (re.escape(piece) for piece in part.split(b"*"))
    # As glob has it: a wildcard in front takes no hidden name.
    return re.compile((rb"(?!\.)" if part.startswith(b"*") else b"") + b".*".join(pieces), re.DOTALL)


def _fits(pattern: bytes, part: bytes) -> bool:
    return pattern == part or (b"*" in pattern and _expression(pattern).fullmatch(part) is not None)


def _may_both_fit(one: bytes, other: bytes) -> bool:
    if b"*" not in one or b"*" not in other:
        return _fits(one, other) or _fits(other, one)
    heads = one.split(b"*")[0], other.split(b"*")[0]
    tails = one.rsplit(b"*")[-1], other.rsplit(b"*")[-1]
    return (heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])) and (
        tails[0].endswith(tails[1]) or tails[1].endswith(tails[0])
    )


def make_pattern(folder: bytes, *, recursive: bool, real_of: Callable[[bytes], bytes]) -> FolderPattern:
    r"""Write a folder as a pattern that takes it in, and as little else as can be.

    Args:
        folder: The folder, with no link in it.
        recursive: Whether its tree is meant.
        real_of: Where a path leads, links followed.

    >>> make_pattern(b"/srv/a[1]", recursive=True, real_of=bytes)
    FolderPattern(parts=(b'srv', b'a[1]'), recursive=True)
    >>> render_pattern(make_pattern(b"/srv/100%/a[1]/\xff", recursive=False, real_of=bytes))
    '/srv/100%/a%1%/%/%'
    >>> render_pattern(make_pattern(b"/srv/.%/x", recursive=False, real_of=bytes))
    '/srv/%%'
    """
    names = [name.decode("utf-8", "surrogateescape") for name in folder.split(b"/") if name]
    unspeakable = [place for place, name in enumerate(names) if _UNSPEAKABLE.search(name)]
    if not unspeakable:
        return FolderPattern(tuple(name.encode() for name in names), recursive)
    parts = [_GLOB.sub("*", name).encode() for name in names]
    first = next(place for place, part in enumerate(parts) if b"*" in part)
    head = parts[first].split(b"*")[0]
    above = b"".join(b"/" + part for part in parts[:first]) + b"/"
    if head in (b".", b"..") or (head and real_of(above + head) != above + head):
        return FolderPattern(tuple(parts[:first]), True)
    return FolderPattern(tuple(parts), recursive)


def render_pattern(pattern: FolderPattern) -> str:
    """Write a pattern as ``file_paths`` has it.

    >>> render_pattern(FolderPattern((), True)), render_pattern(FolderPattern((b"etc",), False))
    ('/%%', '/etc/%')
    """
    parts = [part.replace(b"*", b"%").decode() for part in pattern.parts]
    return "/" + "/".join([*parts, "%%" if pattern.recursive else "%"])


def _heavier(one: Tier | None, other: Tier) -> Tier:
    return Tier.CRITICAL if Tier.CRITICAL in (one, other) else other


def settle_patterns(wanted: Iterable[tuple[FolderPattern, Tier]]) -> dict[FolderPattern, Tier]:
    """Choose the patterns that watch all that is wanted, each folder once, and say the tier whose category each goes to.

    A tree takes in what lies in it, of whatever tier. Where two patterns with wildcards may meet, both go to one tier.

    >>> etc, ssh = FolderPattern((b"etc",), True), FolderPattern((b"etc", b"ssh"), False)
    >>> settle_patterns([(ssh, Tier.CRITICAL), (etc, Tier.WATCH)]) == {etc: Tier.WATCH}
    True
    """
    chosen: dict[FolderPattern, Tier] = {}
    for pattern, tier in wanted:
        chosen[pattern] = _heavier(chosen.get(pattern), tier)
    while True:
        chosen = _outermost(chosen)
        met = [one for one in chosen if not one.recursive and any(other.recursive for other in _meeting(one, chosen))]
        if not met:
            break
        for pattern in met:
            tree = pattern._replace(recursive=True)
            chosen[tree] = _heavier(chosen.get(tree), chosen.pop(pattern))
    return _of_one_mind(chosen)


def _outermost(chosen: Mapping[FolderPattern, Tier]) -> dict[FolderPattern, Tier]:
    plain_trees = {pattern.parts for pattern in chosen if pattern.recursive and not pattern.is_wild}
    wild = [pattern for pattern in chosen if pattern.is_wild]
    kept: dict[FolderPattern, Tier] = {}
    for pattern, tier in sorted(chosen.items()):
        above = range(len(pattern.parts) + (not pattern.recursive))
        if any(pattern.parts[:length] in plain_trees for length in above):
            continue
        holders = [other for other in wild if other != pattern and other.holds(pattern)]
        # Two that hold each other are one set of folders: the first stays.
        if all(pattern.holds(other) and pattern < other for other in holders):
            kept[pattern] = tier
    return kept


def _meeting(pattern: FolderPattern, chosen: Iterable[FolderPattern]) -> list[FolderPattern]:
    """The others that it may share a folder with: without wildcards there are none, by now."""
    return [other for other in chosen if other != pattern and (pattern.is_wild or other.is_wild) and pattern.meets(other)]


def _of_one_mind(chosen: dict[FolderPattern, Tier]) -> dict[FolderPattern, Tier]:
    pairs = [(one, other) for one in chosen if one.is_wild for other in _meeting(one, chosen)]
    while lighter := [one for pair in pairs for one, other in (pair, pair[::-1]) if chosen[one] is not chosen[other]]:
        chosen |= dict.fromkeys(lighter, Tier.CRITICAL)
    return chosen
