"""A check verifies what is new in the chain, and makes findings of what was altered past fimkit."""

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.heads import say_head
from fimkit.evidence.pin_rows import PinsRow
from fimkit.model.config import Sources
from fimkit.model.errors import UsageError
from fimkit.model.findings import Kind, Severity, Tier
from fimkit.panic.trigger import may_panic
from fimkit.verbs.check import CheckOptions, check
from fimkit.verbs.evidence import find_chain_findings, load_head, render_verdict, verify_evidence
from tests.evidence.examples import a_change
from tests.verbs.baseline_host import SmallHost, make_host

NOW = 1_800_000_000_000_000_000
DAY = 86_400_000_000_000


@pytest.fixture
def host(tmp_path: Path) -> SmallHost:
    made = make_host(tmp_path)
    made.config = replace(
        made.config, sources=Sources(audit_log=b"/nowhere/a", osquery_log=b"/nowhere/b", package_root=b"", osquery_config=b"")
    )
    return made


def edit(host: SmallHost, *statements: str) -> None:
    connection = sqlite3.connect(os.path.join(host.config.host.state_dir, b"fimkit.sqlite"))
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def broken(host: SmallHost, now_ns: int) -> list[tuple[Tier, str]]:
    with host.store() as store:
        findings, words = find_chain_findings(host.config, store, now_ns=now_ns)
    assert not words
    return [(finding.tier, finding.reasons[0]) for finding in findings]


def test_check_of_a_whole_store_finds_nothing_and_one_of_an_altered_row_a_critical_tampering(host: SmallHost) -> None:
    host.found("a", Kind.MODIFIED)
    assert all(finding.kind is not Kind.TAMPERED for finding in check(host.config, CheckOptions()).open)
    edit(host, "UPDATE acceptances SET who = 'mallory'")
    os.unlink(os.path.join(host.config.host.state_dir, b"evidence-head.json"))
    (found,) = [finding for finding in check(host.config, CheckOptions()).new if finding.kind is Kind.TAMPERED]
    assert found.severity is Severity.CRITICAL and may_panic(found)
    assert "the acceptance 1 was altered" in found.reasons[0]
    again = check(host.config, CheckOptions())
    assert [finding.id for finding in again.open if finding.kind is Kind.TAMPERED] == [found.id]


def test_accepted_break_stays_accepted(host: SmallHost) -> None:
    edit(host, "UPDATE acceptances SET who = 'mallory'")
    (found,) = [finding for finding in check(host.config, CheckOptions()).new if finding.kind is Kind.TAMPERED]
    with host.store() as store:
        store.accept([], who="ada", why="seen", time_ns=NOW, finding_ids=[found.id])
    assert not [finding for finding in check(host.config, CheckOptions()).open if finding.kind is Kind.TAMPERED]


def test_what_is_old_is_verified_once_a_day(host: SmallHost) -> None:
    with host.store() as store:
        store.add_changes([a_change(b"/etc/a", serial=1)])
    assert broken(host, NOW) == []
    edit(host, "UPDATE changes SET uid = 0, size = 7")
    host.found("a", Kind.MODIFIED)
    assert broken(host, NOW + DAY - 1) == []
    assert [tier for tier, _ in broken(host, NOW + DAY)] == [Tier.CRITICAL]
    assert [tier for tier, _ in broken(host, NOW - 1)] == [Tier.CRITICAL]  # a clock that went back


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE acceptances SET who = 'mallory'", "the acceptance 1 was altered"),
        ("UPDATE package_pins SET body = '{\"deb_keys\": {}}'", "what packages are trusted by was altered"),
        ("DELETE FROM seals", "the seal 1 was deleted"),
        ("INSERT INTO seals VALUES (9, 1, 'k', 'b')", "the seal 9 is in no link: put in past fimkit"),
    ],
)
def test_what_little_there_is_of_is_looked_at_in_every_check_and_is_one_finding(
    host: SmallHost, statement: str, expected: str
) -> None:
    with host.store() as store:
        store.set_pins(PinsRow(body={"v": 1}, who="ada", time_ns=NOW))
        store.add_seal(1, time_ns=NOW, key="k", body="b")
    assert broken(host, NOW) == []
    edit(host, statement)
    (found,) = broken(host, NOW + 1)
    assert found[0] is Tier.CRITICAL and expected in found[1]
    with host.store() as store:
        (first,) = find_chain_findings(host.config, store, now_ns=NOW + 1)[0]
        store.put_findings([first], now_ns=NOW + 1)  # the end of the chain moves
        assert [one.id for one in find_chain_findings(host.config, store, now_ns=NOW + 2)[0]] == [first.id]


def test_trigger_that_drops_findings_is_taken_out_before_it_can_and_is_critical(host: SmallHost) -> None:
    assert not [one for one in check(host.config, CheckOptions()).open if one.severity is Severity.CRITICAL]
    edit(host, "CREATE TRIGGER helpful BEFORE INSERT ON findings BEGIN SELECT RAISE(IGNORE); END")
    assert any("the trigger 'helpful' (" in one.words for one in verify_evidence(host.config.host.state_dir).broken)
    Path(os.fsdecode(host.config.paths[0].path), "a").write_text("changed")
    found = check(host.config, CheckOptions())
    assert {one.kind for one in found.new} == {Kind.TAMPERED, Kind.MODIFIED}
    (tampered,) = [one for one in found.new if one.kind is Kind.TAMPERED]
    assert tampered.severity is Severity.CRITICAL and may_panic(tampered)
    assert "the trigger 'helpful'" in tampered.reasons[0] and "RAISE(IGNORE)" in tampered.reasons[0]
    assert [one.id for one in check(host.config, CheckOptions()).open if one.kind is Kind.TAMPERED] == [tampered.id]


def test_end_that_is_cut_off_with_its_counter_shows_in_the_next_check(host: SmallHost) -> None:
    Path(os.fsdecode(host.path("a"))).write_text("changed")
    assert check(host.config, CheckOptions()).new
    edit(host, "DELETE FROM findings WHERE row_id = (SELECT max(row_id) FROM findings)",
         "DELETE FROM chain WHERE seq = (SELECT max(seq) FROM chain)",
         "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM chain) WHERE name = 'chain'")  # fmt: skip
    (found,) = [one for one in check(host.config, CheckOptions()).new if one.kind is Kind.TAMPERED]
    assert found.severity is Severity.HIGH and "was cut off, or this is an older copy" in found.reasons[0]
    assert found.id in {one.id for one in check(host.config, CheckOptions()).open}


def test_older_copy_put_back_is_said_and_starts_no_panic(host: SmallHost) -> None:
    file = os.fsdecode(os.path.join(host.config.host.state_dir, b"fimkit.sqlite"))
    shutil.copy(file, file + ".bak")
    host.found("a", Kind.MODIFIED)
    assert broken(host, NOW) == []
    os.replace(file + ".bak", file)
    (one,) = broken(host, NOW + 1)
    assert one[0] is Tier.WATCH and "its end was cut off, or this is an older copy" in one[1]


def test_point_that_cannot_be_read_is_said_and_everything_is_verified(host: SmallHost) -> None:
    place = Path(os.fsdecode(host.config.host.state_dir)) / "evidence-head.json"
    place.write_text("[1")
    os.chmod(place, 0o600)
    with host.store() as store:
        findings, words = find_chain_findings(host.config, store, now_ns=NOW)
    assert not findings and "the whole evidence chain is verified" in words[0]
    place.unlink()
    place.symlink_to("/etc/passwd")
    with host.store() as store:
        assert "symbolic link" in find_chain_findings(host.config, store, now_ns=NOW)[1][0]


def test_verdict_in_json_names_the_first_bad_link_and_what_is_unsure_since(host: SmallHost) -> None:
    host.found("a", Kind.MODIFIED)
    state_dir = host.config.host.state_dir
    head = say_head(state_dir)
    assert head is not None and render_verdict(verify_evidence(state_dir, [head]))["whole"]
    edit(host, "UPDATE chain SET digest = zeroblob(32) WHERE seq = 2")
    said = render_verdict(verify_evidence(state_dir))
    assert not said["whole"] and said["broken"][0]["link"] == 2
    last = load_head(state_dir)
    assert last is not None and said["unsure"] == {"first": 3, "last": last.seq}
    with pytest.raises(UsageError, match="no head in"):
        verify_evidence(state_dir, ["7:abc"])
