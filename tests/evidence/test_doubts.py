"""Every word that correlation says of a finding is known to be on who did it, or on the file: merging tells them apart by it."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.correlate.correlate import correlate
from fimkit.evidence.finding_life import is_doubt, is_suspicion
from fimkit.model.changes import Action, StateDiff
from fimkit.model.config import Watch
from fimkit.model.watches import WatchSet
from fimkit.verbs import expected_changes
from tests.evidence.examples import NOW, a_change, a_state

MODULES = ["causes", "correlate", "judge", "lasting", "passing", "reasons", "witnesses"]

FACTS = (
    "7 denied 7: 7",
    "it came with its folder, renamed to 7",
    "it is another name (hard link) of 7",
    "it was renamed away",
    "it was renamed to 7",
    "its bytes are an older file's of this tree",
    "its folder 7 was renamed to 7",
    "osquery saw it with SHA-256 7",
    "osquery saw other bytes in between (SHA-256 7)",
    "the file was replaced by another one",
)
"""Reasons on what happened to the file, whoever did it; 7 stands for what is filled in."""

PARTS = (
    "7 of the 7 that can explain it",
    "7 processes could have 7: pid 7",
    " and 7 more",
    " and the last 7 of the others",
    "altered the extended attributes",
    "altered the mode",
    "brought it",
    "changed its times or names",
    "it gained the 7 bit",
    "made the bytes",
    "made the link",
    "no record names it: a process without an audit context (started before auditing), a file opened before the records begin",
    "of the 7 that can explain it the likeliest one and 7 of the last",
    "set the extended attributes",
    "set the mode",
    "set the 7",
    "the 7 that can explain it",
    "the one that can explain it",
)
"""Parts of other reasons, and what processes are said to have done."""


def texts(tree: ast.AST) -> Iterator[str]:
    """Give all text of a module but its docstrings, 7 for what is filled in."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inside | documents):
            yield node.value


@pytest.mark.parametrize("name", MODULES)
def test_each_text_is_a_doubt_or_a_suspicion_or_a_fact_and_one_of_these_alone(name: str) -> None:
    file = importlib.import_module(f"fimkit.correlate.{name}").__file__
    assert file is not None
    for text in texts(ast.parse(Path(file).read_text())):
        if text.count(" ") < 2 or text in PARTS:
            continue
        kinds = [is_doubt(text), is_suspicion(text), text in FACTS]
        assert kinds.count(True) == 1, f"{text!r} of {name}.py: tell finding_life._DOUBTS, or FACTS here, what it is on"


@pytest.mark.parametrize("is_web", [True, False])
def test_each_suspicion_of_the_judge_is_known(is_web: bool) -> None:
    pages = [a_state(b"/w/%d" % number, mode=0o644, ctime_ns=NOW - 1) for number in range(3)]
    after = a_state(b"/w/x", mode=0o6755, inode=5, xattrs={"security.capability": b"1"})
    (finding,) = correlate(
        host="web01", watches=WatchSet([Watch(path=b"/w", scan_content=is_web)]), before={page.path: page for page in pages},
        after={state.path: state for state in (*pages, after)}, seen_ns=NOW,
        diffs=[StateDiff(path=after.path, before=None, after=after, changed=())],
        changes=[a_change(b"/w/x", inode=5, action=Action.DENIED, error="EACCES")],
    )  # fmt: skip
    where = "among web content" if is_web else "in a folder of data alone"
    assert list(filter(is_suspicion, finding.reasons)) == [
        "a denied try", "it gained the set-user-id bit", "it gained the set-group-id bit", "it gained file capabilities",
        f"an executable {where}",
    ]  # fmt: skip


def test_what_a_ticket_says_of_who_did_it_is_a_doubt() -> None:
    file = Path(expected_changes.__file__)
    assert "but {but}" in file.read_text()
    either = ("two processes could have made it", "nothing recorded says for sure who made it")
    said = [text for text in texts(ast.parse(file.read_text())) if text in either]
    assert len(said) == 2
    for but in said:
        assert is_doubt(f"ticket 7 does not cover it: announced by eve, for auid 5, until 2026, but {but}")
    assert not is_doubt("ticket 7 does not cover it: announced by eve, for auid 5, until 2026, but its bytes could not be read")
    assert not is_doubt("announced: ticket 7 of eve: two processes could have made it")
