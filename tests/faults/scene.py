"""A host made for a fault: links, a mail server beyond one of them, a helper, a guard with its runner, and who watches it all.

All of it is in the network namespace of a confined test; processes that a fault left behind end with the scene.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from fimkit.model.config_json import freeze
from fimkit.model.config_text import load_config
from fimkit.model.errors import HostError
from fimkit.notify.channels import Channels
from fimkit.notify.mail import load_mailer
from fimkit.panic.helper_client import Helper, connect_helper
from fimkit.panic.namespaces import Namespace
from fimkit.panic.readback import Readback
from fimkit.panic.record import PanicRecord, Phase, load_record
from fimkit.panic.rights import RIGHTS, drop_rights
from fimkit.verbs.panic_folder import incidents_folder
from fimkit.verbs.panic_guard import PanicGuard
from fimkit.verbs.panic_reach import Reach, render_endpoints
from tests.notify.letters import finding
from tests.panic.confined import ip_batch, ip_json, wait_until
from tests.private_net import PEER, PeerNet

__all__ = ["DEADLINE_S", "MAIL_S", "Scene", "command", "fill", "memory_free_mb", "mount_failing", "mount_small", "toml"]

DEADLINE_S, MAIL_S = 8, 2
_MACHINES = "FIMKIT_TEST_MACHINES_NAMESPACES"  # what tests.private_net goes by
_LOOK_S = 0.005
_NEWNS = 0x00020000

_CONFIG = """
[host]
name = "web01"
state_dir = "{state}"
[[paths]]
path = "/sbin"
tier = "critical"
[sources]
osquery_socket = "{folder}/osquery.em"
osquery_config = ""
[mail]
smtp_server = "{server}"
ca_file = "{ca_file}"
panic_recipients = ["ops@example.org"]
deadline_s = {mail_s}
[panic]
deadline_s = {deadline_s}
capture_s = 2
package_hold_s = 0
{panic}
"""


class LinkWatch:
    """Looks at all links every few milliseconds, in a thread: when the last one was up."""

    def __init__(self, where: Namespace) -> None:
        """Begin."""
        self.last_up_ns = self.looked_ns = 0
        self.up: list[str] = []
        self._reader, self._over = Readback(where), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        pause_s = _LOOK_S
        while not self._over.wait(pause_s):
            began = time.monotonic()
            self.look()
            pause_s = max(_LOOK_S, 2 * (time.monotonic() - began))  # with a thousand links, a core is not ours alone

    def look(self) -> None:
        began_ns = time.time_ns()
        self.up = self._reader.up()
        if self.up:
            self.last_up_ns = time.time_ns()  # at the latest: a slow look counts against the cut
        self.looked_ns = began_ns

    def close(self) -> None:
        self._over.set()
        self._thread.join(60)
        self._reader.close()


class Scene:
    """One host. Use it in a ``with`` block."""

    def __init__(
        self, where: Namespace, folder: Path, *, ca_file: Path, panic: str = "", state: Path | None = None
    ) -> None:
        """Make links and files; nothing of fimkit runs yet."""
        where.check()
        outside = [os.stat(f"/proc/{pid}/ns/net").st_ino for pid in (os.getppid(), 1) if os.access(f"/proc/{pid}/ns/net", os.F_OK)]
        assert outside and where.inode not in outside
        os.environ[_MACHINES] = " ".join(map(str, outside))
        self.where, self.folder, self.state = where, folder, state or folder / "state"
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.peer = PeerNet()
        ip_batch([
            "link add v0 type veth peer name v1", "link add br0 type bridge", "link add t0 type ifb", "link set v1 master br0",
            *(f"link set {name} up" for name in ("v0", "v1", "br0", "t0")),
        ])
        path = folder / "fimkit.toml"
        path.write_text(_CONFIG.format(
            state=self.state, folder=folder, server=f"{PEER}:587", ca_file=ca_file, panic=panic, mail_s=MAIL_S,
            deadline_s=DEADLINE_S,
        ))
        self.path, self.config = path, load_config(path)
        self.said: list[str] = []
        self.guard: PanicGuard | None = None
        self.watch_pid: int | None = None
        self.changed: Path | None = None
        """The file that the finding is of; without one, a file that is not there."""
        self.line: Helper | None = None
        self.links: LinkWatch
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Begin to watch the links."""
        self.links = LinkWatch(self.where)
        return self

    def __exit__(self, *_: object) -> None:
        """End whatever a fault left behind."""
        if self.guard:
            self.guard.close(0.1)  # it would start another runner
        marked = [int(text) for path in self.folder.glob("*.pid") if (text := path.read_text().strip())]
        watch = [self.watch_pid] if self.watch_pid else []
        for pid in [*watch, *self.runner_pids(), *self.helper_pids(), *marked]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.line:
            self.line.close()
        for process in self._processes:
            process.wait(30)
        self.links.close()

    # ---- the parts of fimkit

    def start_helper(self, *, has_rights: bool = True) -> None:
        """Start the resident, and wait until it answers."""
        process = self.spawn_helper(has_rights=has_rights)

        def answers() -> bool:
            assert process.poll() is None, (self.folder / "helper.err").read_text()
            with suppress(HostError):
                self.line = connect_helper(os.fsencode(self.state))
            return self.line is not None

        self.line = None
        wait_until(answers)
        assert self.helper.hello().pid == process.pid
        assert self.helper.hello().namespace == self.where.inode

    def spawn_helper(self, *, has_rights: bool = True) -> subprocess.Popen[bytes]:
        """Start the resident's process, and wait for nothing."""
        with (self.folder / "helper.err").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "fimkit", "--config", self.path, "panic", "helper"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                preexec_fn=None if has_rights else give_up_the_right,
            )  # fmt: skip
        self._processes.append(process)
        return process

    @property
    def helper(self) -> Helper:
        """The scene's own line to the helper."""
        assert self.line is not None
        return self.line

    def arm(self) -> None:
        """Arm the host, and start the guard with its runner."""
        reach = Reach(mailer=load_mailer(self.config), channels=Channels(), advice=())
        settings = freeze(self.config) | {"endpoints": render_endpoints(reach)}
        self.helper.arm(settings, by="the test", seen=[])

    def start_guard(self) -> None:
        """Start what a watch has: a guard, which starts the runner."""
        self.guard = PanicGuard(self.config, nomail=False, nokill=False, live=True, say=self.said.append)
        self.guard.whole(())
        wait_until(self.runner_pid)

    def trigger(self, *, elsewhere: bool = False) -> None:
        """Hand a critical finding over, as a watch does.

        Args:
            elsewhere: By a guard in a process of its own, ``watch_pid``, which may be killed.
        """
        if not elsewhere:
            self.guard or self.start_guard()
            assert self.guard is not None
            self.guard((finding(1, path=os.fsencode(self.changed) if self.changed else None),))
            return
        self.watch_pid = os.fork()
        if self.watch_pid == 0:
            self.start_guard()
            self.trigger()
            while True:
                signal.pause()

    def kill_helper(self) -> None:
        """End the helper as hard as can be."""
        process = self._processes[-1]
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)

    def runner_pids(self) -> list[int]:
        """Find the runners of this namespace, whoever their parents are by now: one that ends a panic may be beside a new one."""
        return self._pids(b"panic_runner")

    def helper_pids(self) -> list[int]:
        """Find the helpers of this namespace: the resident, and one that was started on demand."""
        return [*self._pids(b"panic\0helper\0"), *self._pids(b"fimkit.panic.helper")]

    def _pids(self, words: bytes) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.stat(entry / "ns/net").st_ino == self.where.inode and words in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def runner_pid(self) -> int | None:
        """Find a runner."""
        return next(iter(self.runner_pids()), None)

    def signal_runner(self, number: int) -> None:
        """Send the runner a signal; it must be there."""
        pid = self.runner_pid()
        assert pid is not None, "there is no runner any more"
        os.kill(pid, number)

    # ---- what is seen

    @property
    def record(self) -> PanicRecord:
        """The state file, as it is now."""
        return load_record(os.fsencode(self.state))

    @property
    def incident(self) -> Path | None:
        """The folder of the incident, once it is there."""
        folder = Path(os.fsdecode(incidents_folder(os.fsencode(self.state))))
        return next(iter(sorted(folder.glob("*"))), None)

    def is_up(self) -> list[str]:
        """What iproute2 sees up beside loopback."""
        return [each["ifname"] for each in ip_json("link show up") if each["ifname"] != "lo"]

    def wait_phase(self, *phases: Phase) -> None:
        """Wait until the record has come so far."""
        wait_until(lambda: self.record.phase in phases)

    def wait_down(self) -> None:
        """Wait until nothing is up; the patience is far beyond every deadline, so that a late cut is told from none."""
        wait_until(lambda: not self.is_up(), patience_s=DEADLINE_S + 60)
        looked = self.links.looked_ns
        wait_until(lambda: self.links.looked_ns > looked)

    def wait_cut(self) -> PanicRecord:
        """Wait until nothing is up and the record says so; gives the record."""
        self.wait_down()
        self.wait_phase(Phase.CUT)
        return self.record

    def after_s(self, triggered_ns: int) -> float:
        """Seconds from the trigger to the last moment at which anything was up."""
        return max(0.0, (self.links.last_up_ns - triggered_ns) / 1e9)

    def words(self) -> str:
        """All that a person could read of this panic: of the runner, the record, the helper, the incident's report."""
        told = ["\n".join(self.said), (self.folder / "helper.err").read_text()]
        with suppress(HostError):
            record = self.record
            told += [*(line.words for line in record.log), json.dumps(record.cut, default=str)]
        if folder := self.incident:
            told += [path.read_text() for path in (folder / "index.json", folder / "report.json") if path.exists()]
        return "\n".join(told)


def give_up_the_right() -> None:
    """Give up CAP_NET_ADMIN for good, also for the programs that are started from here."""
    drop_rights(set(RIGHTS) - {"NET_ADMIN"})


def command(folder: Path, name: str, rest: str = "exec sleep 600") -> list[str]:
    """Give a command that leaves its process id in ``NAME.pid`` and then hangs, or does something else."""
    path = folder / f"{name}.pid"
    return ["/bin/sh", "-c", f"echo $$ >{path}.new; mv {path}.new {path}; {rest}"]


def toml(name: str, *commands: Sequence[str]) -> str:
    """Write commands as a key of ``[panic]``."""
    return f"{name} = {json.dumps([list(each) for each in commands])}\n"


def memory_free_mb() -> int:
    """Tell how much memory is to be had."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0


def mount_small(folder: Path, *, kilobytes: int) -> Path:
    """Mount a small file system, and another /dev/shm, for this process and its children alone; gives the small one."""
    small = _leave_mounts(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "tmpfs", small], check=True)
    return small


def mount_failing(folder: Path) -> tuple[Path, Callable[[], None]]:
    """Mount a small disk likewise; gives it, and what has it fail: then it can only be read, as a disk with an error is."""
    place, image = _leave_mounts(folder), folder / "image"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be made of a file here: {done.stderr.strip()}")
    place.chmod(0o700)

    def fail() -> None:
        subprocess.run(["mount", "-o", "remount,abort", place], capture_output=True, check=False)
        with pytest.raises(OSError, match="Read-only"):
            (place / "more").touch()

    return place, fail


def _leave_mounts(folder: Path) -> Path:
    """Take the mounts of this process and its children from everybody else's; gives a folder to mount something on."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(_NEWNS) == 0, os.strerror(ctypes.get_errno())
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    # Where evidence goes when the disk takes none; it would stay there.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)
    place = folder / "small"
    place.mkdir(mode=0o700)
    return place


def fill(folder: Path) -> None:
    """Write until nothing more can be written."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass

