"""Where `install` looks the watched paths up: on this host, or below ``--root``, without what an install itself has put there."""

import os
from dataclasses import dataclass

from fimkit.audit.rules import PathFacts
from fimkit.model.config import Config
from fimkit.model.paths import join_path
from fimkit.osquery.places import Place
from fimkit.verbs.installed import Memory
from fimkit.verbs.place import look_at
from fimkit.verbs.whole_files import below_root

__all__ = ["Viewpoint", "find_viewpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewpoint:
    """What stands before each path that is looked up, and which folders there count as none. ``words`` are for people."""

    base: bytes = b""
    made: frozenset[bytes] = frozenset()
    words: tuple[str, ...] = ()

    def look(self, path: bytes) -> PathFacts:
        """Say what a path is."""
        facts = look_at(path, self.base)
        if facts.real in self.made:
            facts = facts._replace(exists=False, is_folder=False)
        return facts._replace(parent_exists=facts.parent_exists and os.path.dirname(facts.real) not in self.made)

    def place(self, path: bytes) -> Place:
        """Say what a path is, and where its name and the nearest folder above it are."""
        facts = self.look(path)
        nearest = os.path.dirname(facts.real)
        while nearest != b"/" and (nearest in self.made or not os.path.isdir(self.base + nearest)):
            nearest = os.path.dirname(nearest)
        name_at = join_path(look_at(os.path.dirname(path), self.base).real, os.path.basename(path))
        return Place(facts.real, name_at, nearest, facts.is_folder, facts.exists, facts.is_link)


def find_viewpoint(config: Config, root: str | None, memory: Memory | None) -> Viewpoint:
    """Choose where to look.

    ``--root`` is the files of another host (an image, a mounted disk), or a folder that a packager fills for hosts like this one:
    where it has none of the watched paths, and this host has some or it not even folders above them, they are as they are here.

    Args:
        config: What is watched.
        root: The folder; ``None`` is this host.
        memory: What an earlier install left: folders that hold nothing else say nothing of the host, and a second install would
            not do what the first one did.
    """
    if root is None:
        return Viewpoint()
    base = os.path.abspath(os.fsencode(root)).rstrip(b"/")
    below = Viewpoint(base=base, made=_made(config, root, base, memory))
    if any(below.look(watch.path).exists for watch in config.paths):
        return below
    here = Viewpoint()
    is_blank = all(below.place(watch.path).nearest == b"/" for watch in config.paths)
    if is_blank or any(here.look(watch.path).exists for watch in config.paths):
        return Viewpoint(words=(f"--root {root}: none of the watched paths is there; they are taken to be as on this host",))
    return below


def _made(config: Config, root: str, base: bytes, memory: Memory | None) -> frozenset[bytes]:
    """Give the folders below ``base``, as the host has them, that an earlier install made and that hold only its own."""
    if memory is None:
        return frozenset()
    own = {os.fsencode(below_root(root, one.path)) for one in memory.files}
    own.add(os.path.join(os.fsencode(below_root(root, config.host.state_dir)), b"install.json"))
    made: set[bytes] = set()
    for folder in sorted(map(os.fsencode, memory.folders), key=len, reverse=True):
        try:
            inside = {os.path.join(folder, name) for name in os.listdir(folder)}
        except OSError:
            continue
        if folder.startswith(base + b"/") and inside <= own | made:
            made.add(folder)
    return frozenset(folder[len(base) :] for folder in made)
