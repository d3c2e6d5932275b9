"""What osqueryd was seen to make of a pack's ``file_paths`` and ``exclude_paths``: a check that knows not how fimkit writes them.

Seen with osquery 5.23: ``dir/%%`` is a tree and ``dir/%`` one level; ``%%`` is valid at the end only; a leaf pattern filters none;
a watch on a file is lost when the file is replaced; a path that is missing is not picked up; an exclude is ``dir/%%`` or one exact
path, of a category that ``file_paths`` has; where two categories overlap, one gets the events.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fimkit.model.config import Watch
from fimkit.model.watches import WatchSet

PACK_KEYS = {"queries", "discovery", "platform", "version", "shard", "file_paths", "exclude_paths"}
QUERY_KEYS = {"query", "interval", "removed", "snapshot", "platform", "version", "shard", "denylist", "description", "value"}


def parts_of(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part]


def fits(pattern: bytes, name: bytes) -> bool:
    if b"%" not in pattern:
        return pattern == name
    # Folders in the middle are expanded by glob(3): brackets and braces must not be there then.
    assert not re.search(rb"[\[\]{}?*\\]", pattern), pattern
    if name.startswith(b".") and not pattern.startswith(b"."):
        return False
    return re.fullmatch(b".*".join(map(re.escape, pattern.split(b"%"))), name, re.DOTALL) is not None


class Pattern:
    """One pattern of ``file_paths``."""

    def __init__(self, text: str) -> None:
        assert text.startswith("/"), text
        *folder, last = text.split("/")[1:]
        assert last in ("%", "%%"), f"{text}: a leaf pattern or a single file"
        assert not any("%%" in part or "**" in part for part in folder), f"{text}: %% in the middle"
        if any("%" in part for part in folder):
            assert not re.search(r"[\[\]{}?*\\]", "".join(folder)), f"{text}: glob would read it otherwise"
        else:
            assert "*" not in text, text
        self.text, self.folder, self.recursive = text, [part.encode() for part in folder], last == "%%"

    def watches(self, folder: bytes) -> bool:
        """Whether events in this folder, which is there when osqueryd starts, come by this pattern."""
        parts = parts_of(folder)
        if len(parts) < len(self.folder) or (len(parts) > len(self.folder) and not self.recursive):
            return False
        return all(fits(pattern, name) for pattern, name in zip(self.folder, parts, strict=False))


def hides(exclude: str, path: bytes) -> bool:
    raw = exclude.encode()
    if raw.endswith(b"/%%"):
        return path.startswith(raw[:-2])
    return path == raw


def check_schema(pack: Mapping[str, Any]) -> None:
    assert set(pack) <= PACK_KEYS and pack["platform"] == "linux" and re.fullmatch(r"\d+\.\d+\.\d+", pack["version"])
    for query in pack["queries"].values():
        assert set(query) <= QUERY_KEYS and query["query"] and query["description"]
        assert isinstance(query["interval"], int) and 0 < query["interval"] <= 604_800
        assert query["removed"] is False and "file_events" in query["query"] and query["platform"] == "linux"
    for key in ("file_paths", "exclude_paths"):
        for category, patterns in pack[key].items():
            assert category in pack["file_paths"] and re.fullmatch(r"[a-z_]+", category)
            assert isinstance(patterns, list) and all(isinstance(one, str) and one for one in patterns)
            assert len(set(patterns)) == len(patterns)
    for patterns in pack["exclude_paths"].values():
        for one in patterns:
            assert "%" not in one.removesuffix("/%%") and "*" not in one and one.startswith("/"), one


def nearest_folder(path: bytes, folders: frozenset[bytes]) -> bytes:
    while path not in folders:
        path = os.path.dirname(path)
    return path


def check_pack(
    raw: bytes,
    watches: Sequence[Watch],
    *,
    folders: Iterable[bytes],
    files: Iterable[bytes] = (),
    news: Iterable[bytes] = (b"new",),
) -> Mapping[str, Any]:
    """Assert that the pack is one, and that what the watches want is seen, each by one category, and hidden by nothing.

    Args:
        raw: The pack's file.
        watches: With the real places behind links.
        folders: All folders of the host, links aside.
        files: All else there is.
        news: Names that may come in any folder.
    """
    pack: Mapping[str, Any] = json.loads(raw)
    check_schema(pack)
    there = frozenset(folders)
    patterns = {category: [Pattern(text) for text in texts] for category, texts in pack["file_paths"].items()}
    excludes = [one for texts in pack["exclude_paths"].values() for one in texts]
    categories_of = {
        folder: [category for category, some in patterns.items() if any(one.watches(folder) for one in some)] for folder in there
    }
    levels = {
        folder: {one.recursive for some in patterns.values() for one in some if one.watches(folder)} for folder in there
    }
    # Where one level and a tree share a folder, whoever comes last has it, and new subfolders may be lost.
    assert all(len(kinds) <= 1 for kinds in levels.values()), levels
    assert all(len(some) <= 1 for some in categories_of.values()), categories_of
    wanted = WatchSet(watches)
    roots = {watch.path for watch in watches}
    candidates = {*there, *files, *(folder.rstrip(b"/") + b"/" + name for folder in there for name in news)}
    for path in candidates:
        if wanted.watch_of(path, is_folder=path in there) is None:
            continue
        seen_in = path if path in there and path in roots else os.path.dirname(path)
        assert categories_of[seen_in], f"{path!r} is not seen: {pack['file_paths']}"
        assert not any(hides(one, path) for one in excludes), f"{path!r} is hidden by {excludes}"
    for watch in watches:
        if watch.path not in candidates and wanted.watch_of(watch.path) is not None:
            nearest = nearest_folder(watch.path, there)
            assert categories_of[nearest], f"the coming of {watch.path!r} is not seen"
    return pack
