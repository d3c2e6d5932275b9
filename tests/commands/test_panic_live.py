"""`fimkit panic` with its helper, a mail server and a link to lose, in a network of its own: armed, tried, triggered, restored."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fimkit.panic.rights import RIGHTS, drop_rights
from tests.notify.mail_servers import Certificates, RealServer
from tests.panic.confined import needs
from tests.private_net import HERE, PEER, PeerNet, in_private_net

__all__: list[str] = []

PATIENCE_S = 120
MACHINES = os.stat("/proc/self/ns/net").st_ino  # asked when this is imported: before any child goes elsewhere
CONFIG = """\
[host]
name = "web01"
state_dir = "{base}/state"

[[paths]]
path = "{base}/tree"
tier = "critical"

[sources]
audit_log = "{base}/audit.log"
osquery_log = "{base}/osqueryd.results.log"
osquery_socket = "{base}/osquery.em"
osquery_config = ""
package_root = ""

[mail]
smtp_server = "{peer}:587"
ca_file = "{ca_file}"
panic_recipients = ["ops@example.org"]
deadline_s = 10
{mail}

[panic]
deadline_s = 40
capture_s = 1
recon = [["sh", "-c", "echo recon was here"]]
{panic}
"""

pytestmark = [needs("ip"), pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the state folder's owner is the helper's")]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


class PanicHost:
    """A host below a folder, in a namespace that the test has made; with a baseline, and a mail server at the peer."""

    def __init__(self, base: Path, certificates: Certificates, *, panic: str = "", mail: str = "") -> None:
        self.base, self._certificates = base, certificates
        self.server = RealServer(port=587, context=certificates.context(certificates.right))
        PeerNet().call(self.server.start)
        assert os.stat("/proc/self/ns/net").st_ino != MACHINES
        (base / "tree").mkdir(parents=True)
        (base / "tree/tool").write_text("old\n")
        self.configure(panic=panic, mail=mail)
        assert self.run("baseline", "create", "--reason", "first").returncode == 0

    def configure(self, *, panic: str = "", mail: str = "") -> None:
        ca_file = self._certificates.ca_file
        (self.base / "fimkit.toml").write_text(CONFIG.format(base=self.base, peer=PEER, ca_file=ca_file, panic=panic, mail=mail))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "fimkit", "--config", str(self.base / "fimkit.toml"), *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, timeout=PATIENCE_S, stdin=subprocess.DEVNULL,
            env=plain | environment,
        )

    def panic(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = self.run("panic", *words, **environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(self.panic("status", "--json").stdout)
        return row

    @contextmanager
    def helper(self, before: Callable[[], None] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """The resident one, as its unit runs it; ``before`` is done in its process first."""
        with (self.base / "helper.log").open("ab") as log:
            command = self.command("panic", "helper")
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=before)
        try:
            wait_until(lambda: self.status()["helper"] is not None, lambda: (self.base / "helper.log").read_text())
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(true: Callable[[], object], why: Callable[[], str]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, why()
        time.sleep(0.1)


def network() -> list[Any]:
    """What restore must bring back, as ip has it."""
    asked = ("-6 addr show scope global", "-4 addr", "-4 route show table all", "rule", "link")
    rows = [_ip(words) for words in asked]
    return rows


def _ip(words: str) -> list[Any]:
    found: list[Any] = json.loads(subprocess.run(["ip", "-j", *words.split()], capture_output=True, check=True).stdout or "[]")
    return found


def is_up(name: str) -> bool:
    return "UP" in _ip(f"link show {name}")[0]["flags"]


def test_a_host_is_armed_tried_cut_off_and_brought_back(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        with host.helper():
            _arm(host)
            _try(host)
            before = network()
            _trigger(host)
            _restore(host, before)
            done = host.panic("disarm")
            assert done.returncode == 0, done
            assert host.status()["phase"] == "disarmed"

    in_private_net(run)


def _arm(host: PanicHost) -> None:
    assert host.status()["phase"] == "disarmed"
    done = host.panic("arm", "--yes", SSH_CONNECTION=f"{PEER} 40000 {HERE} 22")
    assert done.returncode == 0, done
    assert f"your SSH connection from {PEER}, by here0: it ends with the cut" in done.stdout
    assert "down: here0" in done.stdout and "mail to ops@example.org" in done.stdout
    assert done.stdout.splitlines()[-1] == "armed: web01"
    assert "Traceback" not in done.stderr
    row = host.status()
    assert (row["phase"], row["plan"]["down"], row["differs"]) == ("armed", ["here0"], [])
    assert row["helper"]["can_cut"] and "NET_ADMIN" in row["helper"]["rights"] and row["by"]
    assert host.server.received == []
    host.configure(panic="threshold = 3", mail="nomail = true")
    assert host.status()["differs"] == [
        {"key": "panic.threshold", "frozen": 1, "file": 3}, {"key": "mail.nomail", "frozen": False, "file": True}
    ]


def _try(host: PanicHost) -> None:
    done = host.panic("test")
    assert done.returncode == 0, done
    assert "recon" in done.stdout and "down: here0" in done.stdout
    assert "by what was frozen at arming" in done.stdout
    assert "fimkit: TEST of the panic" in done.stderr and "all was done" in done.stdout
    assert is_up("here0") and host.status()["phase"] == "armed"
    ((recipients, message),) = host.server.received
    assert recipients == ["ops@example.org"] and "TEST" in message["Subject"]
    folder = Path(next(line.split(None, 1)[1] for line in done.stdout.splitlines() if line.startswith("evidence")))
    assert any("recon was here" in file.read_text(errors="replace") for file in folder.glob("recon*"))
    host.server.received.clear()
    quiet = host.panic("test", "--nomail")
    assert "nomail" in quiet.stdout and host.server.received == []


def _trigger(host: PanicHost) -> None:
    done = host.panic("trigger", "--reason", "a drill\x1b[2J")
    assert done.returncode == 0, done
    assert not is_up("here0") and "\x1b" not in done.stdout + done.stderr
    assert "all was done" in done.stdout
    ((_, message),) = host.server.received
    assert "PANIC" in message["Subject"] and "TEST" not in message["Subject"]
    text = host.panic("status")
    assert text.returncode == 1 and "a drill" in text.stdout and "fimkit panic restore" in text.stdout
    row = host.status()
    assert row["phase"] == "cut" and row["incident"]["cut"] and Path(row["incident"]["folder"]).is_dir()
    for words in (("arm", "--yes"), ("disarm",)):
        refused = host.panic(*words)
        assert refused.returncode == 2 and "fimkit panic restore" in refused.stderr
    again = host.panic("trigger", "--reason", "once more")
    assert again.returncode == 0 and "added" in again.stdout
    assert any("once more" in cause["words"] for cause in host.status()["incident"]["causes"])


def _restore(host: PanicHost, before: list[Any]) -> None:
    done = host.panic("restore")
    assert done.returncode == 0, done
    assert "not armed any more" in done.stdout
    wait_until(lambda: network() == before, lambda: f"{network()}\nand before:\n{before}")  # a carrier comes a moment later
    row = host.status()
    assert row["phase"] == "restored" and row["incident"]["restored"]
    assert host.panic("trigger", "--reason", "a drill").returncode == 2


def test_nokill_tells_and_cuts_nothing_and_the_host_stays_armed(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        with host.helper():
            assert host.panic("arm", "--yes").returncode == 0
            done = host.panic("trigger", "--reason", "a drill", "--nokill", "--nomail")
            assert done.returncode == 0, done
            assert is_up("here0") and host.server.received == []
            row = host.status()
            assert row["phase"] == "armed" and row["incident"]["name"]
            host.configure(panic="nokill = true")
            again = host.panic("arm", "--yes")
            assert again.returncode == 0 and "panic-nokill" in again.stdout

    in_private_net(run)


def test_a_trial_that_does_not_work_says_what(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        text = (host.base / "fimkit.toml").read_text().replace(f"{PEER}:587", f"{PEER}:2587")  # nobody listens there
        (host.base / "fimkit.toml").write_text(text)
        with host.helper():
            done = host.panic("test")
            assert done.returncode == 3, done
            assert "step mail did not work" in done.stderr and "refused" in done.stdout
            assert is_up("here0") and host.status()["phase"] == "disarmed"

    in_private_net(run)


def test_who_isolates_a_host_is_told_whether_he_stays_in(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates, panic=f'action = "isolate"\nallow = ["{PEER}:22"]')
        session = f"{PEER} 40000 {HERE} {{}}"
        with host.helper():
            mine = host.panic("arm", "--yes", SSH_CONNECTION=session.format(22))
            assert mine.returncode == 0 and "panic-allow" not in mine.stdout, mine
            assert host.status()["plan"]["action"] == "isolate"
            other = host.panic("arm", "--yes", SSH_CONNECTION=session.format(2222))
            assert other.returncode == 0 and f'"{PEER}:2222"' in other.stdout, other

    in_private_net(run)


def test_every_problem_is_listed_at_once_and_yes_does_not_jump_over_them(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates, panic='packetgrab = [["/no/such/program"]]')
        text = (host.base / "fimkit.toml").read_text()
        text = text.replace(f"{PEER}:587", f"{HERE}:587").replace('["ops@example.org"]', "[]")
        (host.base / "fimkit.toml").write_text(text)
        with host.helper():
            done = host.panic("arm", "--yes")
            assert done.returncode == 3, done
            for code in ("panic-recipients", "panic-mail-server", "panic-program"):
                assert code in done.stdout, code
            assert "an address of this host" in done.stdout and "not armed: 2 things" in done.stderr
            assert host.status()["phase"] == "disarmed"

    in_private_net(run)


def test_without_a_resident_one_a_helper_is_started_and_that_is_said(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        done = host.panic("arm", "--yes")
        assert done.returncode == 0, done
        assert "would not outlast a reboot" in " ".join(done.stdout.split())
        row = host.status()
        assert (row["phase"], row["helper"]) == ("armed", None)
        assert any("helper" in words for words in row["problems"])
        before = network()
        cut = host.panic("trigger", "--reason", "a drill", "--nomail")
        assert cut.returncode == 0 and not is_up("here0"), cut
        back = host.panic("restore")
        assert back.returncode == 0, back
        wait_until(lambda: network() == before, lambda: f"{network()}\nand before:\n{before}")
        wait_until(lambda: host.status()["helper"] is None, lambda: "the helper that was started does not end")

    in_private_net(run)


def test_what_is_open_counts_as_seen_and_a_disarming_is_told_elsewhere(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        (host.base / "tree/tool").write_text("a trojan\n")
        assert host.run("check").returncode == 1
        with host.helper():
            done = host.panic("arm", "--yes")
            assert done.returncode == 0, done
            assert "panic-open" in done.stdout and "count as seen: 1" in done.stdout
            assert f"{host.base}/tree/tool" in "".join(done.stdout.split())
            record = json.loads((host.base / "state/panic/record.json").read_text())
            assert len(record["seen"]) == 1
            gone = host.panic("disarm")
            assert gone.returncode == 0 and "ops@example.org" in gone.stderr, gone
            assert "disarmed" in host.server.received[-1][1].get_content()
            assert host.status()["phase"] == "disarmed"

    in_private_net(run)


def _give_up_cutting() -> None:
    drop_rights(frozenset(RIGHTS) - {"NET_ADMIN"})


def test_a_helper_without_the_right_to_cut_keeps_a_host_from_being_armed(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        with host.helper(_give_up_cutting):
            done = host.panic("arm", "--yes")
            assert done.returncode == 3 and "panic-helper-rights" in done.stdout, done
            assert "may NOT cut" in host.panic("status").stdout
            tried = host.panic("test", "--nomail")
            assert tried.returncode == 3 and "nothing would be cut" in tried.stderr

    in_private_net(run)


def test_no_signal_of_a_terminal_stops_a_panic_that_has_begun(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates, panic='packetgrab = [["sleep", "2"]]')
        with host.helper():
            assert host.panic("arm", "--yes").returncode == 0
            trigger = subprocess.Popen(host.command("panic", "trigger", "--reason", "a drill"), stdout=subprocess.PIPE, text=True)
            wait_until(lambda: host.status()["phase"] != "armed", lambda: "it never began")
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                trigger.send_signal(number)
            output, _ = trigger.communicate(timeout=PATIENCE_S)
            assert trigger.returncode == 0 and "all was done" in output, output
            assert not is_up("here0") and len(host.server.received) == 1

    in_private_net(run)


def test_what_cannot_be_put_back_is_said(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        with host.helper():
            assert host.panic("arm", "--yes").returncode == 0
            assert host.panic("trigger", "--reason", "a drill", "--nomail").returncode == 0
            subprocess.run(["ip", "link", "del", "here0"], check=True)  # in this namespace of the test's own
            done = host.panic("restore")
            assert "here0" in done.stdout
            assert (done.returncode, "NOT WHOLLY" in done.stdout) == (3, True), done

    in_private_net(run)


def test_the_doctor_finds_an_armed_host_sound_and_without_its_helper_not(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        with host.helper():
            assert host.panic("arm", "--yes").returncode == 0
            assert not {code: level for code, level in _doctor(host).items() if level == "trap"}
        found = _doctor(host)
        assert found["panic-helper"] == "trap"
        row = host.status()
        assert row["phase"] == "armed" and any("no panic helper answers" in words for words in row["problems"])

    in_private_net(run)


def _doctor(host: PanicHost) -> dict[str, str]:
    rows = [json.loads(line) for line in host.run("doctor", "--json").stdout.splitlines()]
    assert rows
    return {row["code"]: row["level"] for row in rows if row["code"].startswith("panic-")}


def _on_terminal(host: PanicHost, answer: str) -> tuple[int, str, str]:
    """Arm with a terminal for the question: give the exit status, what the terminal showed, and standard output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(host.command("panic", "arm"), stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True)
    os.close(theirs)
    shown, until = b"", time.monotonic() + PATIENCE_S
    try:
        while b"[y/N] " not in shown and time.monotonic() < until and process.poll() is None:
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 4096)
        os.write(ours, answer.encode() + b"\n")
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        os.close(ours)
        process.kill()
    return process.returncode, shown.decode(), output


def test_a_terminal_is_asked_and_only_yes_arms(tmp_path: Path, certificates: Certificates) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        with host.helper():
            for answer in ("", "n", "nonsense"):
                status, shown, output = _on_terminal(host, answer)
                assert (status, "Arm this host? [y/N]" in shown) == (1, True), (shown, output)
                assert "down: here0" in output and output.endswith("not armed\n")
                assert host.status()["phase"] == "disarmed"
            status, _, output = _on_terminal(host, "y")
            assert (status, output.splitlines()[-1]) == (0, "armed: web01")
            assert host.status()["phase"] == "armed"

    in_private_net(run)


def test_other_networks_are_named_to_whoever_may_see_them_though_the_helper_may_not(
    tmp_path: Path, certificates: Certificates
) -> None:
    def run() -> None:
        host = PanicHost(tmp_path / "host", certificates)
        other = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        try:
            own = os.stat("/proc/self/ns/net").st_ino
            wait_until(lambda: os.stat(f"/proc/{other.pid}/ns/net").st_ino != own, lambda: "unshare did nothing")
            inode = str(os.stat(f"/proc/{other.pid}/ns/net").st_ino)
            with host.helper():
                plan = host.status()["plan"]
                assert [name for name in plan["namespaces"] if inode in name.split()], plan
                assert [words for words in plan["warnings"] if inode in words and "include_namespaces is false" in words]
                for words in (("status",), ("arm", "--yes"), ("test", "--nomail")):
                    assert inode in host.panic(*words).stdout, words
        finally:
            other.kill()
            other.wait()

    in_private_net(run)
