"""What an upgrade of the host's installation puts in place: announced before, taken into the baseline after.

``python -I -m fimkit.verbs.own_upgrade CONFIG NOTE announce BY… -- SOURCE TARGET…`` announces that what is at each SOURCE (a file,
a link, a tree) will be at its TARGET, or with an empty SOURCE that the TARGET goes; with ``settle`` alone after the NOTE, what has
become just that is taken into the baseline, and the announcement ends. BY are the programs that do it, NOTE is a file to remember
it by. The version that was in use runs both, whose store it is, for bootstrap's system.sh; what it could not do it says on
standard error.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fimkit.evidence.ticket_rows import AnnouncedActor
from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.model.errors import FimkitError
from fimkit.model.paths import parse_path, render_path, render_terminal
from fimkit.model.states import FileType
from fimkit.verbs.own_changes import Becoming, OwnChanges, announce, end_announcement, take_changes, watched_of

__all__ = ["announce_upgrade", "main", "plan_upgrade", "settle_upgrade"]

_WHY = "bootstrap --system"


def plan_upgrade(pairs: Sequence[tuple[bytes, bytes]]) -> OwnChanges:
    """Look at what is to be moved: each file by its bytes, each link by its target, what goes by its names.

    Args:
        pairs: Source and target; an empty source is a target that goes. What goes and is not there is left out.

    Raises:
        OSError: If a source cannot be read.
    """
    planned: dict[bytes, Becoming] = {}
    whole: list[bytes] = []
    for source, target in pairs:
        for path in _walk(source or target):
            planned[target + path[len(source or target) :]] = _look(path) if source else Becoming(type=None)
        if os.path.isdir(source or target) and not os.path.islink(source or target):
            whole.append(target)
    return OwnChanges(planned, tuple(whole))


def _walk(top: bytes) -> Iterator[bytes]:
    if not os.path.lexists(top):
        return
    yield top
    if not os.path.islink(top):
        for folder, folders, files in os.walk(top):
            yield from (os.path.join(folder, name) for name in (*folders, *files))


def _look(path: bytes) -> Becoming:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return Becoming(type=FileType.SYMLINK, target=os.readlink(path))
    if stat.S_ISDIR(mode):
        return Becoming(type=FileType.DIRECTORY)
    with open(path, "rb") as file:
        return Becoming(type=FileType.FILE, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def announce_upgrade(config: Config, own: OwnChanges, by: Sequence[bytes], note: Path) -> OwnChanges:
    """Announce what is watched of it; give that, with its tickets, which the note remembers too."""
    own = OwnChanges(watched_of(config, own.planned), own.whole)
    programs = [AnnouncedActor(text=render_path(program), exe=program) for program in map(os.path.realpath, by)]
    if own.planned:
        announce(config, own, by=programs, why=_WHY)
    rows = [
        [render_path(path), one.type, one.sha256, None if one.target is None else render_path(one.target)]
        for path, one in own.planned.items()
    ]
    note.write_text(json.dumps({"planned": rows, "whole": list(map(render_path, own.whole)), "tickets": own.tickets}))
    return own


def settle_upgrade(config: Config, note: Path) -> OwnChanges:
    """Take into the baseline what has become just what was announced, and end the announcement."""
    noted = json.loads(note.read_text())
    planned = {
        parse_path(path): Becoming(
            type=None if kind is None else FileType(kind), sha256=sha256, target=None if target is None else parse_path(target)
        )
        for path, kind, sha256, target in noted["planned"]
    }
    own = OwnChanges(planned, tuple(map(parse_path, noted["whole"])), tickets=noted["tickets"])
    try:
        if own.tickets:
            take_changes(config, own, why=_WHY)
    finally:
        end_announcement(config, own)
    return own


def main() -> int:
    """Announce or settle.

    Returns:
        0, or 1 where something of it could not be done; it is said.
    """
    config_file, note, step, *words = sys.argv[1:]
    try:
        config = load_config(config_file)
        if step == "announce":
            end = words.index("--")
            by, places = list(map(os.fsencode, words[:end])), list(map(os.fsencode, words[end + 1 :]))
            own = announce_upgrade(config, plan_upgrade(list(zip(places[::2], places[1::2], strict=True))), by, Path(note))
        else:
            own = settle_upgrade(config, Path(note))
    except (FimkitError, OSError, ValueError) as error:
        own = OwnChanges({}, words=[str(error)])
    sys.stderr.writelines(f"fimkit: {render_terminal(line)}\n" for line in own.words)
    return 1 if own.words else 0


if __name__ == "__main__":
    sys.exit(main())
