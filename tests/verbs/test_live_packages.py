"""A real upgrade by real dpkg under this kernel's real audit, and intruders beside it: what each file is judged to be."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config_text import load_config
from fimkit.verbs.install import install, uninstall
from fimkit.verbs.watch_status import load_watch_status
from tests.live import LiveAudit, live_audit
from tests.packages.debworld import NEEDS_DEBIAN
from tests.verbs.package_host import PackageHost, make_package_host, publish_second
from tests.watching import Watching

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN

ADMIN, FAKER, LOCKER, SUMMER, PACKAGER, DOWNGRADER, COPIER = range(5001, 5008)
EVIL = "#!/bin/sh\necho evil\n"
GOOD = ("expected", "info")
BAD = ("unexplained", "critical")
SUSPECT = ("suspect", "critical")

# Takes dpkg's lock, changes a file, and keeps the lock until it is told to let go.
LOCK = """\
import fcntl, os, sys, time
root, ready, stop = sys.argv[1:]
if os.fork():
    while not os.path.exists(ready):
        time.sleep(0.01)
    sys.exit()
for number in (0, 1, 2):
    os.close(number)
lock = open(root + "/var/lib/dpkg/lock", "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
with open(root + "/usr/bin/locked", "w") as file:
    file.write("#!/bin/sh\\necho evil\\n")
open(ready, "w").close()
until = time.monotonic() + 120
while not os.path.exists(stop) and time.monotonic() < until:
    time.sleep(0.05)
"""

UPGRADE = {
    "/etc/kept.conf.dpkg-dist": (GOOD, ADMIN, "dpkg", "put beside the one that was kept"),
    "/etc/tool.conf": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/bin/t": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/bin/tool": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/bin/tool-su": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/bin/tool-new-su": (GOOD, ADMIN, "dpkg", "it gained the set-user-id bit"),
    "/usr/bin/tool1": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/bin/tool2": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/bin/under": (GOOD, ADMIN, "dpkg", "cover 2.0 ships it so"),
    "/usr/bin/under.real": (GOOD, ADMIN, "dpkg", "a diversion puts /usr/bin/under here, as when the baseline was taken"),
    "/usr/share/tool/gone.txt": (GOOD, ADMIN, "dpkg", "tool 1:1.0 shipped it, and 1:2.0 does not"),
    "/usr/share/tool/new": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/share/tool/new/deep.txt": (GOOD, ADMIN, "dpkg", "tool 1:2.0 ships it so"),
    "/usr/share/under/a": (GOOD, ADMIN, "dpkg", "under 2.0 ships it so"),
    # What the packages' scripts made: dpkg's own process tree, and no proof.
    "/etc/alternatives/pick": (BAD, ADMIN, "update-alternatives", "says that this link leads there, unproved"),
    "/etc/made-by-script": (BAD, ADMIN, "dash", "no package ships this path; what packages' own scripts make is never proved"),
    "/usr/bin/by-script": (BAD, ADMIN, "dash", "it differs from what others 1.0 ships"),
}
INTRUDERS = {
    "/usr/bin/faked": (BAD, FAKER, "dpkg", "it differs from what others 1.0 ships"),
    "/usr/bin/locked": (BAD, LOCKER, None, "it differs from what others 1.0 ships"),
    "/usr/bin/summed": (BAD, SUMMER, "dash", "these are others 1.0's own bytes, unproved"),
    "/usr/bin/plain": (BAD, PACKAGER, "dpkg", "the archive plain_1.1_all.deb is in no index that a pinned key signed"),
    "/usr/bin/door": (SUSPECT, PACKAGER, "dpkg", "the archive plain_1.1_all.deb is in no index that a pinned key signed"),
    "/usr/bin/copied": (BAD, COPIER, "cp", "no package ships this path"),
}


@pytest.fixture
def live_host(tmp_path: Path) -> Iterator[tuple[PackageHost, LiveAudit]]:
    place = Path(os.path.realpath(tmp_path))
    with live_audit(place / "audit") as live:
        host = make_package_host(place)
        assert host.fimkit("baseline", "create").returncode == 0
        config = load_config(host.config_file)
        rules_file = str(place / "40.rules")
        assert install(config, dry_run=False, root=None, rules_file=rules_file).refused is None
        try:
            yield host, live
        finally:
            (place / "stop").touch()
            uninstall(config, dry_run=False, root=None, rules_file=rules_file)


def does(live: LiveAudit, who: int, *argv: str | Path) -> None:
    ran = live.run([os.fspath(word) for word in argv], auid=who)
    assert ran.returncode == 0, (argv, ran.stderr)


def intrude(host: PackageHost, live: LiveAudit) -> None:
    """Four intruders who would pass for an upgrade, and one who copies a package's own bytes elsewhere."""
    root, place = host.root, host.place
    fake = place / "dpkg"
    shutil.copy2("/bin/sh", fake)
    does(live, FAKER, fake, "-c", f"printf '{EVIL}' > {root}/usr/bin/faked".replace("\n", "\\n"))
    does(live, LOCKER, sys.executable, "-c", LOCK, root, place / "ready", place / "stop")
    sums = root / "var/lib/dpkg/info/others.md5sums"
    digest = hashlib.md5(EVIL.encode()).hexdigest()
    (place / "evil").write_text(EVIL)
    edit = f"sed -i 's|^.*usr/bin/summed$|{digest}  usr/bin/summed|' {sums}"
    does(live, SUMMER, "/bin/sh", "-c", f"cat {place}/evil > {root}/usr/bin/summed; {edit}")
    does(live, COPIER, "cp", "-p", root / "usr/bin/tool", root / "usr/bin/copied")


def own_package(host: PackageHost) -> Path:
    deb = host.world.build("plain", "1.1", {"/usr/bin/plain": EVIL.encode(), "/usr/bin/door": (EVIL.encode(), 0o4755)})
    shutil.copy(deb, host.root / "var/cache/apt/archives")
    return deb


def render_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"{'PATH':34}{'KIND':11}{'VERDICT':12}{'SEVERITY':9}{'WHO':5} {'PROGRAM':20}WHY"]
    for path, one in sorted(found.items()):
        who, program = maker(one)
        words = "; ".join(one["reasons"])[:110]
        lines.append(f"{path:34}{one['kind']:11}{one['verdict']:12}{one['severity']:9}{who or '-'!s:5} {program or '-':20}{words}")
    return "\n".join(lines)


def maker(finding: Mapping[str, Any]) -> tuple[int | None, str | None]:
    if not finding["actors"]:
        return None, None
    head = finding["actors"][0]
    return head["auid"], os.path.basename(head["exe"])


def test_an_upgrade_is_told_from_what_intruders_do_beside_it(live_host: tuple[PackageHost, LiveAudit]) -> None:
    host, live = live_host
    debs, own = publish_second(host.world), own_package(host)
    does(live, ADMIN, *host.upgrade_command(*debs))
    does(live, PACKAGER, *host.upgrade_command(own))
    intrude(host, live)
    live.sync()
    found, words = host.check()
    print(render_table(found))
    assert "a package manager's lock is held by process" in words
    backups = {path: one for path, one in found.items() if path.endswith(".dpkg-tmp")}
    for path, (judged, who, program, reason) in (UPGRADE | INTRUDERS).items():
        one = found[path]
        assert (one["verdict"], one["severity"]) == judged, path
        assert maker(one) == (who, program or os.path.basename(os.path.realpath(sys.executable))), path
        assert reason in "; ".join(one["reasons"]), (path, one["reasons"])
        assert one["attribution"] == "exact", path
    assert found.keys() - backups.keys() == UPGRADE.keys() | INTRUDERS.keys()
    # A second name of what a proved file took the place of; that of the unsigned package's file is none.
    assert {path for path, one in backups.items() if one["verdict"] != "expected"} == {"/usr/bin/plain.dpkg-tmp"}
    assert {path.removesuffix(".dpkg-tmp") for path in backups} > {"/usr/bin/tool", "/usr/bin/tool-su", "/usr/bin/t"}


def test_an_accepted_upgrade_is_the_measure_of_the_next_change(live_host: tuple[PackageHost, LiveAudit]) -> None:
    host, live = live_host
    does(live, ADMIN, *host.upgrade_command(*publish_second(host.world)))
    live.sync()
    host.check()
    unproved = {path for path, (judged, *_) in UPGRADE.items() if judged != GOOD}
    (host.root / "usr/bin/tool1").write_bytes(b"changed after it was found")
    refusing = host.fimkit("baseline", "accept", "--expected", "--yes")
    assert refusing.returncode == 1
    assert "usr/bin/tool1: changed again since it was seen" in refusing.stderr
    (host.root / "usr/bin/tool1").write_bytes(b"first choice")
    live.sync()
    again, _ = host.check("--all")
    assert host.fimkit("baseline", "accept", "--expected", "--yes").returncode == 0
    assert again.keys() == unproved | {"/usr/bin/tool1"}
    found, _ = host.check("--all")
    assert found.keys() == unproved
    history = host.fimkit("baseline", "show", "--history").stdout
    assert "why: proved by signed packages" in history

    does(live, DOWNGRADER, *host.upgrade_command(host.world.cached("tool", "1:1.0")))
    live.sync()
    found, _ = host.check()
    one = found["/usr/bin/tool"]
    assert (one["verdict"], one["severity"], maker(one)) == (*BAD, (DOWNGRADER, "dpkg"))
    assert "an older version than 1:2.0, which was installed before" in one["reasons"]


@contextlib.contextmanager
def watching(host: PackageHost) -> Iterator[Watching]:
    command = [sys.executable, "-m", "fimkit", "--config", str(host.config_file), "watch", "--json"]
    errors = host.place / "watch.err"
    with errors.open("w") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
    run = Watching(process, errors)
    try:
        state_dir = os.fsencode(host.place / "state")
        run.wait(lambda: (status := load_watch_status(state_dir)) is not None and status.ready, 60)
        yield run
    finally:
        run.stop()
        run._reader.join()
        assert process.stdout is not None
        process.stdout.close()


def told(host: PackageHost, run: Watching) -> dict[str, tuple[str, str]]:
    return {"/" + os.path.relpath(one["path"], host.root): (one["verdict"], one["severity"]) for one in run.findings}


def test_a_watch_tells_nothing_of_an_upgrade_as_critical_that_is_proved(live_host: tuple[PackageHost, LiveAudit]) -> None:
    host, live = live_host
    debs, own = publish_second(host.world), own_package(host)
    with watching(host) as run:
        does(live, ADMIN, *host.upgrade_command(*debs))
        does(live, PACKAGER, *host.upgrade_command(own))
        intrude(host, live)
        wanted = UPGRADE.keys() | INTRUDERS.keys()
        run.wait(lambda: wanted <= told(host, run).keys(), 60)  # the lock is held all the time, and holds nothing back for long
        every = [("/" + os.path.relpath(one["path"], host.root), one["verdict"]) for one in run.findings]
    assert {path: judged for path, judged in told(host, run).items() if path in wanted} == {
        path: judged for path, (judged, *_) in (UPGRADE | INTRUDERS).items()
    }
    # Nothing of the upgrade was ever told as something else before.
    assert [path for path, verdict in every if verdict != "expected" and UPGRADE.get(path, (BAD,))[0] == GOOD] == []
    found, _ = host.check("--all")
    assert {path: one["verdict"] for path, one in found.items() if path in wanted} == {
        path: judged[0] for path, (judged, *_) in (UPGRADE | INTRUDERS).items()
    }
