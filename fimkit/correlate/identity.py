"""The stable identity of a finding: what was found, not when it was looked at. Pure."""

import hashlib
import json
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as _quoted

from fimkit.model.changes import Actor
from fimkit.model.findings import Kind
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType

__all__ = ["identify"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _essence(state: FileState | None) -> str:
    """Keep what a state is, and leave out what moves by itself: times, link counts, inode numbers, a folder's size.

    It is the JSON that the encoder would write, which takes thrice the time: names sorted, no spaces.
    """
    if state is None:
        return "null"
    mode = "null" if state.mode is None else f'"{state.mode:04o}"'
    sha256 = "null" if state.sha256 is None else _quoted(state.sha256)
    size = "" if state.type is FileType.DIRECTORY else f'"size":{_number(state.size)},'
    target = "null" if state.target is None else _quoted(render_path(state.target))
    xattrs = "null" if state.xattrs is None else "{}"
    if state.xattrs:
        xattrs = _ENCODER.encode({name: render_path(value) for name, value in state.xattrs.items()})
    return (
        f'{{"gid":{_number(state.gid)},"mode":{mode},"path":{_quoted(render_path(state.path))},"sha256":{sha256},{size}'
        f'"target":{target},"type":"{state.type.value}","uid":{_number(state.uid)},"xattrs":{xattrs}}}'
    )


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


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
    told = "null" if passing else f"[{_essence(states[0])},{_essence(states[1])}]"
    rows = [[actor.auid, actor.uid, None if actor.exe is None else render_path(actor.exe), actor.event] for actor in who]
    facts = (
        f'{{"host":{_quoted(host)},"kind":"{kind.value}","path":{_quoted(render_path(path))},"states":{told},'
        f'"who":{_ENCODER.encode(rows) if rows else "[]"}}}'
    )
    return hashlib.sha256(facts.encode()).hexdigest()[:32]
