"""Rules as text and as bytes: both ways, and as auditctl has them."""

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.audit.rule_codec import FIELDS, TEXT_FIELDS, Field, FilterList, Rule, RuleAction, decode_rule, encode_rule
from fimkit.audit.rule_text import MACHINES, parse_rule, parse_rules, render_rule
from fimkit.model.errors import RecordError

_NAMES = st.binary(min_size=1, max_size=40).map(lambda raw: b"/" + raw.replace(b"\0", b"x"))
_NUMBERS = st.integers(0, 2**32 - 1)
_FIELD = st.one_of(
    st.builds(Field, st.sampled_from(["dir", "path", "exe"]), st.just("="), _NAMES),
    st.builds(Field, st.just("key"), st.just("="), st.binary(min_size=1, max_size=31).filter(lambda raw: b"\0" not in raw)),
    st.builds(
        Field,
        st.sampled_from(sorted(set(FIELDS) - TEXT_FIELDS - {"exit"})),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "&", "&="]),
        _NUMBERS,
    ),
    st.builds(Field, st.just("exit"), st.just("="), st.integers(-(2**31), 2**31 - 1)),
)
_RULES = st.builds(
    Rule,
    filter_list=st.sampled_from(FilterList),
    action=st.sampled_from(RuleAction),
    fields=st.lists(_FIELD, min_size=1, max_size=12).map(tuple),
    calls=st.one_of(st.none(), st.frozensets(st.integers(0, 500), max_size=20)),
)


@given(_RULES)
def test_bytes_of_a_rule_read_back_as_the_same_rule(rule: Rule) -> None:
    assert decode_rule(encode_rule(rule)) == rule


@given(st.binary(max_size=1200))
def test_reading_any_bytes_raises_nothing_but_a_record_error(raw: bytes) -> None:
    with contextlib.suppress(RecordError):
        decode_rule(raw)


@given(st.text(max_size=200))
def test_reading_any_text_raises_nothing_but_a_record_error(text: str) -> None:
    for line in (text, "-a always,exit -F " + text, "-a always,exit -S " + text):
        with contextlib.suppress(RecordError):
            parse_rules(line, machine="x86_64")


@given(st.binary(min_size=1, max_size=30).filter(lambda raw: not any(byte < 33 or byte in b"\\" for byte in raw)))
def test_text_of_a_path_rule_reads_back_as_the_same_rule(name: bytes) -> None:
    fields = (Field("arch", "=", 0xC000003E), Field("dir", "=", b"/" + name), Field("perm", "=", 10), Field("key", "=", b"k"))
    rule = Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=fields)
    assert parse_rule(render_rule(rule, machine="x86_64"), machine="x86_64") == rule


def test_escaped_space_stays_in_the_name() -> None:
    rule = parse_rule(r"-a always,exit -F dir=/srv/a\ b -F perm=wa -F key=k", machine="x86_64")
    assert rule.text_of("dir") == b"/srv/a b"


def test_action_and_list_come_in_either_order() -> None:
    first, second = (parse_rule(f"-a {pair} -F auid=1000", machine="x86_64") for pair in ("exit,never", "never,exit"))
    assert first == second and first.action is RuleAction.NEVER


@pytest.mark.parametrize(
    "line", ["-w /etc -p wa", "-D", "-e 2", "-b 8192", "-a always", "-a always,exit -F dir", "-a never,entry -F uid=0"]
)
def test_what_is_no_rule_is_refused(line: str) -> None:
    with pytest.raises(RecordError):
        parse_rule(line, machine="x86_64")


def test_b32_is_refused_where_the_machine_has_none() -> None:
    with pytest.raises(RecordError, match="b64"):
        parse_rule("-a always,exit -F arch=b32 -F dir=/etc", machine="aarch64")


def test_rule_that_would_record_every_call_of_the_host_is_refused() -> None:
    with pytest.raises(RecordError, match="every system call"):
        encode_rule(Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=()))


def test_key_longer_than_the_kernel_takes_is_refused() -> None:
    with pytest.raises(RecordError, match="31"):
        encode_rule(parse_rule("-a always,exit -F dir=/etc -F key=" + "k" * 32, machine="x86_64"))


def test_error_names_the_line_of_the_file() -> None:
    with pytest.raises(RecordError, match="line 3"):
        parse_rules("# words\n\n-w /etc\n", machine="x86_64")


def test_this_machine_has_arches() -> None:
    assert os.uname().machine in MACHINES
