"""Logs with holes, and of several hosts: less may be known then, and nothing wrong is said."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.model.findings import Attribution, Finding
from fimkit.model.json_form import render_finding
from fimkit.verbs.investigate import Investigation, investigate

INCIDENT = Path(__file__).parent.parent / "data/incident-01"
LINES = (INCIDENT / "audit.log").read_bytes().splitlines(keepends=True) if INCIDENT.exists() else []


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(INCIDENT / "fimkit.toml")


def judge(config: Config, *logs: Path) -> Investigation:
    return investigate(config, baseline=INCIDENT / "baseline.jsonl", after=INCIDENT / "after.jsonl", audit_logs=logs, now_ns=1)


def judge_lines(config: Config, folder: Path, lines: Sequence[bytes]) -> Investigation:
    log = folder / "audit.log"
    log.write_bytes(b"".join(lines))
    return judge(config, log)


def hold(whole: dict[bytes, Finding], findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.attribution is Attribution.EXACT:
            known = whole[finding.path]
            assert known.attribution is Attribution.EXACT, finding
            assert (known.kind, known.actors[0].pid) == (finding.kind, finding.actors[0].pid), finding


@pytest.fixture(scope="module")
def whole(config: Config) -> dict[bytes, Finding]:
    return {finding.path: finding for finding in judge(config, INCIDENT / "audit.log").findings}


def test_no_lost_record_makes_an_exact_attribution_wrong(config: Config, whole: dict[bytes, Finding], tmp_path: Path) -> None:
    for place in range(len(LINES)):
        hold(whole, judge_lines(config, tmp_path, LINES[:place] + LINES[place + 1 :]).findings)


@pytest.mark.parametrize("seed", range(40))
def test_many_lost_records_make_no_exact_attribution_wrong(
    config: Config, whole: dict[bytes, Finding], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    share = chance.choice([0.02, 0.1, 0.3])
    hold(whole, judge_lines(config, tmp_path, [line for line in LINES if chance.random() > share]).findings)


def plain(found: Investigation) -> list[object]:
    return [json.dumps(render_finding(finding)) for finding in found.findings]


def test_a_log_given_twice_or_in_pieces_says_the_same(config: Config, tmp_path: Path) -> None:
    expected = plain(judge(config, INCIDENT / "audit.log"))
    assert plain(judge(config, INCIDENT / "audit.log", INCIDENT / "audit.log")) == expected
    pieces = [tmp_path / "audit.log.2", tmp_path / "audit.log.1", tmp_path / "audit.log"]
    for number, piece in enumerate(pieces):
        piece.write_bytes(b"".join(LINES[number * 161 : (number + 1) * 161]))
    assert plain(judge(config, *pieces)) == expected


def test_a_raw_log_says_the_same_but_for_the_names_of_users(config: Config, tmp_path: Path) -> None:
    raw = judge_lines(config, tmp_path, [line.partition(b"\x1d")[0].rstrip(b"\n") + b"\n" for line in LINES])
    facts = [(one.path, one.kind, one.attribution, [actor.pid for actor in one.actors]) for one in raw.findings]
    rich = judge(config, INCIDENT / "audit.log").findings
    assert facts == [(one.path, one.kind, one.attribution, [actor.pid for actor in one.actors]) for one in rich]
    assert any(actor.user for one in rich for actor in one.actors)
    assert not any(actor.user for one in raw.findings for actor in one.actors)


def with_node(name: bytes) -> list[bytes]:
    return [b"node=" + name + b" " + line for line in LINES]


def test_the_only_node_of_a_log_is_the_host_whatever_its_name(config: Config, tmp_path: Path) -> None:
    found = judge_lines(config, tmp_path, with_node(b"another-name"))
    assert found.problems == ()
    assert plain(found) == plain(judge(config, INCIDENT / "audit.log"))


def test_records_of_other_hosts_in_one_log_name_nobody_and_are_told(config: Config, tmp_path: Path) -> None:
    own = config.host.name.encode() + b".example.org"
    others = [line.replace(b" pid=22", b" pid=99") for line in with_node(b"elsewhere")]
    found = judge_lines(config, tmp_path, [*with_node(own), *others])
    assert plain(found) == plain(judge(config, INCIDENT / "audit.log"))
    assert found.problems == (f"records of other hosts than {config.host.name!r} were left out: node elsewhere",)


def test_of_several_hosts_of_which_none_is_this_one_nobody_is_named(config: Config, tmp_path: Path) -> None:
    found = judge_lines(config, tmp_path, [*with_node(b"one"), *with_node(b"two")])
    assert {finding.attribution for finding in found.findings} == {Attribution.UNATTRIBUTED}
    assert len(found.problems) == 1
