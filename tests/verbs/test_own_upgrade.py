"""An upgrade's files are expected while they are moved into place, and good afterwards; what comes beside them is neither."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config import Config, SelfWatch
from fimkit.model.config_text import load_config
from fimkit.verbs.own_upgrade import announce_upgrade, plan_upgrade, settle_upgrade
from tests.auditlog import Who
from tests.checked_host import CheckedHost, make_checked_host

__all__: list[str] = []

MV = Who(auid=2003, uid=0, pid=4400, exe=os.path.realpath(shutil.which("mv") or "/usr/bin/mv"), name="carol")


@pytest.fixture
def host(tmp_path: Path) -> CheckedHost:
    """Two installed versions, the second one in use, a unit; and a third version made beside the tree."""
    host = make_checked_host(tmp_path, "versions/zero/bin/fimkit", "versions/one/bin/fimkit", "units/a.service")
    (host.tree / "current").symlink_to("versions/one")
    host.accept(host.tree)
    two = host.base / "made/two"
    (two / "bin").mkdir(parents=True)
    (two / "bin/fimkit").write_text("two\n")
    (two / "bin/python").symlink_to("/usr/bin/python3")
    (host.base / "made/a.service").write_text("new\n")
    (host.base / "made/current").symlink_to("versions/two")
    (host.base / "made/old").mkdir()
    return host


def watching(host: CheckedHost) -> Config:
    return replace(load_config(host.config), self=SelfWatch(watch=True))


def places(host: CheckedHost) -> list[tuple[Path | None, Path]]:
    made, tree = host.base / "made", host.tree
    return [
        (made / "a.service", tree / "units/a.service"), (made / "two", tree / "versions/two"),
        (made / "current", tree / "current"), (None, tree / "versions/zero"),
    ]  # fmt: skip


def announce(host: CheckedHost) -> Path:
    pairs = [(b"" if source is None else bytes(source), bytes(target)) for source, target in places(host)]
    own = announce_upgrade(watching(host), plan_upgrade(pairs), [os.fsencode(MV.exe)], host.base / "note")
    assert (own.words, len(own.tickets)) == ([], 3)
    return host.base / "note"


def move(host: CheckedHost) -> None:
    for source, target in places(host):
        if source is None:
            host.log.rename(target, host.base / "made/old" / target.name, MV)
        else:
            host.log.rename(source, target, MV)


def plant(host: CheckedHost) -> set[str]:
    """Two files beside those that come, by the same program: one in the new version, one in the old."""
    for name in ("planted", "planted.py"):
        (host.base / name).write_text("another's\n")
    host.log.rename(host.base / "planted", host.tree / "versions/two/bin/planted", MV)
    host.log.rename(host.base / "planted.py", host.tree / "versions/one/bin/planted.py", MV)
    return {"planted", "planted.py"}


def verdicts(findings: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in findings:
        found.setdefault(one["verdict"], set()).add(one["path"].rpartition("/")[2])
    return found


def test_what_is_moved_in_is_expected_and_what_comes_beside_it_is_not(host: CheckedHost) -> None:
    note = announce(host)
    move(host)
    planted = plant(host)
    seen = verdicts(host.check().findings)
    assert seen.keys() == {"expected", "unexplained"}
    assert seen["unexplained"] == planted
    assert {"a.service", "two", "fimkit", "python", "current", "zero"} <= seen["expected"]
    assert settle_upgrade(watching(host), note).words == []
    after = host.check("--all").findings
    assert {one["path"].rpartition("/")[2] for one in after} == planted


def test_settled_before_anybody_looked_nothing_is_found_but_what_came_beside_it(host: CheckedHost) -> None:
    note = announce(host)
    move(host)
    planted = plant(host)
    (host.tree / "units/a.service").write_text("another's\n")
    assert settle_upgrade(watching(host), note).words == []
    assert set(host.check().kinds) == {*planted, "a.service"}
    rows = [json.loads(line) for line in host.run("expect", "list", "--all", "--json").stdout.splitlines()]
    assert len(rows) == 3 and all(row["cancelled"] for row in rows)


def test_an_upgrade_that_is_broken_off_takes_nothing_and_ends_its_announcement(host: CheckedHost) -> None:
    note = announce(host)
    assert settle_upgrade(watching(host), note).words == []
    move(host)
    assert {one["verdict"] for one in host.check().findings} == {"unexplained"}


def test_where_nobody_watches_nothing_is_announced(host: CheckedHost) -> None:
    config = f"{host.config}"
    command = [sys.executable, "-I", "-m", "fimkit.verbs.own_upgrade", config, str(host.base / "note")]
    words = ["announce", MV.exe, "--", str(host.base / "made/two"), str(host.tree / "versions/two")]
    for step in (words, ["settle"]):
        done = subprocess.run([*command, *step], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert host.run("expect", "list", "--all", "--json").stdout == ""
