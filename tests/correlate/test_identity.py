"""What names a finding is the JSON of what it is, written as Python's own encoder would write it: names stay for ever."""

import hashlib
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fimkit.correlate.identity import identify
from fimkit.model.changes import Actor
from fimkit.model.findings import Kind
from fimkit.model.json_form import render_state
from fimkit.model.paths import render_path
from fimkit.model.states import FileState, FileType
from tests.evidence.examples import a_change

CONTENT = ("path", "type", "mode", "uid", "gid", "size", "sha256", "target", "xattrs")
NUMBER = st.none() | st.integers(0, 1 << 64)
STATE = st.builds(
    FileState, path=st.binary(max_size=9), type=st.sampled_from(FileType), mode=st.none() | st.integers(0, 0o7777), uid=NUMBER,
    gid=NUMBER, size=NUMBER, inode=NUMBER, nlink=NUMBER, sha256=st.none() | st.text(max_size=4),
    target=st.none() | st.binary(max_size=9),
    xattrs=st.none() | st.dictionaries(st.text(max_size=4), st.binary(max_size=9), max_size=3),
)  # fmt: skip


def essence(state: FileState | None) -> dict[str, object] | None:
    if state is None:
        return None
    row = render_state(state)
    return {name: row[name] for name in CONTENT if not (name == "size" and state.type is FileType.DIRECTORY)}


def actor(exe: bytes | None) -> Actor:
    made = a_change().actor
    assert made is not None
    return replace(made, exe=exe)


@given(
    st.text(max_size=5), st.binary(max_size=9), st.sampled_from(Kind), st.none() | STATE, st.none() | STATE,
    st.lists(st.builds(actor, st.none() | st.binary(max_size=9)), max_size=2),
)  # fmt: skip
def test_an_id_is_of_the_json_that_the_encoder_writes(
    host: str, path: bytes, kind: Kind, before: FileState | None, after: FileState | None, who: list[Actor]
) -> None:
    facts = {
        "host": host, "path": render_path(path), "kind": kind.value,
        "states": [essence(before), essence(after)] if kind.lasts else None,
        "who": [[one.auid, one.uid, None if one.exe is None else render_path(one.exe), one.event] for one in who],
    }  # fmt: skip
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    assert identify(host, path, kind, (before, after), who) == hashlib.sha256(text.encode()).hexdigest()[:32]
