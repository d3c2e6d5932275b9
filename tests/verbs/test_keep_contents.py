"""Text diffs from the baseline to the finding: by check, watch, accept, show, report and mail; and to nobody who may not see."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.contents import open_contents
from fimkit.evidence.store import open_store
from fimkit.model.config import Mail
from fimkit.model.config_text import load_config
from fimkit.notify.message import parse_message
from fimkit.notify.outbox import Outbox
from fimkit.notify.pace import Lane
from fimkit.notify.post import make_alerts
from fimkit.verbs.keep_contents import ContentKeeper, apply_limits, is_too_big, read_as_seen
from tests.checked_host import CheckedHost, make_checked_host
from tests.watching import opened

KEEP = "keep_content = true"
OLD = "Port 22\npassword = hunter2-old\nUsePAM yes\n"


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    opened(tmp_path)  # nothing below pytest's own folders would be everyone's to read
    host = make_checked_host(tmp_path, more=[KEEP])
    for name in ("conf", "closed", "gone"):
        host.put(name, OLD).chmod(0o600 if name == "closed" else 0o644)
    done = host.run("baseline", "create", "--force", "--reason", "filled")
    assert done.returncode == 0 and "kept" not in done.stderr, done.stderr
    return host


def show(host: CheckedHost, finding: dict[str, Any]) -> dict[str, Any]:
    done = host.run("show", finding["id"], "--json")
    assert "Traceback" not in done.stderr
    return {**json.loads(done.stdout), "words": done.stderr}


def test_a_finding_shows_the_lines_that_changed_and_no_secret(host: CheckedHost) -> None:
    host.log.write(host.tree / "conf", OLD.replace("22", "2222").replace("old", "new"))
    found = host.check().of("conf")
    path = found["path"]
    diff = show(host, found)["diff"]
    assert diff == (
        f"--- {path}\n+++ {path}\n@@ -1,3 +1,3 @@\n-Port 22\n-password = [masked]\n"
        "+Port 2222\n+password = [masked, another value]\n UsePAM yes\n"
    )
    text = host.run("show", found["id"]).stdout
    assert "  +Port 2222\n" in text and "hunter2" not in text
    for file in host.state.iterdir():
        if file.is_file():
            assert b"hunter2" not in file.read_bytes(), file


def test_new_and_gone_files_have_one_too(host: CheckedHost) -> None:
    host.log.write(host.tree / "new", "one\n")
    os.unlink(host.tree / "gone")
    seen = host.check()
    new, gone = show(host, seen.of("new")), show(host, seen.of("gone"))
    assert new["diff"].splitlines() == ["--- /dev/null", f"+++ {new['path']}", "@@ -0,0 +1 @@", "+one"]
    assert gone["diff"].splitlines() == [
        f"--- {gone['path']}", "+++ /dev/null", "@@ -1,3 +0,0 @@", "-Port 22", "-password = [masked]", "-UsePAM yes",
    ]  # fmt: skip


def test_what_is_accepted_is_what_the_next_diff_begins_with(host: CheckedHost) -> None:
    host.log.write(host.tree / "conf", OLD + "first\n")
    host.check()
    host.accept(host.tree / "conf")
    host.log.write(host.tree / "conf", OLD + "second\n")
    lines = show(host, host.check().of("conf"))["diff"].splitlines()
    assert lines[-2:] == ["-first", "+second"]


def test_a_path_that_is_kept_only_since_has_a_diff_from_the_next_check_on(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a", "b")
    host.configure(more=[KEEP])
    host.log.write(host.tree / "b", "changed\n")
    found = host.check().of("b")
    assert show(host, found)["diff"] is None
    assert "no text diff: what it said before was not kept" in show(host, found)["words"]
    host.log.write(host.tree / "a", "changed\n")
    assert show(host, host.check().of("a"))["diff"].endswith("@@ -1 +1 @@\n-old\n+changed\n")


def test_binary_and_large_files_are_refused_and_that_is_said(host: CheckedHost) -> None:
    host.log.write(host.tree / "conf", "a\0b")
    (host.tree / "gone").write_text("x" * 300_000)
    seen = host.check()
    binary, large = show(host, seen.of("conf")), show(host, seen.of("gone"))
    assert (binary["diff"], large["diff"]) == (None, None)
    assert "no text diff: it is now binary, no text" in binary["words"]
    assert "no text diff: the file is larger than the 256 KB of store.keep_content_kb" in large["words"]


def test_where_nothing_is_kept_no_file_is_made_and_nothing_is_said(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, "a")
    host.log.write(host.tree / "a", "changed\n")
    shown = show(host, host.check().of("a"))
    assert shown["diff"] is None and "text diff" not in shown["words"]
    assert not (host.state / "contents.sqlite").exists()


def test_attributes_alone_have_no_diff_and_nothing_is_said_of_one(host: CheckedHost) -> None:
    (host.tree / "conf").chmod(0o600)
    shown = show(host, host.check().of("conf"))
    assert (shown["kind"], shown["diff"]) == ("attributes", None) and "text diff" not in shown["words"]


def test_damage_to_what_is_kept_ends_nothing(host: CheckedHost) -> None:
    (host.state / "contents.sqlite").write_bytes(b"damaged " * 5000)
    host.log.write(host.tree / "conf", "changed\n")
    seen = host.check()
    assert seen.kinds == {"conf": "modified"} and "what files say is not kept" in seen.words
    assert show(host, seen.of("conf"))["diff"] is None
    page = host.base / "page.html"
    assert host.run("report", "--html", page).returncode == 1
    assert "text diffs are left out" in page.read_text()


def test_the_report_draws_it(host: CheckedHost) -> None:
    host.log.write(host.tree / "conf", OLD + "</pre><script>alert(1)</script>\u202e\x1b[0m\n")
    host.check()
    page = host.base / "page.html"
    host.run("report", "--html", page)
    text = page.read_text()
    assert "+\\u003c/pre\\u003e\\u003cscript\\u003ealert(1)\\u003c/script\\u003e%E2%80%AE%1B[0m" in text
    assert "hunter2" not in text and "<script>alert" not in text and "\u202e" not in text


def mail_of(host: CheckedHost) -> str:
    """Give the text of the alert that is made of what is open."""
    config = load_config(host.config)
    mail = Mail(smtp_server="192.0.2.25:587", general_recipients=("ops@example.org",), sender="fim@example.org")
    config = replace(config, mail=mail)
    with open_store(config.host.state_dir) as store:
        findings = store.findings()
    now_ns = time.time_ns()
    with Outbox(config.host.state_dir) as outbox:
        outbox.add_all({Lane.ALERTS: findings}, now_ns=now_ns)
        assert make_alerts(outbox, config, addresses=["192.0.2.1"], now_ns=now_ns) == 1
        letter = outbox.take_letter(now_ns=now_ns)
    assert letter is not None
    body = parse_message(letter.message).get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_mail_has_the_diffs_of_files_that_everyone_may_read_alone(host: CheckedHost) -> None:
    for name in ("conf", "closed"):
        host.log.write(host.tree / name, OLD + f"added to {name}\n")
    host.put("newly", "made private\n").chmod(0o640)
    host.check()
    text = mail_of(host)
    assert "\n        +added to conf\n" in text and "+added to closed" not in text and "+made private" not in text
    assert str(host.tree / "closed") in text


def test_a_file_that_was_closed_before_is_not_mailed_when_it_is_opened(host: CheckedHost) -> None:
    host.log.write(host.tree / "closed", OLD + "added\n")
    (host.tree / "closed").chmod(0o644)
    host.check()
    assert "UsePAM" not in mail_of(host)


def test_a_closed_folder_makes_what_lies_in_it_private(host: CheckedHost) -> None:
    (host.tree / "deep" / "er").mkdir(parents=True)
    host.put("deep/er/new", "in a closed folder\n")
    (host.tree / "deep").chmod(0o700)
    host.check()
    assert "in a closed folder" not in mail_of(host)


def test_other_bytes_than_those_that_were_judged_are_not_kept(host: CheckedHost) -> None:
    path = os.fsencode(host.tree / "conf")
    with open_store(os.fsencode(host.state)) as store:
        state = store.baseline_row(path)
    assert state is not None and state.sha256 is not None
    assert read_as_seen(path, state.sha256, 1000) == OLD.encode()
    assert read_as_seen(path, state.sha256, len(OLD) - 1) is None
    (host.tree / "conf").write_text("swapped\n")
    assert read_as_seen(path, state.sha256, 1000) is None
    (host.tree / "conf").unlink()
    assert read_as_seen(path, state.sha256, 1000) is None
    os.mkfifo(path)
    assert read_as_seen(path, state.sha256, 1000) is None


def test_limits_keep_what_the_baseline_and_open_findings_have(host: CheckedHost) -> None:
    host.log.write(host.tree / "conf", "changed\n")
    found = host.check().of("conf")
    config = load_config(host.config)
    with open_store(config.host.state_dir) as store:
        assert apply_limits(config, store, now_ns=time.time_ns() + 1000 * 86_400 * 10**9) == []
    assert show(host, found)["diff"] is not None


def test_contents_of_what_is_not_kept_any_more_grow_old(host: CheckedHost) -> None:
    host.configure()
    config = load_config(host.config)
    assert not ContentKeeper(config).is_active
    with open_store(config.host.state_dir) as store:
        words = apply_limits(config, store, now_ns=time.time_ns() + 91 * 86_400 * 10**9)
    assert words == ["dropped 3 kept contents, older than 90 days"]
    with open_contents(config.host.state_dir) as contents:
        assert contents.load(os.fsencode(host.tree / "conf"), "0" * 64) is None


def test_a_store_that_is_too_big_is_known_at_a_look_and_is_small_enough_once_the_limits_were_applied(host: CheckedHost) -> None:
    host.log.append((b"no record " * 200 + b"\n") * 2_000)
    host.check()
    config = load_config(host.config)
    with open_store(config.host.state_dir) as store:
        assert not is_too_big(config, store)
        small = replace(config, store=replace(config.store, max_mb=1))
        assert is_too_big(small, store)
        assert "texts of bad lines" in " ".join(apply_limits(small, store, now_ns=time.time_ns()))
        assert not is_too_big(small, store)


def test_hostile_text_is_shown_safely_in_bounded_room(host: CheckedHost) -> None:
    host.log.write(host.tree / "conf", "\x1b]0;owned\x07" + "é" * 100_000 + "\n\u2066hidden\n")
    shown = host.run("show", host.check().of("conf")["id"]).stdout
    assert "\x1b" not in shown and "\u2066" not in shown and "%1B]0;owned%07" in shown and "%E2%81%A6hidden" in shown
    assert len(shown) < 20_000


def test_a_watch_keeps_what_it_sees_at_the_time(host: CheckedHost) -> None:
    with subprocess.Popen(
        [*host.command, "watch", "--json", "--records", "files"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            status = host.state / "watch.json"
            until = time.monotonic() + 60
            while not (status.exists() and json.loads(status.read_text() or "{}").get("ready")):
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.05)
            new = host.tree / "conf.next"
            new.write_text(OLD + "seen by the watch\n")
            os.rename(new, host.tree / "conf")
            assert process.stdout is not None
            row = json.loads(process.stdout.readline())
            while not row.get("path", "").endswith("/conf"):
                row = json.loads(process.stdout.readline())
            until = time.monotonic() + 30
            while (shown := show(host, row))["diff"] is None:
                assert time.monotonic() < until, shown["words"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    (host.tree / "conf").write_text("overwritten later\n")
    assert shown["diff"].endswith("+seen by the watch\n")
    assert show(host, row)["diff"] == shown["diff"]
