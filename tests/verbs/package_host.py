"""A Debian below a folder, watched from outside, and fimkit's command line on it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.packages.debworld import DebWorld, make_key

__all__ = ["ALTERNATIVE", "CONFFILES", "NEW", "OLD", "PackageHost", "make_package_host", "publish_first", "publish_second"]

_DPKG = shutil.which("dpkg") or "dpkg"
_CONFIG = """
[host]
name = "pkg01"
state_dir = "{place}/state"

[sources]
audit_log = "{place}/audit/audit.log"
osquery_log = "{place}/none.log"
osquery_config = ""
package_root = "{root}"

[panic]
package_hold_s = 8

[[paths]]
path = "{root}/usr"
tier = "critical"

[[paths]]
path = "{root}/etc"
tier = "critical"
exclude = ["{root}/etc/apt"]
"""
ALTERNATIVE = "update-alternatives --quiet --install /usr/bin/pick pick /usr/bin/tool{0} {0}0"
OLD = {
    "/usr/bin/tool": b"tool one",
    "/usr/bin/tool-su": (b"set-id one", 0o4755),
    "/usr/bin/tool1": b"first choice",
    "/usr/bin/tool2": b"second choice",
    "/usr/bin/t": "tool",
    "/usr/share/tool/gone.txt": b"one",
    "/etc/tool.conf": b"conf one\n",
    "/etc/kept.conf": b"kept one\n",
}
NEW = {path: what for path, what in OLD.items() if path != "/usr/share/tool/gone.txt"} | {
    "/usr/bin/tool": b"tool two",
    "/usr/bin/tool-su": (b"set-id two", 0o4755),
    "/usr/bin/tool-new-su": (b"a new set-id program", 0o4755),
    "/usr/bin/t": "tool-su",
    "/usr/share/tool/new/deep.txt": b"new",
    "/etc/tool.conf": b"conf two\n",
    "/etc/kept.conf": b"kept two\n",
}
CONFFILES = ["/etc/tool.conf", "/etc/kept.conf"]
OTHERS = {f"/usr/bin/{name}": f"#!/bin/sh\necho {name}\n".encode() for name in ("faked", "locked", "summed", "by-script")}
PLAIN = {"/usr/bin/plain": b"#!/bin/sh\necho plain\n"}
_DIVERT = {"preinst": "dpkg-divert --quiet --package cover --rename --divert /usr/bin/under.real --add /usr/bin/under"}
_SCRIPT = "\n".join([
    ALTERNATIVE.format(2), 'echo made > "$DPKG_ROOT/etc/made-by-script"', 'echo worse >> "$DPKG_ROOT/usr/bin/by-script"',
])  # fmt: skip


class PackageHost:
    """``place`` is the test's folder, ``world`` the Debian in it."""

    def __init__(self, place: Path, world: DebWorld) -> None:
        self.place, self.world, self.root = place, world, world.root
        self.config_file = place / "fimkit.toml"
        self.config_file.write_text(_CONFIG.format(place=place, root=world.root))

    def fimkit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fimkit", "--config", str(self.config_file), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def check(self, *arguments: str) -> tuple[dict[str, dict[str, Any]], str]:
        """Check; give the findings by their path in the tree, and the words."""
        done = self.fimkit("check", "--json", *arguments)
        assert done.returncode in (0, 1), done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert len({one["path"] for one in found}) == len(found)
        return {"/" + os.path.relpath(one["path"], self.root): one for one in found}, done.stderr

    def upgrade_command(self, *debs: Path) -> list[str]:
        """What the administrator runs: the real dpkg."""
        return [_DPKG, f"--root={self.root}", "--force-script-chrootless", "--force-confold", "--no-debsig",
                f"--log={self.place}/dpkg.log", "--install", *map(str, debs)]  # fmt: skip


def make_package_host(place: Path) -> PackageHost:
    """Make a host with the first versions installed, from apt's cache."""
    world = DebWorld(place / "world", make_key("archive")).create()
    host = PackageHost(place, world)
    publish_first(world)
    return host


def publish_first(world: DebWorld) -> None:
    """Build, sign, fetch and install the first versions."""
    _publish(world, [
        world.build("tool", "1:1.0", OLD, conffiles=CONFFILES, scripts={"postinst": ALTERNATIVE.format(1)}),
        world.build("under", "1.0", {"/usr/bin/under": b"under one", "/usr/share/under/a": b"a"}, compression="zstd"),
        world.build("cover", "1.0", {"/usr/bin/under": b"cover one"}, scripts=_DIVERT, compression="gzip"),
        world.build("others", "1.0", OTHERS),
        world.build("plain", "1.0", PLAIN),
    ])  # fmt: skip
    for name, version in (("tool", "1:1.0"), ("under", "1.0"), ("cover", "1.0"), ("others", "1.0"), ("plain", "1.0")):
        world.install(world.cached(name, version))
    (world.root / "etc/kept.conf").write_bytes(b"the administrator's own\n")


def publish_second(world: DebWorld) -> list[Path]:
    """Build, sign and fetch the second versions, and give their archives in apt's cache."""
    _publish(world, [
        world.build("tool", "1:2.0", NEW, conffiles=CONFFILES, scripts={"postinst": _SCRIPT}),
        world.build("under", "2.0", {"/usr/bin/under": b"under two", "/usr/share/under/a": b"a"}, compression="zstd"),
        world.build("cover", "2.0", {"/usr/bin/under": b"cover two"}, scripts=_DIVERT, compression="gzip"),
        world.build("others", "1.0", OTHERS),
        world.build("plain", "1.0", PLAIN),
    ])  # fmt: skip
    return [world.cached("tool", "1:2.0"), world.cached("under", "2.0"), world.cached("cover", "2.0")]


def _publish(world: DebWorld, debs: list[Path]) -> None:
    world.publish(*debs)
    world.update()
    world.fetch(*(deb.name.partition("_")[0] for deb in debs))
