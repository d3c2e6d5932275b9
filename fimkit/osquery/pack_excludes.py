"""Which excludes of a configuration can be left to osqueryd: those that hide nothing that anything else wants. Pure.

osqueryd honours an exact path and ``folder/%%``, with no other wildcard. It puts the excludes of all categories of all files into
one set: each of ours is one for the site's own categories too. ``folder/%%`` also hides what happens to the folder's own
attributes; an exact path also hides what lies directly in it, should it be a folder. They apply when events fire: inotify watches
are used up all the same.

Source: osquery, events/linux/inotify.cpp, buildExcludePathsSet() and shouldFire(); events/pathset.h.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fimkit.model.config import Watch
from fimkit.model.paths import is_below, join_path, render_path
from fimkit.osquery.places import Place

__all__ = ["Exclude", "Refused", "plan_excludes"]

_ESCAPED = re.compile(r"\[([*?\[])\]")
_ALL_BELOW = re.compile(r"/\*+\Z")


class Exclude(NamedTuple):
    """What osqueryd is to pass over: one path, or with ``whole`` a folder with all that is in it."""

    path: bytes
    whole: bool

    @property
    def pattern(self) -> str:
        """The exclude as ``exclude_paths`` has it."""
        return self.path.decode() + ("/%%" if self.whole else "")


class Refused(NamedTuple):
    """An exclude that stays with fimkit alone, and why."""

    path: bytes
    words: str


class _Candidate(NamedTuple):
    path: bytes
    below_only: bool  # the folder itself stays watched
    watch: Watch


def _parse(pattern: str) -> tuple[bytes, bool] | None:
    """Read a pattern on whole paths that names one path, or all below one; ``None`` for any other."""
    head = _ALL_BELOW.sub("", pattern)
    if re.search(r"[*?\[]", _ESCAPED.sub("", head)):
        return None
    path = os.fsencode(_ESCAPED.sub(r"\1", head))
    return (path, head != pattern) if path == join_path(b"/", path) != b"/" else None


def _candidates(watches: Iterable[Watch]) -> list[_Candidate]:
    return [
        _Candidate(*found, watch)
        for watch in watches
        for pattern in watch.exclude
        if "/" in pattern and (found := _parse(pattern)) is not None and found[0] != watch.path and is_below(found[0], watch.path)
    ]


def _can_be_said(path: bytes) -> bool:
    try:
        return not re.search(r"[%*]", path.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _decides(one: _Candidate, watches: Iterable[Watch]) -> Watch | None:
    """Another watch that has a say in what is excluded: one in it, a deeper one around it, or one that takes what this does not."""
    for other in watches:
        deeper = is_below(one.path, other.path) and is_below(other.path, one.watch.path)
        wider = bool(one.watch.include) and is_below(one.watch.path, other.path)
        if other.path != one.watch.path and (is_below(other.path, one.path) or deeper or wider):
            return other
    return None


def _touches(pattern: bytes, path: bytes) -> bool:
    """Tell whether a pattern of the site's own may take in ``path`` or what lies below."""
    head, wildcard, _ = pattern.partition(b"%")
    folder = head[: head.rfind(b"/")] or b"/" if wildcard else head.rstrip(b"/") or b"/"
    return is_below(folder, path) or is_below(path, folder)


def plan_excludes(
    watches: Sequence[Watch], look: Callable[[bytes], Place], *, others: Sequence[bytes] = ()
) -> tuple[list[Exclude], list[Refused]]:
    """Choose the excludes for osqueryd, none in another.

    Args:
        watches: All, with those for the real places of links.
        look: What a path is on the host.
        others: The patterns of ``file_paths`` that are not fimkit's.
    """
    kept: set[Exclude] = set()
    refused: dict[bytes, str] = {}
    for one in _candidates(watches):
        place = look(one.path)
        if not _can_be_said(one.path) or place.real != one.path or (one.below_only and place.exists and not place.is_folder):
            continue
        if (other := _decides(one, watches)) is not None:
            refused[one.path] = f"is watched again by {render_path(other.path)}"
        elif (theirs := next((pattern for pattern in others if _touches(pattern, one.path)), None)) is not None:
            refused[one.path] = f"would hide it from {render_path(theirs)}, which osquery.conf has in its own file_paths"
        else:
            kept.add(Exclude(one.path, one.below_only or place.is_folder))
    outermost = [one for one in sorted(kept) if not any(two.whole and one != two and is_below(one.path, two.path) for two in kept)]
    paths = {one.path for one in kept}
    return outermost, [Refused(path, words) for path, words in sorted(refused.items()) if path not in paths]
