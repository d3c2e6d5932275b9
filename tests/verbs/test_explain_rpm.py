"""A check on a host with rpm: a signed upgrade is expected, and what intruders do is as severe as ever."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packages.rpmworld import NEEDS_RPM, RpmWorld

__all__: list[str] = []

pytestmark = NEEDS_RPM

CONFIG = """
[host]
name = "rpm01"
state_dir = "{place}/state"
[sources]
audit_log = "{place}/none.log"
osquery_log = "{place}/none.json"
osquery_config = ""
package_root = "{root}"
[[paths]]
path = "{root}/usr"
tier = "critical"
[[paths]]
path = "{root}/etc"
tier = "critical"
"""
OLD = {
    "/usr/bin/tool": ("%attr(755,root,root)", b"one"),
    "/usr/bin/tool-su": ("%attr(4755,root,root)", b"set-id one"),
    "/usr/bin/other": ("%attr(755,root,root)", b"other"),
    "/usr/share/tool/gone": ("", b"gone"),
    "/etc/tool.conf": ("%config(noreplace)", b"conf one\n"),
}
NEW = {path: (words, content.replace(b"one", b"two")) for path, (words, content) in OLD.items() if path != "/usr/share/tool/gone"}
EVIL = b"#!/bin/sh\necho evil\n"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmWorld]:
    world = RpmWorld(tmp_path_factory.mktemp("r") / "w").create()  # short: a socket's path may not be long
    try:
        yield world
    finally:
        world.close()


def fimkit(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fimkit", "--config", str(place / "fimkit.toml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def check(place: Path, root: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in fimkit(place, "check", "--json", "--all").stdout.splitlines()]
    return {one["path"].removeprefix(str(root)): one for one in found}


def test_a_signed_upgrade_is_expected_and_intruders_are_not(world: RpmWorld, tmp_path: Path) -> None:
    key, root = world.make_key("a"), world.root
    world.trust(key)
    world.install(world.build("tool", "1.0", OLD, key), world.build("plain", "1.0", {"/usr/bin/plain": ("", b"plain")}, key))
    (tmp_path / "fimkit.toml").write_text(CONFIG.format(place=tmp_path, root=root))
    created = fimkit(tmp_path, "baseline", "create")
    assert "1 key of packages and 2 installed versions pinned" in created.stdout

    world.install(world.build("tool", "2.0", NEW, key))
    world.install(world.build("plain", "2.0", {"/usr/bin/plain": ("", EVIL)}, None), options=("--nosignature",))
    (root / "usr/bin/other").write_bytes(EVIL)
    found = check(tmp_path, root)
    assert {path: (one["verdict"], one["severity"]) for path, one in found.items()} == {
        "/etc/tool.conf": ("expected", "info"),
        "/usr/bin/tool": ("expected", "info"),
        "/usr/bin/tool-su": ("expected", "info"),
        "/usr/bin/tool-link": ("expected", "info"),
        "/usr/bin/other": ("unexplained", "critical"),
        "/usr/bin/plain": ("unexplained", "critical"),
        "/usr/bin/plain-link": ("unexplained", "info"),  # the same bytes in a new inode
        "/usr/share/tool/gone": ("unexplained", "critical"),  # rpm keeps nothing of what it replaced
    }
    assert "its header in rpm's database is signed by" in found["/usr/bin/tool"]["reasons"][0]
    assert "no pinned key signed that header" in "; ".join(found["/usr/bin/plain"]["reasons"])

    assert fimkit(tmp_path, "baseline", "accept", "--expected").returncode == 0
    world.install(world.build("tool", "1.0", OLD, key), options=("--oldpackage",))
    one = check(tmp_path, root)["/usr/bin/tool"]
    assert (one["verdict"], one["severity"]) == ("unexplained", "critical")
    assert "an older version than was installed before" in one["reasons"]
