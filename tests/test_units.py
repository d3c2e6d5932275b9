"""The shipped units: sound for systemd, sealed as far as is said, and enough for what they run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Sources
from fimkit.model.config_json import freeze
from fimkit.model.config_text import load_config
from fimkit.model.errors import HostError
from fimkit.panic.helper_client import Helper, connect_helper
from fimkit.panic.namespaces import Namespace
from fimkit.verbs.hook_files import known_hook_files
from fimkit.verbs.install import RULES_FILE
from fimkit.verbs.osquery_files import known_osquery_files
from tests.panic.confined import confined, ip_batch, wait_until

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
UNITS = ROOT / "units"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
PROGRAM = "/opt/fimkit/current/bin/fimkit"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (package systemd)")
WORST = {"fimkit-watch.service": 4.2, "fimkit-check.service": 3.9, "fimkit-rules.service": 2.5, "fimkit-panic.service": 1.9}
"""The exposure that `systemd-analyze security` states: 0 is sealed, 10 is open. The README repeats them."""


@needs_systemd
def test_systemd_has_no_complaint(tmp_path: Path) -> None:
    for path in UNITS.glob("fimkit-*"):
        text = path.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")  # it is not installed on the host of the tests
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_no_more_exposed_than_is_said(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / unit], capture_output=True, text=True, check=False
    )
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score is not None, done.stdout + done.stderr
    assert float(score[1]) <= WORST[unit]


@pytest.mark.parametrize("unit", [unit for unit in SERVICES if unit != "fimkit-panic.service"])
def test_no_setting_hides_what_is_watched(unit: str) -> None:
    text = (UNITS / unit).read_text(encoding="utf-8")
    assert "PrivateTmp=no\n" in text
    for hiding in ("ProtectKernelModules=", "PrivateDevices=", "InaccessiblePaths=", "TemporaryFileSystem=", "PrivateNetwork="):
        assert not re.search(f"^{hiding}", text, re.MULTILINE), hiding


def settings(unit: str) -> dict[str, list[str]]:
    """Every setting of a unit, with its values in order."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_only_the_helper_may_change_the_network_and_nothing_else() -> None:
    rights = {unit: set(settings(unit)["CapabilityBoundingSet"][0].split()) for unit in SERVICES}
    assert rights["fimkit-panic.service"] == {"CAP_NET_ADMIN"}
    searching = {"CAP_SETUID", "CAP_SETGID", "CAP_KILL"}  # of the child that becomes another user to read hostile files
    assert rights["fimkit-check.service"] == {"CAP_DAC_READ_SEARCH", "CAP_NET_RAW", "CAP_SYS_PTRACE", *searching}
    assert rights["fimkit-watch.service"] >= searching
    assert rights["fimkit-watch.service"] >= {"CAP_NET_RAW", "CAP_SYS_PTRACE"}
    assert not any("AmbientCapabilities" in settings(unit) for unit in SERVICES)


def test_the_helper_is_there_before_the_network_and_comes_back_for_ever() -> None:
    unit = settings("fimkit-panic.service")
    before = {word for line in unit["Before"] for word in line.split()}
    assert {"network-pre.target", "shutdown.target", "fimkit-watch.service", "fimkit-check.service"} <= before
    assert (unit["Wants"], unit["DefaultDependencies"]) == (["network-pre.target"], ["no"])
    assert "/var/lib/fimkit" in unit["RequiresMountsFor"][0].split()
    assert (unit["Restart"], unit["StartLimitIntervalSec"], unit["OOMScoreAdjust"]) == (["always"], ["0"], ["-1000"])
    assert set(unit["RestrictAddressFamilies"][0].split()) == {"AF_NETLINK", "AF_UNIX"}
    assert not {"PrivateNetwork", "RestartPreventExitStatus"} & unit.keys()


@pytest.mark.parametrize("unit", ["fimkit-watch.service", "fimkit-check.service"])
def test_who_panics_reaches_the_mail_server_captures_and_wants_the_helper(unit: str) -> None:
    found = settings(unit)
    assert {"AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_UNIX"} == set(found["RestrictAddressFamilies"][0].split())
    assert "IPAddressDeny" not in found
    assert found["Wants"] == ["fimkit-panic.service"]
    assert "fimkit-panic.service" in found["After"][0].split()


@pytest.mark.parametrize("python", ["3.6", "3.9", "3.11", "3.12", "3.13", "3.14"])  # of the dnf4 that distributions have
def test_the_rules_are_put_in_at_boot_wherever_an_install_writes(python: str, tmp_path: Path) -> None:
    for folder in ("etc/apt/apt.conf.d", "etc/dnf/libdnf5-plugins/actions.d", f"usr/lib/python{python}/site-packages/dnf-plugins"):
        (tmp_path / folder).mkdir(parents=True)
    config = Config(host=Host(name="web01"), paths=(), sources=Sources())
    hooks = known_hook_files(str(tmp_path))
    places = {RULES_FILE, *(one.path for one in (*hooks, *known_osquery_files(config, str(tmp_path))))}
    places.add(os.fsdecode(config.host.state_dir))
    assert len(hooks) == 3
    writable = [word.removeprefix("-") for line in settings("fimkit-rules.service")["ReadWritePaths"] for word in line.split()]
    assert not [path for path in places if not any(path == one or path.startswith(f"{one}/") for one in writable)]


@needs_systemd
def test_the_words_on_containers_make_a_sound_drop_in_that_gives_what_entering_them_takes(tmp_path: Path) -> None:
    text = (UNITS / "fimkit-panic.service").read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
    words = re.findall(r"^#   (\S.*)$", text, re.MULTILINE)
    assert words[0] == "[Service]"
    unit, drop_in = tmp_path / "fimkit-panic.service", tmp_path / "fimkit-panic.service.d/containers.conf"
    drop_in.parent.mkdir()
    unit.write_text(text, encoding="utf-8")
    drop_in.write_text("\n".join(words) + "\n", encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # The drop-in's lines come after the unit's own, as systemd reads them.
    joined = tmp_path / "joined.service"
    joined.write_text(text.replace("[Install]", "\n".join(words[1:]) + "\n[Install]"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short", joined], capture_output=True, text=True, check=False
    )
    sealed = {row["json_field"]: row["set"] for row in json.loads(done.stdout)}
    assert not sealed["RestrictNamespaces_net"] and sealed["RestrictNamespaces_user"]
    assert not sealed["CapabilityBoundingSet_CAP_SYS_ADMIN"] and not sealed["CapabilityBoundingSet_CAP_SYS_PTRACE"]
    assert not sealed["CapabilityBoundingSet_CAP_NET_ADMIN"] and sealed["CapabilityBoundingSet_CAP_SYS_MODULE"]
    assert "setns" in allowed_calls("fimkit-panic.service")


def test_the_readme_states_the_scores() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{unit.removesuffix('.service')}` {score}" in text for unit, score in WORST.items())


SEALED = """
import ctypes, sys
PR_SET_MDWE = 65  # what MemoryDenyWriteExecute= asks of kernels from 6.3 on
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, *map(ctypes.c_ulong, (1, 0, 0, 0))):
    print("no PR_SET_MDWE")
    sys.exit(77)
import mmap
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    sys.exit("memory could be written and executed")
except PermissionError:
    pass
import fimkit.correlate.correlate, fimkit.dirty.dirty_paths, fimkit.packages.openpgp, fimkit.osquery.client
from fimkit.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def host(tmp_path: Path) -> list[str]:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").write_text("a")
    config = tmp_path / "fimkit.toml"
    config.write_text(
        f'[host]\nname = "web01"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "{tmp_path}/tree"\ntier = "critical"\n'
        f'[sources]\naudit_log = "{tmp_path}/audit.log"\nosquery_log = "{tmp_path}/osquery.log"\nosquery_config = ""\n'
    )
    (tmp_path / "audit.log").touch()
    subprocess.run([sys.executable, "-m", "fimkit", "--config", config, "baseline", "create"], check=True, cwd=ROOT)
    (tmp_path / "tree/a").write_text("b")
    return ["--config", str(config), "check", "--json"]


def test_a_check_works_where_no_memory_is_both_writable_and_executable(host: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", SEALED, *host], capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE (before 6.3)")
    assert done.returncode == 1, done.stderr
    assert '"modified"' in done.stdout


def allowed_calls(unit: str) -> set[str]:
    """Work out the unit's SystemCallFilter by systemd's own tables."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), re.MULTILINE):
        calls = {call for word in line.removeprefix("~").split() for call in expand(word)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed | expand("@default")


def expand(group: str) -> set[str]:
    if not group.startswith("@"):
        return {group}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:] if line.startswith("    ") and not line.strip().startswith("#")]
    return {call for word in words for call in expand(word)}


@needs_systemd
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace, to see the system calls")
def test_a_check_makes_no_call_that_its_unit_forbids(host: list[str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", trace, sys.executable, "-m", "fimkit", *host], capture_output=True, check=False, cwd=ROOT
    )
    made = set(re.findall(r"^[0-9]+ +([a-z0-9_]+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    assert {"openat", "fdatasync"} <= made or {"openat", "fsync"} <= made
    assert made - allowed_calls("fimkit-check.service") == set()


@needs_systemd
@pytest.mark.skipif(not (shutil.which("strace") and shutil.which("setpriv")), reason="needs strace and setpriv")
@pytest.mark.parametrize("action", ["down", "isolate"])
@confined
def test_a_helper_with_its_units_right_alone_cuts_and_restores_by_no_call_that_its_unit_forbids(
    action: str, tmp_path: Path, where: Namespace
) -> None:
    if os.getuid():
        pytest.skip("needs root, to take rights from root")
    ip_batch(["link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 192.0.2.1/24 dev v0"])
    state, trace = tmp_path / "state", tmp_path / "trace"
    config = tmp_path / "fimkit.toml"
    config.write_text(
        f'[host]\nname = "web01"\nstate_dir = "{state}"\n[[paths]]\npath = "/sbin"\ntier = "critical"\n'
        f'[panic]\naction = "{action}"\nallow = ["192.0.2.10:22"]\n'
    )
    state.mkdir(mode=0o700)
    right = settings("fimkit-panic.service")["CapabilityBoundingSet"][0].removeprefix("CAP_").lower()
    program = [sys.executable, "-m", "fimkit", "--config", config, "panic", "helper"]
    # strace itself keeps the right to look; setpriv is the first program that it follows, and no part of the helper.
    words = ["strace", "-f", "-qq", "-o", trace, "setpriv", f"--bounding-set=-all,+{right}", "--no-new-privs", *program]
    pids: list[int] = []
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            helpers: list[Helper] = []

            def answers() -> bool:
                with suppress(HostError):
                    helpers.append(connect_helper(os.fsencode(state)))
                return bool(helpers)

            wait_until(answers)
            with helpers[0] as helper:
                hello = helper.hello()
                pids.append(hello.pid)
                assert (hello.rights, hello.can_cut, hello.namespace) == (("NET_ADMIN",), True, where.inode)
                helper.arm(freeze(load_config(config)), by="the test", seen=[])
                helper.begin("2026-11-22T103000Z", "the test", nokill=False)
                reply = helper.cut()
                assert (reply.action, reply.complete) == (action, True), reply
                restored = helper.restore(by="the test")
                assert restored.complete, restored
            os.kill(hello.pid, signal.SIGTERM)
            process.wait(60)
        finally:
            for pid in pids:  # it does not obey while it holds
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
    lines = trace.read_text(errors="replace").partition("execve(\"" + sys.executable)[2]
    made = set(re.findall(r"^[0-9]+ +([a-z0-9_]+)\(", lines, re.MULTILINE))
    assert {"openat", "sendto", "fsync"} & made
    assert made - allowed_calls("fimkit-panic.service") == set()
    families = set(re.findall(r"\bsocket\((AF_[A-Z0-9]+)", lines))
    assert families <= set(settings("fimkit-panic.service")["RestrictAddressFamilies"][0].split())
    assert "AF_NETLINK" in families


def test_cron_does_what_the_units_do_and_only_without_systemd() -> None:
    lines = [line for line in (UNITS / "fimkit.cron").read_text(encoding="utf-8").splitlines() if line and "=" not in line[:8]]
    jobs = [line for line in lines if not line.startswith("#")]
    assert len(jobs) == 3
    for job in jobs:
        assert re.fullmatch(r"(@reboot|[0-9]+ [0-9]+ \* \* \*) +root +\[ -d /run/systemd/system \] \|\| .*", job)
    assert [job.split(PROGRAM)[1].split()[0] for job in jobs] == ["panic", "install", "check"]
    assert not (UNITS / "fimkit.cron").stat().st_mode & 0o022
    assert os.linesep == "\n"
