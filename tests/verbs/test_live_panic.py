"""The panic end to end on this kernel, as root: an armed watch under real audit, a helper in its own network, mail, cut, back.

What reads auditd's log may live in a private network with all that belongs to it, a mail server at the other end of a wire among
it. The kernel's own records reach the machine's network alone: there, a watch that has no right to cut hands its panic to a helper
in another one.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.time import render_time
from fimkit.panic.helper_client import connect_helper
from fimkit.panic.record import PanicRecord, Phase, load_record
from fimkit.panic.rights import RIGHTS, drop_rights
from tests.notify.mail_servers import Certificates, RealServer
from tests.panic.confined import needs, peer
from tests.panic.test_restore import PASSING, VIEWS
from tests.private_net import PEER, PeerNet, in_private_net
from tests.verbs.test_panic_guard import DOUBLE
from tests.watching import WatchedHost, Watching, watched_host

__all__: list[str] = []

PATIENCE_S = 90.0
MACHINES = os.stat("/proc/self/ns/net").st_ino  # asked when this is imported: before any child goes elsewhere
OPS = "ops@example.org"
MORE = """
[mail]
smtp_server = "{peer}:587"
ca_file = "{ca_file}"
panic_recipients = ["ops@example.org"]
deadline_s = 10
nomail = {nomail}

[panic]
deadline_s = 60
capture_s = 1
{panic}
"""
STUCK_WATCH = """\
import sys
from fimkit.commands.watch import _Shown
from fimkit.model.config_text import load_config
from fimkit.verbs.watch import WatchOptions, watch
from fimkit.verbs.watch_sources import Records
options = WatchOptions(records=Records.LOG, runner=tuple(sys.argv[2:]))
watch(lambda: load_config(sys.argv[1]), options, _Shown(as_json=True).show)
"""

pytestmark = needs("ip", "nsenter", "auditd")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def prepare(tree: Path) -> None:
    for name in ("tool", "other", "third"):
        (tree / "sbin" / name).write_bytes(b"as it was delivered\n")


def ip_json(words: str, inside: Sequence[str] = ()) -> list[Any]:
    done = subprocess.run([*inside, "ip", "-j", *words.split()], capture_output=True, check=True)
    return [each for each in json.loads(done.stdout or b"[]") if each]


def network(inside: Sequence[str] = ()) -> dict[str, Any]:
    """What a restore must bring back, as ip has it, without what passes by itself."""
    rows = {name: [_lasting(each) for each in ip_json(" ".join(words), inside)] for name, words in VIEWS.items()}
    return rows | {"IPv6 routes": sorted(rows["IPv6 routes"], key=json.dumps)}


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(each) for name, each in value.items() if name not in PASSING}
    return [_lasting(each) for each in value] if isinstance(value, list) else value


def settled(inside: Sequence[str] = ()) -> dict[str, Any]:
    """The network, when no address is new any more."""
    wait_until(lambda: "tentative" not in json.dumps(ip_json("-6 addr show", inside)))
    return network(inside)


def is_back(before: dict[str, Any], inside: Sequence[str] = ()) -> None:
    """Wait for carriers and addresses to settle, and hold it against what was."""
    until = time.monotonic() + 30
    while settled(inside) != before and time.monotonic() < until:
        time.sleep(0.1)
    for name, rows in network(inside).items():
        assert rows == before[name], name


def up(inside: Sequence[str] = ()) -> list[str]:
    return [row["ifname"] for row in ip_json("link show up", inside) if row["ifname"] != "lo"]


def wait_until(true: Callable[[], object], why: Callable[[], object] = lambda: "it never came") -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, why()
        time.sleep(0.05)


class Scene:
    """An armed host: the watched one, with its helper, and what it tells; all of it in the network that ``inside`` leads to."""

    def __init__(self, host: WatchedHost, certificates: Certificates, *, inside: Sequence[str] = (), nomail: bool = False) -> None:
        self.host, self.inside = host, tuple(inside)
        self._first = host.config.read_text()
        self._certificates, self._nomail = certificates, nomail
        self._helper: subprocess.Popen[bytes] | None = None
        self.configure()

    def configure(self, panic: str = "") -> None:
        more = MORE.format(peer=PEER, ca_file=self._certificates.ca_file, nomail=str(self._nomail).lower(), panic=panic)
        self.host.config.write_text(self._first + more)

    # What is done.

    def command(self, *words: str) -> list[str]:
        return [*self.inside, *self.host.command, *words]

    def fimkit(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=300)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start_helper(self) -> None:
        """As its unit does, but for a trial: in the machine's own network it refuses to work."""
        with (self.host.place / "helper.err").open("ab") as errors:
            self._helper = subprocess.Popen(self.command("panic", "helper", "--confined"), stderr=errors, stdin=subprocess.DEVNULL)
        wait_until(self._answers, lambda: (self.host.place / "helper.err").read_text())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), connect_helper(os.fsencode(self.host.state)) as line:
            hello = line.hello()
            assert hello.namespace != MACHINES and hello.can_cut
            return self._helper is not None and hello.pid == self._helper.pid
        return False

    def kill_helper(self) -> None:
        if self._helper is not None:
            self._helper.kill()
            self._helper.wait()
            self._helper = None

    def arm(self) -> None:
        done = self.fimkit("panic", "arm", "--yes")
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert self.record.phase is Phase.ARMED

    def watch(self, *words: str, before: Callable[[], None] | None = None) -> Watching:
        return self.follow([*self.host.command, "watch", "--json", *words], before=before)

    def follow(self, command: Sequence[str], *, before: Callable[[], None] | None = None) -> Watching:
        errors = self.host.place / f"watch-{len(self.host.running)}.err"
        with errors.open("w") as file:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True, preexec_fn=before)
        watching = Watching(process, errors)
        self.host.running.append(watching)
        wait_until(lambda: self._is_ready(process), lambda: watching.words)
        return watching

    def _is_ready(self, process: subprocess.Popen[str]) -> bool:
        assert process.poll() is None
        with contextlib.suppress(OSError, ValueError):
            row = json.loads((self.host.state / "watch.json").read_text())
            return bool(row["pid"] == process.pid and row["ready"])
        return False

    def tamper(self, name: str, content: bytes) -> Path:
        """Copy other content over a critical file, as somebody who has logged in; gives the file."""
        source, target = self.host.place / f"brought-{name}", self.host.tree / "sbin" / name
        source.write_bytes(content)
        ran = self.host.live.run(["/bin/cp", str(source), str(target)], auid=1001)
        assert ran.returncode == 0, ran.stderr
        return target

    # What is seen.

    @property
    def record(self) -> PanicRecord:
        return load_record(os.fsencode(self.host.state))

    def wait_cut(self, watching: Watching | None = None) -> Path:
        """Wait until the panic is over and its report written; gives its folder."""

        def why() -> object:
            return watching.words if watching else "", self.record.phase, (self.host.place / "helper.err").read_text()

        wait_until(lambda: self.record.phase is Phase.CUT, why)
        folder = self.host.state / "panic/incidents" / self.record.incident
        wait_until((folder / "report.txt").exists, why)
        assert up(self.inside) == []
        return folder

    def nothing_began(self) -> bool:
        return self.record.phase is Phase.ARMED and self.record.incident == "" and up(self.inside) != []


@contextlib.contextmanager
def scene(host: WatchedHost, certificates: Certificates, *, inside: Sequence[str] = (), nomail: bool = False) -> Iterator[Scene]:
    """Make one; what it started ends with it."""
    made = Scene(host, certificates, inside=inside, nomail=nomail)
    try:
        made.start_helper()
        yield made
    finally:
        host.end()
        made.kill_helper()


def mailed(certificates: Certificates) -> RealServer:
    """A private network's wire, with a mail server at its other end."""
    server = RealServer(port=587, context=certificates.context(certificates.right))
    PeerNet().call(server.start)
    for words in ("route add default via 192.0.2.25", "route add 198.51.100.0/24 via 192.0.2.25 table 100",
                  "-6 route add 2001:db8:1::/48 via 2001:db8::25", "rule add from 192.0.2.1 lookup 100 priority 900"):  # fmt: skip
        subprocess.run(["ip", *words.split()], check=True)
    return server


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def show(name: str, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = json.loads((folder / "report.json").read_text())
    print(f"\n{name}: {row['cause']}")
    for step in row["steps"]:
        print(f"    {step['began_s']:6.2f} s  {step['took_s']:6.2f} s  {step['step']:14} {step['status']:9} {step['words'][:120]}")
    return row


def private(folder: Path, certificates: Certificates, work: Callable[[Scene, RealServer], None]) -> None:
    """Run a test in a network of its own, under the machine's audit: its records come by auditd's log."""
    with watched_host(folder, prepare) as host:

        def run() -> None:
            server = mailed(certificates)
            with scene(host, certificates) as made:
                work(made, server)

        in_private_net(run)


def test_a_trojan_over_a_critical_file_is_told_with_its_who_and_the_host_is_cut_off_and_brought_back(
    tmp_path: Path, certificates: Certificates
) -> None:
    def work(scene: Scene, server: RealServer) -> None:
        scene.configure('killswitch = [["grep", "CapEff", "/proc/self/status"]]')
        scene.arm()
        watching, before = scene.watch("--records", "log"), settled()
        target, began = scene.tamper("tool", b"a trojan\n"), time.monotonic()
        folder = scene.wait_cut(watching)
        print(f"from the copy to the report: {time.monotonic() - began:.1f} s")
        row = show("by auditd's log", folder)
        assert row["complete"] and row["phase"] == "cut" and row["cut"]["took_down"] == ["here0"]
        _check_evidence(folder, row, target)
        _check_mail(server, target)
        killswitch = (folder / "killswitch-01.txt").read_text()
        assert int(killswitch.split()[1], 16) >> RIGHTS.index("NET_ADMIN") & 1, killswitch  # the runner has it no more
        (finding,) = watching.of(target)
        assert (finding["severity"], finding["actors"][0]["auid"]) == ("critical", 1001)
        done = scene.fimkit("panic", "restore")
        assert done.returncode == 0, (done.stdout, done.stderr)
        is_back(before)
        assert scene.record.phase is Phase.RESTORED and scene.fimkit("panic", "restore").returncode == 0
        is_back(before)
        assert watching.stop() == 1

    private(tmp_path, certificates, work)


def _check_evidence(folder: Path, row: dict[str, Any], target: Path) -> None:
    (found,) = json.loads((folder / "cause.json").read_text())["findings"]
    assert (found["path"], found["attribution"], found["actors"][0]["auid"]) == (str(target), "exact", 1001)
    assert found["actors"][0]["exe"].endswith("cp")
    (copy,) = folder.glob("copy-*")
    assert copy.read_bytes() == b"a trojan\n"
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == found["after"]["sha256"] == hashlib.sha256(b"a trojan\n").hexdigest()
    files = {one["file"]: one for one in (*row["files"], *row["others"])}
    assert all(one["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest() for name, one in files.items())
    (packets,) = folder.glob("*.pcapng")
    assert packets.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert {copy.name, packets.name, "cause.json", "letter.eml", "connections.jsonl", "processes.jsonl"} <= files.keys()
    assert folder.stat().st_mode & 0o077 == 0


def _check_mail(server: RealServer, target: Path) -> None:
    ((recipients, message),) = server.received
    assert recipients == [OPS] and server.encrypted == [True] and "PANIC" in message["Subject"]
    text = text_of(message)
    hashes = [hashlib.sha256(content).hexdigest() for content in (b"as it was delivered\n", b"a trojan\n")]
    for words in (str(target), "1001", *hashes):
        assert words in text, (words, text)
    assert "cp" in text and "fimkit panic restore" in text
    (attached,) = message.iter_attachments()
    assert json.loads(attached.get_content())["actors"][0]["auid"] == 1001


def test_a_watch_in_the_machines_network_has_a_helper_in_another_one_cut_that(tmp_path: Path, certificates: Certificates) -> None:
    def no_right_to_cut() -> None:
        drop_rights(set(RIGHTS) - {"NET_ADMIN"})  # neither it nor what it starts could touch a link of the machine

    with peer() as pid, watched_host(tmp_path, prepare) as host:
        assert os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino == MACHINES
        inside = ("nsenter", "-t", str(pid), "-n")
        for words in ("link set lo up", "link add w0 type veth peer name w1", "link add w2 type ifb", "link set w0 up",
                      "link set w1 up", "link set w2 up", "addr add 203.0.113.1/24 dev w0", "route add default via 203.0.113.9",
                      "-6 addr add 2001:db8::1/64 dev w0 nodad", "-6 route add default via 2001:db8::9"):  # fmt: skip
            subprocess.run([*inside, "ip", *words.split()], check=True)
        with scene(host, certificates, inside=inside, nomail=True) as made:
            machines = [row["ifname"] for row in ip_json("link show up")]
            watching = made.watch("--records", "kernel", before=no_right_to_cut)
            made.arm()
            wait_until(lambda: host.status()["panic"] == "armed")
            before = settled(inside)
            target, began = made.tamper("tool", b"a trojan\n"), time.monotonic()
            folder = made.wait_cut(watching)
            print(f"from the copy to the report: {time.monotonic() - began:.1f} s")
            row = show("by the kernel's records", folder)
            assert sorted(row["cut"]["took_down"]) == ["w0", "w1", "w2"] and row["phase"] == "cut"
            _check_evidence(folder, row, target)
            assert "1001" in (folder / "letter.eml").read_text()
            assert [row["ifname"] for row in ip_json("link show up")] == machines
            done = made.fimkit("panic", "restore")
            assert done.returncode == 0, (done.stdout, done.stderr)
            is_back(before, inside)
            assert watching.stop() == 1


def test_what_is_known_or_given_by_hand_starts_nothing_nor_does_a_reload_and_the_threshold_counts(
    tmp_path: Path, certificates: Certificates
) -> None:
    def work(scene: Scene, server: RealServer) -> None:
        _in_a_window(scene)
        assert [message["Subject"] for _, message in server.received if "accepted" in message["Subject"]]
        scene.configure("threshold = 2")
        scene.arm()
        watching = scene.watch("--records", "log")
        assert scene.fimkit("selftest").returncode in (0, 1)
        assert watching.stop() == 0
        scene.tamper("other", b"the first of two\n")
        scene.host.live.sync()
        by_hand = scene.fimkit("check", "--audit-log", str(scene.host.live.log))
        assert by_hand.returncode == 1 and "logs given by hand start no panic" in by_hand.stderr
        assert _investigate(scene).returncode == 1
        assert scene.nothing_began() and scene.record.counted == () and len(scene.record.seen) == 0
        watching = scene.watch("--records", "log")
        watching.wait(lambda: "1 of the 2 critical findings that start a panic" in watching.words, PATIENCE_S)
        scene.configure('threshold = 1\nnokill = true\nwindows = ["mon 00:00-24:00"]')
        watching.process.send_signal(signal.SIGHUP)
        watching.wait(lambda: "[panic] differs from what this host was armed with" in watching.words, PATIENCE_S)
        wait_until(lambda: len(scene.record.counted) == 1)
        assert scene.nothing_began()
        scene.tamper("third", b"the second\n")
        row = show("the second of two", scene.wait_cut(watching))
        assert row["complete"] and len(scene.record.counted) == 2 and "2 distinct ones since arming" in row["cause"]
        assert watching.stop() == 1

    private(tmp_path, certificates, work)


def _investigate(scene: Scene) -> subprocess.CompletedProcess[str]:
    """Files collected elsewhere, with a critical difference."""
    before, after = scene.host.place / "baseline.jsonl", scene.host.place / "after.jsonl"
    before.write_text(scene.fimkit("baseline", "show", "--json").stdout)
    hashes = [hashlib.sha256(content).hexdigest() for content in (b"as it was delivered\n", b"elsewhere\n")]
    after.write_text(before.read_text().replace(*hashes))
    done = scene.fimkit("investigate", "--baseline", str(before), "--after", str(after))
    assert "critical" in done.stdout, (done.stdout, done.stderr)
    return done


def _in_a_window(scene: Scene) -> None:
    """Armed, in a maintenance window: what changes is said; accepted, it is told the recipients, and it starts nothing later."""
    now_ns, hour_ns = time.time_ns(), 3600 * 10**9
    scene.configure(f'windows = ["{render_time(now_ns - hour_ns)}/{render_time(now_ns + hour_ns)}"]')
    scene.arm()
    watching = scene.watch("--records", "log")
    target = scene.tamper("tool", b"maintained\n")
    watching.wait(lambda: "it comes in the maintenance window" in watching.words, PATIENCE_S)
    wait_until(lambda: len(scene.record.seen) == 1)
    assert scene.nothing_began()
    done = scene.fimkit("baseline", "accept", "--reason", "patch day", str(target))
    assert done.returncode == 0, done.stderr
    left = scene.fimkit("check", "--all")
    assert left.returncode == 0, left.stdout
    assert watching.stop() == 0 and scene.nothing_began(), watching.words


def test_an_armed_check_panics_and_what_is_cut_is_cut_again_after_a_reboot(tmp_path: Path, certificates: Certificates) -> None:
    def work(scene: Scene, server: RealServer) -> None:
        scene.arm()
        target = scene.tamper("tool", b"a trojan\n")
        scene.host.live.sync()
        done = scene.fimkit("check", "--json")
        assert done.returncode == 1 and "a panic was run: incident" in done.stderr
        row = show("by a check", scene.wait_cut())
        _check_evidence(scene.wait_cut(), row, target)
        _check_mail(server, target)
        scene.kill_helper()
        folder = scene.host.state / "panic"
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for name in ("record.json", "network.json"):  # as if they had been written in another boot
            (folder / name).write_text((folder / name).read_text().replace(boot_id, "0b5e7c1e-another-boot"))
        subprocess.run(["ip", "link", "set", "here0", "up"], check=True)  # this boot's network service was faster
        scene.start_helper()
        assert up() == [] and "in another boot" in scene.record.log[-1].words  # before it answered
        assert scene.fimkit("check").returncode == 1 and scene.record.phase is Phase.CUT and up() == []
        done = scene.fimkit("panic", "restore")
        assert done.returncode == 0 and "links set up: here0" in done.stdout, (done.stdout, done.stderr)
        assert up() == ["here0"]

    private(tmp_path, certificates, work)


def test_who_stops_or_kills_an_armed_watch_is_told_of_and_what_it_had_stored_starts_the_panic_next_time(
    tmp_path: Path, certificates: Certificates
) -> None:
    def work(scene: Scene, server: RealServer) -> None:
        scene.arm()
        assert scene.watch("--records", "log").stop() == 0
        wait_until(lambda: len(server.received) == 1)
        watching = scene.watch("--records", "log")
        watching.process.kill()
        wait_until(lambda: len(server.received) == 2)
        subjects = [str(message["Subject"]).rpartition(" watch ")[2] for _, message in server.received]
        assert subjects == ["stopped", "killed"] and "SIGTERM" in text_of(server.received[0][1])
        _store_and_die(scene)
        assert scene.nothing_began()
        watching = scene.watch("--records", "log")
        row = show("stored before a kill", scene.wait_cut(watching))
        assert row["complete"] and len(server.received) == 3 and "PANIC" in server.received[2][1]["Subject"]
        assert watching.stop() == 1

    private(tmp_path, certificates, work)


def _store_and_die(scene: Scene) -> None:
    """A watch whose runner takes nothing in stores a finding, and is killed before anybody was told."""
    log = scene.host.place / "runner.log"
    command = [sys.executable, "-c", STUCK_WATCH, str(scene.host.config), sys.executable, "-I", DOUBLE, "hangs", str(log)]
    watching = scene.follow(command)
    target = scene.tamper("tool", b"a trojan\n")
    watching.wait(lambda: watching.of(target), PATIENCE_S)
    watching.process.kill()
    watching.process.wait()
    log.with_suffix(".go").touch()
