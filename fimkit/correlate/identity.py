"""The stable identity of a finding: what was found, not when it was looked at. Pure."""

import hashlib
import json
from collections.abc import Sequence

from fimkit.model.changes import Actor
from fimkit.model.findings import Kind
from fimkit.model.json_form import render_state
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType

__all__ = ["identify"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_CONTENT = ("path", "type", "mode", "uid", "gid", "size", "sha256", "target", "xattrs")


def _essence(state: FileState | None) -> dict[str, object] | None:
    """Keep what a state is, and leave out what moves by itself: times, link counts, inode numbers, a folder's size."""
    if state is None:
        return None
    row = render_state(state)
    names = [name for name in _CONTENT if not (name == "size" and state.type is FileType.DIRECTORY)]
    return {name: row[name] for name in names}


def identify(host: str, path: bytes, kind: Kind, states: tuple[FileState | None, FileState | None], who: Sequence[Actor]) -> str:
    """Name a finding.

    Args:
        host: The host's name.
        path: The finding's path.
        kind: Its kind.
        states: Before and after. Attempted and transient findings are named by ``who`` alone, for their states pass.
        who: The actors of a denied try or of a passing file: login, user, program and the first event of each count.

    Returns:
        32 hexadecimal digits, the same in every check as long as the difference stays.
    """
    passing = not kind.lasts
    facts = {
        "host": host,
        "path": render_path(path),
        "kind": kind.value,
        "states": None if passing else [_essence(state) for state in states],
        "who": [[actor.auid, actor.uid, None if actor.exe is None else render_path(actor.exe), actor.event] for actor in who],
    }
    return hashlib.sha256(_ENCODER.encode(facts).encode()).hexdigest()[:32]
