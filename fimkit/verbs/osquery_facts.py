"""What the osquery linter asks of a host: where patterns lead, how many folders lie below, what inotify gives. Reads only."""

import glob
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fimkit.model.config import Config
from fimkit.model.paths import is_below
from fimkit.osquery.coverage import Base, Reach, parse_watch_pattern
from fimkit.osquery.lint_facts import InotifyLimits, LintFacts, TreeCount
from fimkit.osquery.lint_inotify import read_max_of
from fimkit.osquery.osquery_config import OsqueryConfig
from fimkit.osquery.places import Place
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.place import look_at, process_name
from fimkit.verbs.viewpoint import Viewpoint

__all__ = ["count_tree", "find_bases", "gather_lint_facts", "load_inotify_limits", "placer"]

_COUNT_S = 20.0
_LIMITS = Path("/proc/sys/fs/inotify")


def placer(base: bytes) -> Callable[[bytes], Place]:
    """Give what looks a path up on the host whose files lie below ``base``."""
    return Viewpoint(base=base).place


def find_bases(pattern: bytes, base: bytes = b"") -> tuple[Base, ...]:
    """Find what a ``file_paths`` pattern stands for on the host now; none where nothing is there."""
    parsed = parse_watch_pattern(pattern)
    if parsed.reach is Reach.NONE:
        return ()
    if b"%" in parsed.base:
        # glob(3) as osqueryd calls it: a wildcard takes no hidden name.
        found = sorted(glob.glob(glob.escape(base) + parsed.base.replace(b"%", b"*")))
        paths = [path[len(base) :] for path in found]
    else:
        paths = [parsed.base]
    facts = ((path, look_at(path, base)) for path in paths)
    return tuple(Base(path, seen.real, seen.is_folder) for path, seen in facts if seen.exists)


def _watched_folders(bases: Mapping[bytes, tuple[Base, ...]]) -> tuple[list[bytes], list[bytes]]:
    """Give the outermost trees, and the single levels that lie in none of them; other patterns cost one watch each."""
    trees: set[bytes] = set()
    single: set[bytes] = set()
    for pattern, found in bases.items():
        reach = parse_watch_pattern(pattern).reach
        for base in found:
            (trees if reach is Reach.TREE and base.is_folder else single).add(base.real)
    outermost = [tree for tree in trees if not any(tree != other and is_below(tree, other) for other in trees)]
    return outermost, [path for path in single if not any(is_below(path, tree) for tree in outermost)]


def count_tree(
    bases: Mapping[bytes, tuple[Base, ...]], base: bytes = b"", *, read_max: int, within_s: float = _COUNT_S
) -> TreeCount:
    """Count the folders that osqueryd puts a watch on, and the files in them that it does not hash.

    A folder is one watch, however many patterns take it in; excluded ones are too. Links are not followed.

    Args:
        bases: What the patterns stand for.
        base: What stands before every path.
        read_max: The size of the biggest file that is hashed.
        within_s: After this time the count is broken off.
    """
    trees, single = _watched_folders(bases)
    until = time.monotonic() + within_s
    folders, big, biggest, size = 0, 0, None, 0
    todo = [*((path, True) for path in trees), *((path, False) for path in single)]
    while todo:
        if time.monotonic() > until:
            return TreeCount(folders, big, biggest, size, is_whole=False)
        path, is_tree = todo.pop()
        folders += 1
        for name, mode, length in _list(base + path):
            child = path.rstrip(b"/") + b"/" + name
            if stat.S_ISDIR(mode) and is_tree:
                todo.append((child, True))
            elif stat.S_ISREG(mode) and length > read_max:
                big += 1
                if length > size:
                    biggest, size = child, length
    return TreeCount(folders, big, biggest, size)


def _list(path: bytes) -> Iterable[tuple[bytes, int, int]]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                yield entry.name, seen.st_mode, seen.st_size
    except OSError:
        return


def _limit(name: str) -> int | None:
    try:
        return int((_LIMITS / name).read_text())
    except (OSError, ValueError):
        return None


def load_inotify_limits() -> InotifyLimits:
    """Read this kernel's limits, and, as root, what root's processes hold of them: the limits are a user's, not a process's."""
    limits = InotifyLimits(*(_limit(name) for name in ("max_user_watches", "max_user_instances", "max_queued_events")))
    if os.geteuid() != 0:
        return limits
    watches = instances = own = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != 0:
                continue
            held = _inotify_of(process)
        except OSError:
            continue
        if process_name(int(process.name)) == "osqueryd":
            own += sum(held)
        else:
            watches, instances = watches + sum(held), instances + len(held)
    return limits._replace(other_watches=watches, other_instances=instances, osqueryd_watches=own)


def _inotify_of(process: Path) -> list[int]:
    """How many watches each inotify instance of a process has. Source: proc(5), /proc/PID/fdinfo."""
    found = []
    for descriptor in (process / "fd").iterdir():
        try:
            if os.readlink(descriptor) == "anon_inode:inotify":
                found.append((process / "fdinfo" / descriptor.name).read_text().count("inotify wd:"))
        except OSError:
            continue
    return found


def gather_lint_facts(config: Config, installation: OsqueryConfig, *, base: bytes = b"") -> LintFacts:
    """Look at the host for the linter.

    Args:
        config: What fimkit is to watch.
        installation: What osqueryd is.
        base: The folder below which the host's files lie; empty is this host.
    """
    patterns = dict.fromkeys(one.pattern for one in installation.file_paths)
    bases = {pattern: find_bases(pattern, base) for pattern in patterns}
    return LintFacts(
        watches=tuple(scanned_watches(config, lambda path: look_at(path, base))),
        bases=bases,
        look=placer(base),
        count=count_tree(bases, base, read_max=read_max_of(installation)),
        limits=InotifyLimits() if base else load_inotify_limits(),
        osquery_log=config.sources.osquery_log,
    )
