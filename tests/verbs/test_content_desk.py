"""Findings and what is in their files: judged before they are told, in time or later; through processes that stop, die and end."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from fimkit.evidence.store import Store, open_store
from fimkit.model.changes import Source
from fimkit.model.config import Config, Content, Host, Watch
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.verbs.content_desk import ContentDesk, Judged
from fimkit.verbs.look import Looker
from tests.evidence.examples import a_finding, an_actor

__all__: list[str] = []

SHELL = b"<?php\n// a gallery\nsystem($_GET['c']);\n"


class Place:
    """A web root with a store beside it."""

    def __init__(self, base: Path) -> None:
        self.base, self.www = base, base / "www"
        self.www.mkdir()
        (base / "plain").mkdir()
        (base / "state").mkdir(mode=0o700)
        self.config = Config(
            host=Host(name="web01", state_dir=os.fsencode(base / "state")),
            paths=(
                Watch(path=os.fsencode(self.www), scan_content=True, handler=("/bin/echo", "%%")),
                Watch(path=os.fsencode(base / "plain")),
            ),
            content=Content(access_logs=(os.fsencode(base / "access.log"),)),
        )
        self.store: Store = open_store(self.config.host.state_dir, create=True)

    def finding(self, name: str, content: bytes = SHELL, **more: object) -> Finding:
        path = self.www / name
        path.write_bytes(content)
        state = Looker().look(os.fsencode(path))
        assert state is not None
        actor = an_actor(uid=33, exe=b"/usr/sbin/php-fpm", time_ns=time.time_ns())
        plain = a_finding(
            name, os.fsencode(path), kind=Kind.CREATED, tier=Tier.WATCH, severity=Severity.MEDIUM, before=None, after=state,
            changed=(), actors=(actor,), reasons=("made",), first_seen_ns=time.time_ns(), last_seen_ns=time.time_ns(),
        )  # fmt: skip
        made = replace(plain, **more)  # type: ignore[arg-type]
        self.store.add_findings([made], now_ns=made.last_seen_ns)
        return made

    def stored(self, number: str) -> Finding:
        (finding,) = [one for one in self.store.findings() if one.id == number]
        return finding


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="fimkit-desk-") as folder:
        os.chmod(folder, 0o755)
        made = Place(Path(os.path.realpath(folder)))
        yield made
        made.store.close()


def read_until(desk: ContentDesk, store: Store, is_enough: Callable[[list[Finding]], object], patience_s: float = 60) -> Judged:
    told: list[Finding] = []
    words: list[str] = []
    until = time.monotonic() + patience_s
    while not is_enough(told):
        assert time.monotonic() < until, (told, words)
        judged = desk.read(store)
        told += judged.findings
        words += judged.words
        time.sleep(0.01)
    return Judged(told, words)


def test_a_hit_makes_a_finding_suspect_before_it_is_told_and_the_store_has_it(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        shell, page = place.finding("x.php"), place.finding("page.html", b"<p>I should touch my machine</p>")
        assert desk.take([shell, page]) == [] and len(desk) == 2
        every = read_until(desk, place.store, lambda _: place.stored("page.html").content == () and place.stored("x.php").content)
        told = {one.id: one for one in every.findings}
    judged = told["x.php"]
    assert (judged.verdict, judged.severity, judged.content and judged.content[0].line) == (Verdict.SUSPECT, Severity.HIGH, 3)
    assert judged.reasons[0].startswith("rule php_") and "line 3: system($_GET['c']);" in judged.reasons[0]
    assert judged.reasons[-1] == "made"
    assert told["page.html"].verdict is Verdict.UNEXPLAINED
    assert place.stored("x.php").content == judged.content and place.stored("page.html").content == ()
    assert str(place.www / "x.php") in (place.base / "state/handler.log").read_text()


def test_found_again_without_its_content_a_finding_keeps_what_was_found_in_it(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        unknown = ("no record explains the change of its bytes",)
        plain = place.finding("x.php", attribution=Attribution.UNATTRIBUTED, reasons=unknown, evidence=())
        (judged,) = desk.search([plain]).findings
        place.store.add_findings([judged], now_ns=judged.last_seen_ns)
    again = replace(plain, attribution=Attribution.EXACT, reasons=("named",), sources=(Source.SCAN, Source.AUDIT))
    place.store.add_findings([again], now_ns=again.last_seen_ns)
    kept = place.stored("x.php")
    assert (kept.attribution, kept.verdict, kept.severity) == (Attribution.EXACT, Verdict.SUSPECT, Severity.HIGH)
    assert kept.content == judged.content and kept.reasons[-1] == "named" and kept.reasons[0].startswith("rule ")
    proved = replace(again, verdict=Verdict.EXPECTED, severity=Severity.INFO)
    place.store.add_findings([proved], now_ns=again.last_seen_ns)
    assert (place.stored("x.php").verdict, place.stored("x.php").severity) == (Verdict.EXPECTED, Severity.INFO)


def test_what_is_not_searched_in_time_is_told_and_told_again_when_it_turns_out_to_be_suspect(place: Place) -> None:
    clock = [time.monotonic()]
    with ContentDesk(place.config, clock=lambda: clock[0]) as desk:
        keeper = desk.process_id
        assert keeper is not None
        os.killpg(keeper, signal.SIGSTOP)
        try:
            shell, page = place.finding("x.php"), place.finding("page.html", b"<p>page</p>")
            assert desk.take([shell, page]) == []
            assert desk.read(place.store).findings == []
            clock[0] += 5.1
            early = desk.read(place.store).findings
            assert [one.id for one in early] == [shell.id, page.id] and len(desk) == 0
            assert all(one.reasons[0].startswith("content: not searched yet") and one.content is None for one in early)
            place.store.tell([shell.id, page.id], time_ns=time.time_ns())
        finally:
            os.killpg(keeper, signal.SIGCONT)
        (late,) = read_until(desk, place.store, lambda told: told and place.stored("page.html").content == ()).findings
    assert (late.id, late.verdict) == ("x.php", Verdict.SUSPECT)
    assert place.stored("x.php").severity is Severity.HIGH


def test_what_is_gone_meanwhile_is_neither_told_nor_stored_anew(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        shell = place.finding("x.php")
        desk.take([shell])
        place.store.close_undone([shell.path], [], now_ns=time.time_ns())
        marker = place.finding("page.html", b"page")
        desk.take([marker])
        told = read_until(desk, place.store, lambda told: told).findings
        read_until(desk, place.store, lambda _: len(desk) == 0)
    assert [one.id for one in told] == ["page.html"]
    assert [one.id for one in place.store.findings()] == ["page.html"]


def test_a_process_that_is_killed_is_made_anew_with_the_same_rights_and_nothing_is_lost(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        desk.search([place.finding("warm.php")])
        keeper = psutil.Process(desk.process_id)
        os.killpg(keeper.pid, signal.SIGSTOP)
        findings = [place.finding(f"{number}.php") for number in range(20)]
        desk.take(findings)
        desk.read(place.store)
        (worker,) = keeper.children()
        worker.kill()
        os.killpg(keeper.pid, signal.SIGCONT)
        # On a busy machine some are told unsearched first, and again when they were searched.
        told = read_until(desk, place.store, lambda told: sum(bool(one.content) for one in told) == 20).findings
        assert {one.id for one in told if one.verdict is Verdict.SUSPECT} == {one.id for one in findings}
        assert desk.process_id == keeper.pid and desk.problem == ""


def test_one_that_ends_for_good_has_its_findings_told_unsearched_and_another_is_started(place: Place) -> None:
    clock = [time.monotonic()]
    with ContentDesk(place.config, clock=lambda: clock[0]) as desk:
        desk.search([place.finding("warm.php")])
        keeper = desk.process_id
        assert keeper is not None
        os.killpg(keeper, signal.SIGSTOP)
        desk.take([place.finding("x.php")])
        os.killpg(keeper, signal.SIGKILL)
        told = read_until(desk, place.store, lambda told: told)
        assert "content: not searched to the end: the process that opens it ended" in told.findings[0].reasons
        assert told.findings[0].content is None and "a new one is started" in desk.problem
        clock[0] += 10
        desk.read(place.store)
        desk.take([place.finding("y.php")])
        assert read_until(desk, place.store, lambda told: any(one.content for one in told)).findings[-1].verdict is Verdict.SUSPECT


def test_the_upload_that_is_logged_a_moment_later_is_in_the_story(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        (place.base / "access.log").touch()
        (warm,) = desk.search([place.finding("warm.txt", b"x")]).findings
        assert warm.content == ()
        desk.take([place.finding("up.php")])
        time.sleep(0.2)
        when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        with (place.base / "access.log").open("a") as log:
            log.write(f'198.51.100.7 - - [{when}] "POST /form.php HTTP/1.1" 200 5 "-" "agent"\n')
        told = read_until(desk, place.store, lambda told: any(one.content for one in told)).findings[-1]
    assert any("it came by POST /form.php (200) from 198.51.100.7" in words for words in told.reasons)


@pytest.mark.parametrize(("kind", "came_from", "changed", "wanted"), [
    (Kind.CREATED, "www", (), True), (Kind.MODIFIED, "www", ("sha256",), True), (Kind.ATTRIBUTES, "www", ("mode",), False),
    (Kind.MOVED, "www", (), False), (Kind.MOVED, "www", ("sha256",), True), (Kind.MOVED, "plain", (), True),
    (Kind.MOVED, "www/old.jpg", (), True), (Kind.MOVED, "www/text", (), True),
])  # fmt: skip
def test_new_bytes_are_searched_and_what_was_only_renamed_is_not(
    place: Place, kind: Kind, came_from: str, changed: tuple[str, ...], wanted: bool
) -> None:
    finding = place.finding("now.php", kind=kind, changed=changed)
    old = place.base / came_from
    old = old / "old.php" if old.is_dir() else old
    if kind is Kind.MOVED:
        finding = replace(finding, path=os.fsencode(old), moved_to=finding.path)
    with ContentDesk(replace(place.config, paths=tuple(replace(one, handler=()) for one in place.config.paths))) as desk:
        assert desk.wants(finding) is wanted
        assert not desk.wants(replace(finding, content=()))


def test_files_that_come_one_by_one_are_each_searched_at_once(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        desk.search([place.finding("warm.php")])
        for number in range(8):
            content = SHELL if number % 3 == 2 else b"page"
            (judged,) = desk.search([place.finding(f"{number}.php", content)], budget_s=30).findings
            assert judged.content is not None, judged.reasons


def test_what_cannot_be_opened_or_has_changed_since_is_said_and_searched_again_later(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        gone, changed, linked = place.finding("gone.php"), place.finding("changed.php"), place.finding("linked.php")
        os.unlink(gone.path)
        Path(os.fsdecode(changed.path)).write_bytes(b"harmless now, and longer")
        os.unlink(linked.path)
        os.symlink("/etc/passwd", linked.path)
        judged = {one.id: one for one in desk.search([gone, changed, linked]).findings}
    assert all(one.content is None and one.verdict is Verdict.UNEXPLAINED for one in judged.values())
    assert "vanished" in judged["gone.php"].reasons[0] and "had changed again" in judged["changed.php"].reasons[0]
    assert "link" in judged["linked.php"].reasons[0]


def test_a_shell_that_is_swapped_for_its_search_and_put_back_is_found_all_the_same(place: Place) -> None:
    harmless = b"x" * len(SHELL)
    with ContentDesk(place.config) as desk:
        desk.search([place.finding("warm.php")])
        shell = place.finding("x.php")
        path = os.fsdecode(shell.path)
        assert shell.after is not None and shell.after.mtime_ns is not None
        times = (shell.after.mtime_ns, shell.after.mtime_ns)
        kept = os.path.join(os.path.dirname(path), "kept")
        os.link(path, kept)
        os.unlink(path)
        Path(path).write_bytes(harmless)
        os.utime(path, ns=times)  # as long, and as old: only the change time and the inode tell
        assert desk.take([shell]) == []
        until = time.monotonic() + 30
        while not desk._later and time.monotonic() < until:
            assert not any(one.content == () for one in desk.read(place.store).findings)
            time.sleep(0.01)
        os.rename(kept, path)
        place.store.add_findings([shell], now_ns=shell.last_seen_ns)
        state = Looker().look(shell.path)
        assert state is not None and state.sha256 == shell.after.sha256
        told = read_until(desk, place.store, lambda told: any(one.content for one in told)).findings[-1]
    assert told.verdict is Verdict.SUSPECT and place.stored("x.php").content


def test_what_is_searched_again_and_open_no_more_is_not_kept(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        shell = place.finding("x.php")
        Path(os.fsdecode(shell.path)).write_bytes(b"another")
        desk.take([shell])
        place.store.close_undone([shell.path], [], now_ns=time.time_ns())
        read_until(desk, place.store, lambda _: len(desk) == 0 and not desk._held)
        assert place.store.findings() == []


def test_links_and_pipes_say_that_they_are_not_searched_and_the_store_has_it(place: Place) -> None:
    link, pipe = place.www / "l.php", place.www / "p.php"
    link.symlink_to("/tmp/else\x1b.php")
    os.mkfifo(pipe)
    states = [Looker().look(os.fsencode(path)) for path in (link, pipe)]
    made = [replace(place.finding(f"{state.type}"), path=state.path, after=state) for state in states if state is not None]
    place.store.add_findings(made, now_ns=time.time_ns())
    with ContentDesk(place.config) as desk:
        assert all(map(desk.wants, made)) and desk.take(made) == []
        told = {one.path: one.reasons[0] for one in desk.read(place.store).findings}
        whole = {one.path: one.reasons[0] for one in desk.search(made).findings}
        assert not any(desk.wants(one) for one in desk.search(made).findings)
    wanted = {"l.php": "content: not searched: a link to /tmp/else%1B.php, not followed", "p.php": "content: not searched: a fifo"}
    assert told == whole == {os.fsencode(place.www / name): words for name, words in wanted.items()}
    assert place.stored("symlink").reasons[0] == wanted["l.php"]


def test_a_pages_script_that_is_too_long_to_be_read_is_suspect(place: Place) -> None:
    with ContentDesk(replace(place.config, content=replace(place.config.content, most_mb=1))) as desk:
        hidden = place.finding("x.php", b"<?php //" + b"x" * (1 << 20) + SHELL + b"x" * (1 << 20))
        archive = place.finding("x.tgz", b"x" * (3 << 20))
        judged = {one.id: one for one in desk.search([hidden, archive]).findings}
    assert judged["x.php"].verdict is Verdict.SUSPECT and judged["x.tgz"].verdict is Verdict.UNEXPLAINED
    assert [mark.rule for mark in judged["x.php"].content or ()] == ["script_beyond_reading"]
    assert any("content: large: of" in words for words in judged["x.tgz"].reasons)


class SlowStore:
    """A store that takes its time to tell what a user did, and counts how often it was asked."""

    def __init__(self, store: Store) -> None:
        self.store, self.asked = store, 0

    def changes_by(self, *_: object, **__: object) -> list[object]:
        self.asked += 1
        time.sleep(0.05)
        return []

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


def test_many_hits_at_once_hold_a_watch_up_no_longer_by_their_stories(place: Place) -> None:
    slow = SlowStore(place.store)
    with ContentDesk(place.config) as desk:
        desk.take([place.finding(f"{number}.php") for number in range(40)])
        told: dict[str, Finding] = {}
        until = time.monotonic() + 60
        while sum(bool(one.content) for one in told.values()) < 40:
            assert time.monotonic() < until
            time.sleep(0.5)  # so that many answers come by one reading
            asked = slow.asked
            told |= {one.id: one for one in desk.read(slow).findings}  # type: ignore[arg-type]
            assert slow.asked - asked <= 5
    untold = [one for one in told.values() if any("what else was done is not told" in words for words in one.reasons)]
    assert slow.asked + len(untold) >= 40 and all(one.verdict is Verdict.SUSPECT for one in told.values())


def test_a_whole_look_waits_no_longer_than_its_budget_and_the_next_one_searches_the_rest(place: Place) -> None:
    with ContentDesk(place.config) as desk:
        desk.search([place.finding("warm.php")])
        keeper = desk.process_id
        assert keeper is not None
        os.killpg(keeper, signal.SIGSTOP)
        shell = place.finding("x.php")
        try:
            (given_up,) = desk.search([shell], budget_s=0.2).findings
        finally:
            os.killpg(keeper, signal.SIGCONT)
        assert given_up.content is None and given_up.reasons[0] == "content: not searched: it was not done in time"
        (judged,) = desk.search([given_up]).findings
    assert judged.content and "content: not searched: it was not done in time" not in judged.reasons


def test_a_host_without_such_paths_starts_no_process(place: Place) -> None:
    with ContentDesk(replace(place.config, paths=place.config.paths[1:])) as desk:
        assert desk.process_id is None and desk.descriptor() is None
        finding = place.finding("x.php")
        assert desk.take([finding]) == [finding] and desk.read(place.store) == Judged([], [])
