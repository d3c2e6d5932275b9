"""`bootstrap --system` on a bare Debian 12 in a folder of its own: installed, used, upgraded, removed.

It downloads a Debian and takes minutes, so it runs where FIMKIT_TEST_SYSTEM=1 asks for it; as root, with debootstrap.
"""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
USERS = ("./etc/group", "./etc/gshadow", "./etc/passwd", "./etc/shadow", "./etc/subgid", "./etc/subuid")  # and their backups
UNITS = ("fimkit-watch.service", "fimkit-check.service", "fimkit-check.timer", "fimkit-rules.service", "fimkit-panic.service")
SEARCHED = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def why_not() -> str | None:
    if os.environ.get("FIMKIT_TEST_SYSTEM") != "1":
        return "takes minutes and a Debian from the network: FIMKIT_TEST_SYSTEM=1 asks for it"
    if os.geteuid() != 0:
        return "needs root, for a chroot"
    missing = [name for name in ("debootstrap", "unshare", "chroot") if not shutil.which(name)]
    return f"needs {', '.join(missing)}" if missing else None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


class Host:
    """A Debian in a folder; what runs there has its own mounts and processes, so that nothing stays behind."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and name != "PIP_FIND_LINKS"}
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={self.root}/proc", "chroot", self.root, *words],
            capture_output=True, text=True, check=False, cwd="/", env=settings | {"PATH": SEARCHED},
        )  # fmt: skip

    def bootstrap(self, *words: str) -> str:
        done = self.run("/root/fimkit/bootstrap", *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        return done.stderr

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def files(self) -> set[str]:
        """Everything but what apt, Python and the kernel's file systems have of their own."""
        left_out = ("./var/cache", "./var/lib/apt", "./var/log", "./root", "./tmp", "./proc")
        prune = [word for path in left_out for word in ("-path", path, "-o")]
        found = subprocess.run(
            ["find", ".", "-xdev", "(", *prune, "-name", "__pycache__", ")", "-prune", "-o", "-print"],
            cwd=self.root, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return set(found.stdout.splitlines())


@pytest.fixture(scope="module")
def debian() -> Iterator[Host]:
    ready = os.environ.get("FIMKIT_TEST_DEBIAN")  # a Debian made before, to be copied
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=False) as folder:
        root = Path(folder) / "debian"
        if ready:
            subprocess.run(["cp", "-a", ready, root], check=True)
        else:
            subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root], check=True)
        if CERTIFICATES.exists():
            shutil.copy(CERTIFICATES, root / "etc/ssl/certs/ca-certificates.crt")
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        copy_checkout(root / "root/fimkit")
        yield Host(root)


def copy_checkout(to: Path) -> None:
    for name in ("fimkit", "queries", "units"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bootstrap", "pyproject.toml", "README.md", "requirements.lock"):
        shutil.copy2(ROOT / name, to)


def test_installed_used_upgraded_and_removed(debian: Host) -> None:
    # The packages first, so that what --system itself leaves can be told from theirs.
    assert "installing auditd" in debian.bootstrap("true") or not debian.run("sh", "-c", "command -v auditd").returncode
    shutil.rmtree(debian.at("/root/fimkit/.venv"))
    shutil.rmtree(debian.at("/root/fimkit/fimkit.egg-info"))
    before, checkout = debian.files(), tree(debian.at("/root/fimkit"))

    words = debian.bootstrap("--system")
    assert "systemd does not run here: the units are placed, and nothing is started" in words
    assert "installed: fimkit " in words
    assert tree(debian.at("/root/fimkit")) == checkout, "the checkout is as it was"
    first = installed(debian)
    work(debian)

    words = debian.bootstrap("--system")
    assert "upgraded: fimkit " in words
    second = installed(debian)
    assert second != first
    assert sorted(path.name for path in debian.at("/opt/fimkit/versions").iterdir()) == [first, second]
    third = installed_after(debian)
    assert sorted(path.name for path in debian.at("/opt/fimkit/versions").iterdir()) == [second, third]

    words = debian.bootstrap("--system", "--remove")
    assert "kept: /var/lib/fimkit, /etc/fimkit, the group fimkit and the user fimkit-scan (" in words
    left = {name for name in debian.files() - before if not name.startswith(USERS)}
    assert left == {"./var/lib/fimkit", "./etc/fimkit", "./etc/fimkit/fimkit.toml"} | {
        f"./var/lib/fimkit/{name}" for name in ("fimkit.sqlite", "fimkit.sqlite-shm", "fimkit.sqlite-wal", "lock")
    }
    assert before - debian.files() == set()

    assert "removed, with state and configuration" in debian.bootstrap("--system", "--remove", "--purge")
    assert {name for name in debian.files() ^ before if not name.startswith(USERS)} == set()
    assert debian.run("getent", "group", "fimkit").returncode == 2
    assert debian.run("getent", "passwd", "fimkit-scan").returncode == 2
    assert debian.bootstrap("--system", "--remove").endswith("and the system's own packages\n")


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def installed(debian: Host) -> str:
    """See that everything is in its place, and give the version's name."""
    assert debian.run("/usr/local/bin/fimkit", "--version").stdout.startswith("fimkit ")
    for unit in UNITS:
        seen = debian.at(f"/usr/local/lib/systemd/system/{unit}").stat()
        assert (stat.S_IMODE(seen.st_mode), seen.st_uid) == (0o644, 0)
    group = int(debian.run("getent", "group", "fimkit").stdout.split(":")[2])
    state = debian.at("/var/lib/fimkit").stat()
    assert (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) == (0o750, 0, group)
    for path in debian.at("/opt/fimkit").rglob("*"):
        seen = path.lstat()
        assert seen.st_uid == 0
        assert stat.S_ISLNK(seen.st_mode) or not seen.st_mode & 0o022, path
    return os.path.basename(os.readlink(debian.at("/opt/fimkit/current")))


def installed_after(debian: Host) -> str:
    debian.bootstrap("--system")
    return installed(debian)


def work(debian: Host) -> None:
    """A baseline and a check by root, and a member of the group that reads."""
    debian.at("/etc/fimkit").mkdir()
    config = '[host]\nname = "web01"\n[[paths]]\npath = "/etc/apt"\ntier = "critical"\n[sources]\nosquery_config = ""\n'
    debian.at("/etc/fimkit/fimkit.toml").write_text(config)
    done = debian.run("fimkit", "baseline", "create")
    assert done.returncode == 0, done.stderr
    debian.at("/etc/apt/planted").write_text("x")
    done = debian.run("fimkit", "check", "--json")
    assert (done.returncode, [json.loads(line)["path"] for line in done.stdout.splitlines()]) == (1, ["/etc/apt/planted"])
    debian.at("/etc/apt/planted").unlink()
    group = debian.run("getent", "group", "fimkit").stdout.split(":")[2]
    show = ("fimkit", "baseline", "show", "/etc/apt/sources.list")
    member = debian.run("setpriv", "--reuid=4711", f"--regid={group}", "--clear-groups", *show)
    assert member.returncode == 0, member.stderr
    assert "/etc/apt/sources.list" in member.stdout
    stranger = debian.run("setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", *show)
    assert stranger.returncode == 3, stranger.stdout


def test_an_upgrade_is_no_finding_of_a_host_that_watches_fimkit_itself(debian: Host) -> None:
    debian.bootstrap("--system")
    debian.at("/etc/fimkit").mkdir()
    config = '[host]\nname = "web01"\n[[paths]]\npath = "/etc/apt"\n[sources]\nosquery_config = ""\n[self]\nwatch = true\n'
    debian.at("/etc/fimkit/fimkit.toml").write_text(config)
    done = debian.run("fimkit", "baseline", "create")
    assert done.returncode == 0, done.stderr
    unit = debian.at("/root/fimkit/units/fimkit-check.service")
    whole = unit.read_text()
    for number in range(2):  # the second one takes the first version away too
        unit.write_text(f"{whole}# {number}\n")
        assert "to be accepted" not in debian.bootstrap("--system")
        done = debian.run("fimkit", "check", "--json")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    rows = [json.loads(line) for line in debian.run("fimkit", "expect", "list", "--all", "--json").stdout.splitlines()]
    assert {row["reason"] for row in rows} == {"bootstrap --system"} and all(row["cancelled"] for row in rows)
    debian.at("/opt/fimkit/current/bin/planted").write_text("x")
    done = debian.run("fimkit", "check", "--json")
    assert [json.loads(line)["path"].rpartition("/")[2] for line in done.stdout.splitlines()] == ["planted"]
    assert not [name for name in os.listdir(debian.at("/opt")) if name.startswith(".fimkit")]
    unit.write_text(whole)
    debian.bootstrap("--system", "--remove", "--purge")


def test_a_foreign_file_is_not_written_over(debian: Host) -> None:
    link = debian.at("/usr/local/bin/fimkit")
    link.write_text("another's")
    done = debian.run("/root/fimkit/bootstrap", "--system")
    assert done.returncode == 3
    assert "is none of fimkit's" in done.stderr
    assert link.read_text() == "another's"
    assert not debian.at("/opt/fimkit").exists()
    link.unlink()


def test_a_version_that_does_not_start_is_not_used(debian: Host) -> None:
    debian.bootstrap("--system")
    used = os.readlink(debian.at("/opt/fimkit/current"))
    cli = debian.at("/root/fimkit/fimkit/cli.py")
    whole = cli.read_text()
    try:
        cli.write_text("raise SystemExit('broken')\n")
        done = debian.run("/root/fimkit/bootstrap", "--system")
    finally:
        cli.write_text(whole)
    assert done.returncode == 3
    assert "the new version does not start; what was there stays in use" in done.stderr
    assert os.readlink(debian.at("/opt/fimkit/current")) == used
    assert [path.name for path in debian.at("/opt/fimkit/versions").iterdir()] == [os.path.basename(used)]
    debian.bootstrap("--system", "--remove", "--purge")


@contextmanager
def stand_in_systemd(debian: Host) -> Iterator[Path]:
    """Have a systemctl that only writes down what it is asked; gives that file."""
    calls, stand_in = debian.at("/tmp/calls"), debian.at("/usr/local/bin/systemctl")
    stand_in.write_text('#!/bin/sh\necho "$@" >>/tmp/calls\n')
    stand_in.chmod(0o755)
    debian.at("/run/systemd/system").mkdir(parents=True)
    try:
        yield calls
    finally:
        stand_in.unlink()
        debian.at("/run/systemd/system").rmdir()
        calls.unlink(missing_ok=True)


def test_where_systemd_runs_a_running_watch_is_restarted_and_nothing_stays_enabled(debian: Host) -> None:
    debian.bootstrap("--system")
    wants = debian.at("/etc/systemd/system/multi-user.target.wants/fimkit-watch.service")
    wants.parent.mkdir(parents=True, exist_ok=True)
    links = [wants, wants.with_name("fimkit-panic.service")]
    for link in links:
        link.symlink_to(f"/usr/local/lib/systemd/system/{link.name}")
    with stand_in_systemd(debian) as calls:
        assert "systemd does not run here" not in debian.bootstrap("--system")
        assert calls.read_text() == "daemon-reload\ntry-restart fimkit-panic.service\ntry-restart fimkit-watch.service\n"
        calls.unlink()
        debian.bootstrap("--system", "--remove", "--purge")
        said = calls.read_text().splitlines()
    units = ("fimkit-watch.service", "fimkit-check.timer", "fimkit-check.service", "fimkit-rules.service", "fimkit-panic.service")
    assert said == [*(f"disable --now {unit}" for unit in units), "daemon-reload"]
    assert not any(link.is_symlink() for link in links)


def test_who_holds_a_cut_is_neither_restarted_nor_removed(debian: Host) -> None:
    debian.bootstrap("--system")
    record = debian.at("/var/lib/fimkit/panic/record.json")
    record.parent.mkdir(mode=0o700)
    with stand_in_systemd(debian) as calls:
        for phase, restarted in (("triggered", []), ("cut", ["fimkit-watch"]), ("armed", ["fimkit-panic", "fimkit-watch"])):
            record.write_text(json.dumps({"phase": phase}))
            words = debian.bootstrap("--system")
            assert calls.read_text() == "daemon-reload\n" + "".join(f"try-restart {unit}.service\n" for unit in restarted)
            assert ("fimkit-panic is left as it is" in words) is (phase != "armed")
            calls.unlink()
        record.write_text("damaged")
        assert "its phase is unknown" in debian.bootstrap("--system")
        calls.unlink()
        for text, why in (('{"phase": "cut"}', "first: fimkit panic restore"), ("damaged", "its phase cannot be told")):
            record.write_text(text)
            done = debian.run("/root/fimkit/bootstrap", "--system", "--remove", "--purge")
            assert (done.returncode, why in done.stderr, calls.exists()) == (3, True, False)
            assert installed(debian)
        record.write_text('{"phase": "restored"}')
        assert "removed, with state and configuration" in debian.bootstrap("--system", "--remove", "--purge")
    assert not record.exists()


def test_a_version_that_something_still_runs_of_is_kept(debian: Host) -> None:
    debian.bootstrap("--system")
    first = os.path.basename(os.readlink(debian.at("/opt/fimkit/current")))
    # The Debian's processes end with each run: here everything is done in one.
    script = f"/opt/fimkit/versions/{first}/bin/python -c 'import time; time.sleep(3600)' & child=$!; " + "; ".join(
        ["/root/fimkit/bootstrap --system"] * 2 + ["kill $child", "ls /opt/fimkit/versions"]
    )
    kept = debian.run("sh", "-c", script)
    assert kept.returncode == 0, kept.stderr
    assert len(kept.stdout.split()) == 3 and first in kept.stdout.split(), kept.stderr
    debian.bootstrap("--system")
    assert first not in {path.name for path in debian.at("/opt/fimkit/versions").iterdir()}
    debian.bootstrap("--system", "--remove", "--purge")
