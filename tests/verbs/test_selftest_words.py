"""What was seen and what was not says why, and what to do."""

from dataclasses import replace

import pytest

from fimkit.audit.kernel import AuditStatus
from fimkit.audit.rule_codec import Field, FilterList, Rule, RuleAction
from fimkit.model.config import Sources
from fimkit.model.errors import HostError, OsqueryAbsentError, OsqueryQueryError
from fimkit.testing.kernel import FakeKernel
from fimkit.verbs.canary_file import Operation
from fimkit.verbs.selftest_audit import AuditFacts, load_audit_facts
from fimkit.verbs.selftest_osquery import OsqueryFacts, load_osquery_facts
from fimkit.verbs.selftest_report import SourceSeen
from fimkit.verbs.selftest_words import AuditHeard, OsqueryHeard, judge_audit, judge_osquery, judge_scan, judge_single_file

DONE = tuple(Operation)
ALL = dict.fromkeys(DONE, 1.5)
SOME = {Operation.CREATE: 2.0}
RUNNING = AuditStatus(enabled=1, failure=1, pid=7, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)
RULE = Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=(Field("dir", "=", b"/srv"), Field("perm", "=", 10)))
GOOD = AuditFacts(status=RUNNING, rules=(RULE,))


def audit(heard: AuditHeard, facts: AuditFacts = GOOD) -> SourceSeen:
    return judge_audit(DONE, heard, facts, folder=b"/srv/x", path=b"/srv/x/canary", log=b"/log/audit.log")


def test_all_seen_and_logged_says_nothing() -> None:
    seen = audit(AuditHeard(kernel={**ALL, Operation.REMOVE: 9.0}, log=ALL))
    assert (seen.seen, seen.logged, seen.ok, seen.why, seen.after_ms) == (True, True, True, "", 9.0)


def test_log_alone_is_enough_where_the_kernel_cannot_be_heard() -> None:
    seen = audit(AuditHeard(kernel=None, log=ALL, kernel_trouble="no right"))
    assert (seen.seen, seen.ok, seen.why) == (True, True, "")


@pytest.mark.parametrize(
    ("heard", "facts", "words"),
    [
        (AuditHeard(kernel={}, log={}), replace(GOOD, status=RUNNING._replace(enabled=0)), "auditing is off"),
        (AuditHeard(kernel={}, log={}), replace(GOOD, rules=()), "run `fimkit install`"),
        (AuditHeard(kernel={}, log={}), replace(GOOD, obstacles=("-a never,task: no process",)), "-a never,task"),
        (AuditHeard(kernel={}, log={}), GOOD, "audit=1"),
        (AuditHeard(kernel={}, log={}, any_seen=True), GOOD, "a file system was mounted there"),
        (AuditHeard(kernel=None, log=None, kernel_trouble="K", log_trouble="L"), GOOD, "of what it records: K; L"),
        (AuditHeard(kernel={}, log=None), AuditFacts(trouble="in a container"), "in a container"),
    ],
)
def test_unseen_canary_has_its_reason(heard: AuditHeard, facts: AuditFacts, words: str) -> None:
    seen = audit(heard, facts)
    assert (seen.seen, seen.ok) == (False, False) and words in seen.why


def test_part_that_is_missing_is_named_and_lost_records_are_too() -> None:
    seen = audit(AuditHeard(kernel=SOME, log=SOME))
    assert (seen.seen, seen.ok) == (True, False) and seen.why.startswith("not seen: modify, chmod, rename, remove")
    assert "live records were lost" in audit(AuditHeard(kernel=SOME, log=SOME, was_lost=True)).why
    assert audit(AuditHeard(kernel=SOME, log=ALL, was_lost=True)).ok is True  # what check reads is whole


def test_unlogged_records_name_the_log_and_who_has_the_socket() -> None:
    facts = replace(GOOD, advice=("no process owns the audit socket, so no log is written: start auditd",))
    seen = audit(AuditHeard(kernel=ALL, log={}), facts)
    assert (seen.seen, seen.logged, seen.ok) == (True, False, False)
    assert "/log/audit.log" in seen.why and "start auditd" in seen.why
    assert "is sources.audit_log the log" in audit(AuditHeard(kernel=ALL, log={})).why


def test_single_file_is_judged_by_its_rule() -> None:
    assert judge_single_file(b"/srv/f", GOOD).ok is None
    assert judge_single_file(b"/etc/f", GOOD).ok is False
    assert judge_single_file(b"/etc/f", AuditFacts(trouble="no right")).ok is None


def test_rules_on_trees_and_files_cover_what_they_name() -> None:
    single = replace(RULE, fields=(Field("path", "=", b"/etc/f"),))
    never = replace(RULE, action=RuleAction.NEVER, fields=(Field("dir", "=", b"/opt"),))
    facts = replace(GOOD, rules=(RULE, single, never))
    assert facts.has_rule(b"/srv/a") and facts.has_rule(b"/etc/f")
    assert not any(map(facts.has_rule, (b"/srvx", b"/etc/g", b"/opt/x")))


def test_kernel_that_refuses_is_words() -> None:
    facts = load_audit_facts(lambda: FakeKernel(deny=HostError("no right here")))
    assert facts.status is None and facts.trouble == "no right here"
    assert load_audit_facts(lambda: FakeKernel()).status is not None


def test_scan_that_missed_something_says_so() -> None:
    assert judge_scan(DONE, ALL).ok is True
    seen = judge_scan(DONE, SOME)
    assert (seen.seen, seen.ok) == (True, False) and "not seen: modify" in seen.why


SOURCES = Sources(osquery_log=b"/log/osqueryd.results.log")
ANSWERS = OsqueryFacts(is_there=True, interval_s=60, is_scheduled=True)


@pytest.mark.parametrize(
    ("heard", "facts", "seen", "words"),
    [
        (OsqueryHeard(log=SOME, asked=SOME), ANSWERS, True, "drops events"),
        (OsqueryHeard(log={}, asked=ALL, waited_s=5), ANSWERS, True, "runs every 60 s, and 5 s were waited for"),
        (OsqueryHeard(log={}, asked=ALL, waited_s=90), ANSWERS, True, "did not show it within 90 s"),
        (OsqueryHeard(log=None, asked=ALL), ANSWERS, True, "there is no log at /log/osqueryd.results.log"),
        (OsqueryHeard(log={}, asked=ALL), replace(ANSWERS, is_scheduled=False), True, "no scheduled query"),
        (OsqueryHeard(log={}, asked={}), ANSWERS, False, "inotify watches"),
        (OsqueryHeard(log={}, asked={}), replace(ANSWERS, traps=("T",)), False, "sees no files: T"),
        (OsqueryHeard(log=None, asked=None), replace(ANSWERS, trouble="no socket"), False, "start it"),
        (OsqueryHeard(log={}, asked=None, waited_s=9), replace(ANSWERS, trouble="no socket"), False, "showed nothing for 9 s"),
    ],
)
def test_osquerys_silence_has_its_reason(heard: OsqueryHeard, facts: OsqueryFacts, seen: bool, words: str) -> None:
    judged = judge_osquery(DONE, heard, facts, SOURCES)
    assert (judged.seen, judged.ok) == (seen, False) and words in judged.why


def test_osquery_that_is_not_there_is_not_counted() -> None:
    judged = judge_osquery(DONE, OsqueryHeard(log=None, asked=None), OsqueryFacts(is_there=False), SOURCES)
    assert (judged.seen, judged.ok) == (None, None) and "not on this host" in judged.why


def answers(tables: dict[str, list[dict[str, str]]]) -> OsqueryFacts:
    def query(sql: str) -> list[dict[str, str]]:
        (name,) = [name for name in tables if f"FROM {name}" in sql] or [""]
        if not name:
            raise OsqueryQueryError("no such table")
        return tables[name]

    return load_osquery_facts(Sources(osquery_config=b"/"), query)


def test_quickest_query_on_file_events_counts_and_others_do_not() -> None:
    facts = answers({
        "osquery_schedule": [
            {"name": "a", "query": "select * from process_file_events", "interval": "1"},
            {"name": "b", "query": "SELECT * FROM file_events;", "interval": "300"},
            {"name": "c", "query": "SELECT * FROM File_Events", "interval": "60"},
        ]
    })  # fmt: skip
    assert (facts.interval_s, facts.is_scheduled) == (60, True) and facts.patience_s > 60
    none = answers({"osquery_schedule": []})
    assert (none.interval_s, none.is_scheduled) == (None, False)


def test_flags_and_dead_publishers_are_traps() -> None:
    facts = answers({
        "osquery_schedule": [],
        "osquery_flags": [{"name": "disable_events", "value": "true"}, {"name": "enable_file_events", "value": "false"}],
        "osquery_events": [{"name": "inotify", "active": "0"}],
    })  # fmt: skip
    assert len(facts.traps) == 3


def test_osqueryd_that_does_not_answer_leaves_the_configured_interval() -> None:
    def query(sql: str) -> list[dict[str, str]]:
        raise OsqueryAbsentError("nobody listens")

    facts = load_osquery_facts(Sources(osquery_config=b"/", osquery_interval_s=77), query)
    assert (facts.trouble, facts.interval_s, facts.is_scheduled) == ("nobody listens", 77, None)
    nowhere = Sources(osquery_config=b"", osquery_log=b"/nowhere/x", osquery_socket=b"/nowhere/y")
    assert load_osquery_facts(nowhere, query).is_there is False
