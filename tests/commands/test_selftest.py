"""The table of `selftest` is narrow, whole, and safe to print."""

from fimkit.commands.selftest_text import render_selftest
from fimkit.model.changes import Source
from fimkit.model.findings import Tier
from fimkit.verbs.canary_file import Operation
from fimkit.verbs.selftest_report import RootSeen, SelfTest, SourceSeen, render_root

GOOD = SourceSeen(seen=True, operations={Operation.CREATE: 0.5, Operation.REMOVE: 12345.6}, logged=True, ok=True)
UNSEEN = SourceSeen(seen=False, operations={Operation.CREATE: None}, logged=False, ok=False, why="a reason " * 30)
UNLOGGED = SourceSeen(seen=True, operations={Operation.CREATE: 1.0}, logged=False, ok=False, why="the log")
PARTLY = SourceSeen(seen=True, operations={Operation.CREATE: 1.0, Operation.CHMOD: None}, ok=False, why="not seen: chmod")
ABSENT = SourceSeen(why="osquery is not on this host")


def root(
    path: bytes, *, audit: SourceSeen = GOOD, osquery: SourceSeen = ABSENT, scan: SourceSeen = GOOD, why: str = ""
) -> RootSeen:
    sources = {Source.AUDIT: audit, Source.OSQUERY: osquery, Source.SCAN: scan}
    return RootSeen(path=path, tier=Tier.CRITICAL, folder=path, sources=sources, ok=audit.ok, why=why)


def test_no_line_is_wider_than_asked_and_a_long_path_stands_alone() -> None:
    rows = [root(b"/sbin", audit=UNSEEN, osquery=UNLOGGED, scan=PARTLY, why="words " * 40), root(b"/very" * 15)]
    for width in (80, 100, 132):
        lines = list(render_selftest(rows, width=width))
        assert all(len(line) <= min(width, 100) for line in lines)
    assert "  " + "/very" * 15 in lines
    text = "\n".join(lines)
    assert all(word in text for word in ("NOT SEEN", "NOT LOGGED", "IN PART", "12.3 s", "audit: a reason", "not seen: chmod"))


def test_osquery_that_is_not_there_is_told_once() -> None:
    lines = list(render_selftest([root(b"/a"), root(b"/b")]))
    assert sum("not on this host" in line for line in lines) == 1


def test_path_cannot_write_to_the_terminal() -> None:
    text = "".join(render_selftest([root(b"/\x1b[2J\xff\xe2\x80\xae")]))
    assert text.isprintable() and "%1B" in text


def test_json_has_what_the_table_has() -> None:
    row = render_root(root(b"/a%", audit=PARTLY))
    assert row["path"] == "/a%25" and row["tier"] == "critical" and row["ok"] is False
    assert row["sources"]["audit"] == {
        "seen": True, "after_ms": 1.0, "operations": {"create": 1.0, "chmod": None}, "logged": None, "ok": False,
        "why": "not seen: chmod",
    }  # fmt: skip


def test_only_a_test_that_tried_something_and_saw_everything_is_good() -> None:
    untried = RootSeen(path=b"/x", tier=Tier.WATCH, folder=None, sources={}, ok=None)
    assert SelfTest(roots=(root(b"/a"), untried)).ok
    assert not SelfTest(roots=(untried,)).ok and not SelfTest(roots=()).ok
    assert not SelfTest(roots=(root(b"/a"), root(b"/b", audit=UNSEEN))).ok
