"""Questions and answers about packages come through whole, and nothing else is taken for one."""

import marshal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.pin_rows import PinsRow
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.config import Config, Host, Watch
from fimkit.model.errors import ConfigError
from fimkit.model.findings import Attribution, ContentMark, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType
from fimkit.packages.pins import PinnedKey
from fimkit.packages.proof import Proof
from fimkit.verbs.explain import Explanation
from fimkit.verbs.explain_form import Question, parse_answer, parse_question, render_answer, render_question

__all__: list[str] = []

_NS = st.integers(-(2**70), 2**70)
_TEXT = st.text(max_size=8) | st.just("\udcff")
_BYTES = st.binary(max_size=8)
_STATE = st.builds(
    FileState, _BYTES, st.sampled_from(FileType), mode=st.none() | st.just(0o4755), size=st.none() | _NS,
    target=st.none() | _BYTES, xattrs=st.none() | st.dictionaries(_TEXT, _BYTES, max_size=2), problem=st.none() | _TEXT,
)  # fmt: skip
_ACTOR = st.builds(
    Actor, cmdline=st.none() | _TEXT, exe=st.none() | _BYTES, comm=st.none() | _BYTES, time_ns=_NS, user=st.none() | _TEXT
)
_FINDING = st.builds(
    Finding, path=_BYTES, kind=st.sampled_from(Kind), tier=st.sampled_from(Tier), severity=st.sampled_from(Severity),
    verdict=st.sampled_from(Verdict), attribution=st.sampled_from(Attribution), before=st.none() | _STATE, after=st.none() | _STATE,
    moved_to=st.none() | _BYTES, actors=st.lists(_ACTOR, max_size=2).map(tuple), reasons=st.lists(_TEXT, max_size=2).map(tuple),
    sources=st.lists(st.sampled_from(Source), max_size=3).map(tuple), first_seen_ns=_NS, last_seen_ns=_NS,
    content=st.none() | st.lists(st.builds(ContentMark), max_size=2).map(tuple),
)  # fmt: skip
_CHANGE = st.builds(
    Change, source=st.sampled_from(Source), action=st.sampled_from(Action), time_ns=_NS, path=st.none() | _BYTES,
    actor=st.none() | _ACTOR, dev=st.none() | _NS, node=st.none() | _TEXT, last_ns=st.none() | _NS,
)  # fmt: skip


@given(st.lists(_FINDING, max_size=3), st.lists(_CHANGE, max_size=3), st.booleans())
def test_a_question_comes_through_whole(findings: list[Finding], changes: list[Change], is_pinned: bool) -> None:
    asked = Question(
        config=Config(host=Host(name="h"), paths=(Watch(path=b"/\xff", exclude=("/a\udcfe/*",)),)),
        findings=tuple(findings), was_open=tuple(findings[:1]), changes=tuple(changes),
        pins=PinsRow(body={"keys": [{"file": "/x"}], "n": None}, who="eve", time_ns=5) if is_pinned else None,
    )  # fmt: skip
    assert parse_question(render_question(asked)) == asked


@given(st.lists(_FINDING, max_size=3), st.lists(_TEXT, max_size=2))
def test_an_answer_comes_through_whole(findings: list[Finding], words: list[str]) -> None:
    proof = Proof(path=b"/\xff", proved=frozenset({"sha256", "mode"}), package="a", reasons=("b",), older=False)
    answer = Explanation(findings, tuple(words), (proof,), (PinnedKey("F", b"\x00\xff", b"/k", "00"),), 7)
    assert parse_answer(render_answer(answer)) == answer


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | _TEXT, st.lists, max_leaves=9).map(marshal.dumps))
def test_what_is_no_answer_is_a_value_error(text: bytes) -> None:
    for parse in (parse_answer, parse_question):
        with pytest.raises(ValueError, match=r"."):
            parse(text)


def test_half_an_answer_is_none() -> None:
    whole = render_answer(Explanation([], ("words",)))
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            parse_answer(whole[:end])


def test_a_question_with_a_configuration_of_wrong_types_is_refused() -> None:
    asked = Question(config=Config(host=Host(name="h")), findings=(), pins=None)
    config, *rest = marshal.loads(render_question(asked))
    with pytest.raises(ConfigError):
        parse_question(marshal.dumps((config | {"paths": 1}, *rest)))
