"""`check` on a web root: files searched once, the report file, what is told again; and a rename that is none."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checked_host import CheckedHost, make_checked_host

__all__: list[str] = []

SHELL = "<?php\n// a gallery\nsystem($_GET['c']);\n"


@pytest.fixture
def host() -> Iterator[CheckedHost]:
    with tempfile.TemporaryDirectory(prefix="fimkit-web-") as folder:
        os.chmod(folder, 0o755)
        report = f"{os.path.realpath(folder)}/report.txt"
        yield make_checked_host(Path(folder), tier="watch", report=report, more=["scan_content = true"])


def test_a_new_shell_is_suspect_with_its_line_and_told_once(host: CheckedHost) -> None:
    (host.tree / "x.php").write_text(SHELL)
    (host.tree / "page.html").write_text("<p>I should touch my machine</p>\n")
    first = host.check()
    report = (host.base.parent / "report.txt").read_text()
    shell, page = first.of("x.php"), first.of("page.html")
    assert (shell["verdict"], shell["severity"], {mark["line"] for mark in shell["content"]}) == ("suspect", "high", {3})
    assert (page["verdict"], page["severity"], page["content"]) == ("unexplained", "medium", [])
    assert " hits=0" in report and "| rule php_" in report and "line 3: system($_GET['c']);" in report
    assert host.check().findings == []
    again = host.check("--all").of("x.php")
    assert (again["content"], again["reasons"], again["severity"]) == (shell["content"], shell["reasons"], "high")


def test_a_shell_that_was_there_and_is_renamed_is_not_searched_again(host: CheckedHost) -> None:
    old = host.tree / "old.php"
    old.write_text(SHELL)
    assert host.run("baseline", "create", "--force", "--reason", "good").returncode == 0
    old.rename(host.tree / "new.php")
    moved = host.check().of("old.php")
    assert moved["kind"] == "moved" and "content" not in moved and moved["verdict"] == "unexplained"


def test_what_was_told_unsearched_is_told_again_when_it_turns_out_to_be_suspect(host: CheckedHost) -> None:
    (host.tree / "x.php").write_text(SHELL)
    host.configure(tier="watch")
    plain = host.check().of("x.php")
    assert (plain["verdict"], "content" in plain) == ("unexplained", False)
    host.configure(tier="watch", more=["scan_content = true"])
    told = host.check().of("x.php")
    assert (told["id"], told["verdict"], told["severity"]) == (plain["id"], "suspect", "high")
    assert host.check().findings == []


def test_a_handler_runs_once_for_a_new_file(host: CheckedHost) -> None:
    host.configure(tier="watch", more=['handler = ["/bin/echo", "came:", "%%"]'])
    path = host.put("x.txt")
    host.check()
    host.check()
    assert (host.state / "handler.log").read_text().count(f"    came: {path}") == 1
