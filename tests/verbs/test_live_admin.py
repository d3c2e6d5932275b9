"""Administrators' and intruders' work with real tools under this kernel's real audit: every step found, with the right who."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config_text import load_config
from fimkit.verbs.install import install, uninstall
from tests.live import LiveAudit, live_audit
from tests.verbs.admin_work import WORKS, Found, Work

CONFIG = """
[host]
name = "live02"
state_dir = "{place}/state"

[sources]
audit_log = "{place}/audit/audit.log"
osquery_log = "{place}/none.log"
osquery_config = ""

[[paths]]
path = "{place}/tree"
"""


class Host:
    """A watched tree under a private auditd, and the command line on it."""

    def __init__(self, place: Path, live: LiveAudit) -> None:
        self.place, self.live = place, live
        self.tree = place / "tree"

    def fimkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fimkit", "--config", str(self.place / "fimkit.toml"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def begin(self) -> None:
        """Take the baseline and load the rules."""
        assert self.fimkit("baseline", "create").returncode == 0
        config = load_config(self.place / "fimkit.toml")
        assert install(config, dry_run=False, root=None, rules_file=str(self.place / "40.rules")).refused is None

    def end(self) -> None:
        uninstall(load_config(self.place / "fimkit.toml"), dry_run=False, root=None, rules_file=str(self.place / "40.rules"))

    def does(self, who: int, script: str, folder: Path | None = None) -> int:
        """Run a script under a login id, and give its process id."""
        ran = self.live.run(["/bin/sh", "-c", script], auid=5000 + who, cwd=folder or self.tree)
        assert ran.returncode == 0, (script, ran.stderr)
        return ran.pid

    def check(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """Check, and give the new findings by path below the tree."""
        self.live.sync()
        done = self.fimkit("check", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len({one["path"] for one in found}) == len(found)
        return {os.path.relpath(one["path"], self.tree): one for one in found}


@pytest.fixture
def host(tmp_path: Path) -> Any:
    place = Path(os.path.realpath(tmp_path))
    (place / "tree").mkdir()
    (place / "out").mkdir()
    (place / "fimkit.toml").write_text(CONFIG.format(place=place))
    with live_audit(place / "audit") as live:
        host = Host(place, live)
        try:
            yield host
        finally:
            if (place / "40.rules").exists():
                host.end()


def said(finding: dict[str, Any], folder: str) -> tuple[str, int | None, str, str | None]:
    who = finding["actors"][0]["auid"] - 5000 if finding["actors"] else None
    moved = finding["moved_to"]
    return finding["kind"], who, finding["attribution"], moved and moved.partition(f"/tree/{folder}/")[2]


def expected(found: Found) -> tuple[str, int | None, str, str | None]:
    return found.kind.value, found.who, found.attribution.value, found.moved_to


def test_all_work_is_found_with_its_who_and_nothing_else(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUT", str(host.place / "out"))
    works: list[Work] = [work for work in WORKS if all(shutil.which(program) for program in work.needs)]
    for work in works:
        folder = host.tree / work.name
        folder.mkdir()
        subprocess.run(["/bin/sh", "-c", work.made], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    host.begin()
    for work in works:
        for who, script in work.steps:
            host.does(who, script, host.tree / work.name)
    found = host.check()
    for work in works:
        own = {path.removeprefix(work.name + "/"): one for path, one in found.items() if path.startswith(work.name + "/")}
        seen = {path: said(one, work.name) for path, one in own.items()}
        wanted = {path: expected(one) for path, one in work.found.items()}
        rest = {path for path in seen.keys() - wanted.keys() if not any(fnmatch.fnmatch(path, name) for name in work.aside)}
        assert {path: seen.get(path) for path in wanted} == wanted, work.name
        assert rest == set(), work.name
    assert found.keys() - {path for path in found if path.partition("/")[0] in {work.name for work in works}} == set()


def test_a_further_change_by_another_is_not_the_first_ones_alone(host: Host) -> None:
    (host.tree / "a").write_text("a\n")
    (host.tree / "b").write_text("b\n")
    host.begin()
    first = host.does(1, "echo 1 >> a; echo 1 > b")
    found = host.check()
    assert {path: said(one, "") [:3] for path, one in found.items()} == {
        "a": ("modified", 1, "exact"), "b": ("modified", 1, "exact"),
    }  # fmt: skip
    assert found["a"]["actors"][0]["pid"] == first
    assert host.check() == {}
    second = host.does(2, "echo 2 >> a")
    host.does(3, "rm b")
    found = host.check()
    assert found["a"]["attribution"] == "ambiguous"
    assert {actor["pid"] for actor in found["a"]["actors"]} == {first, second}
    assert said(found["b"], "")[:3] == ("deleted", 3, "exact")
    assert set(host.check("--all")) == {"a", "b"}


def test_what_is_accepted_is_the_ground_for_the_next_change(host: Host) -> None:
    for name in ("a", "b", "c"):
        (host.tree / name).write_text(name)
    host.begin()
    host.does(1, "echo 1 >> a; chmod 600 b; mv c d; echo n > n")
    assert len(host.check()) == 4
    accepted = host.fimkit("baseline", "accept", "--reason", "planned", "--yes", str(host.tree))
    assert accepted.returncode == 0, accepted.stderr
    assert host.check() == {}
    host.does(2, "echo 2 >> a; chmod 644 b; mv d c; rm n")
    found = host.check()
    assert {path: said(one, "")[:3] for path, one in found.items()} == {
        "a": ("modified", 2, "exact"),
        "b": ("attributes", 2, "exact"),
        "d": ("moved", 2, "exact"),
        "n": ("deleted", 2, "exact"),
    }


def test_a_folder_seen_by_one_check_and_gone_at_the_next_leaves_nothing_open(host: Host) -> None:
    host.begin()
    host.does(1, "mkdir -p t/u; echo 1 > t/u/f")
    assert set(host.check()) == {"t", "t/u", "t/u/f"}
    host.does(2, f"cd /; exec /usr/bin/python3 -c \"import shutil; shutil.rmtree('{host.tree}/t')\"")
    assert host.check("--all") == {}
