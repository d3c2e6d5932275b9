"""A whole panic against a real helper and mail server in a network of its own: whatever hangs, the links go down in time."""

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.config import Config
from fimkit.panic.incident import Status
from fimkit.panic.record import Phase, load_record
from fimkit.verbs.panic_armed import parse_endpoints
from fimkit.verbs.panic_order import PanicOrder, PanicReport, StepTime
from fimkit.verbs.panic_run import Panic, run_panic
from tests.notify.letters import finding
from tests.notify.mail_servers import Certificates, RealServer, drip, never_answer, serve_with
from tests.private_net import PeerNet, in_private_net
from tests.verbs.panic_place import OPS, armed, is_up, locked_store, make_config, settings_of

__all__: list[str] = []

NAME = "2026-11-22T103000Z"
NS = 1_000_000_000
SLACK_S = 5.0  # for a machine under load; the helper's own clock runs anyway


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def order(config: Config, path: bytes = b"/sbin/program-0", **more: Any) -> PanicOrder:
    words = PanicOrder(
        config=config, incident=NAME, cause="1 critical finding: modified\x1b[2J", findings=(finding(path=path),),
        endpoints=parse_endpoints(settings_of(config)),
    )
    return replace(words, **more)


def step(report: PanicReport, name: str) -> StepTime:
    return next(one for one in report.steps if one.name == name)


def report_of(report: PanicReport) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(Path(os.fsdecode(report.folder), "report.json").read_text())
    return row


def show(name: str, config: Config, report: PanicReport) -> None:
    """Print the times, and hold the panic to its deadline, by the helper's own record."""
    record = load_record(config.host.state_dir)
    cut = step(report, "cut")
    assert record.triggered_ns is not None
    # On a full disk the record's last word may be that the panic has begun, which cuts too.
    took_s = (record.cut_ns - record.triggered_ns) / NS if record.cut_ns else cut.began_s + cut.took_s
    print(f"{name}: cut {took_s:.2f} s after the trigger (deadline {config.panic.deadline_s} s)")
    for one in report.steps:
        print(f"    {one.began_s:6.2f} s  {one.took_s:6.2f} s  {one.name:14} {one.status.value:9} {one.words[:150]}")
    assert took_s <= config.panic.deadline_s + SLACK_S


def assert_cut(config: Config, report: PanicReport) -> None:
    assert report.cut is not None and report.cut.complete and "here0" in report.cut.took_down
    assert not is_up()
    assert load_record(config.host.state_dir).has_begun


def test_a_panic_gathers_tells_and_cuts_and_every_file_is_in_the_report_with_its_hash(
    tmp_path: Path, certificates: Certificates
) -> None:
    trojan = tmp_path / "sshd"
    trojan.write_bytes(b"trojan")
    config = make_config(tmp_path, certificates, recon=(("echo", "gathered"),), killswitch=(("echo", "killed"),))
    said: list[str] = []

    def run() -> None:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        with armed(config) as helper:
            report = run_panic(order(config, os.fsencode(trojan)), helper, tell=said.append)
            show("everything works", config, report)
            assert_cut(config, report)
            assert load_record(config.host.state_dir).phase is Phase.CUT
        assert report.complete and said[0].startswith(f"PANIC: incident {NAME}: 1 critical finding: modified%1B")
        ((recipients, message),) = server.received
        body = message.get_body(("plain",))
        assert recipients == list(OPS) and server.encrypted == [True] and body is not None
        text = " ".join(body.get_content().split())
        assert "every network interface goes down but lo, now, and at" in text and "fimkit panic restore" in text
        assert "written down as triggered" in text and "sha256 new" in text and "\x1b" not in text
        (attached,) = message.iter_attachments()
        assert json.loads(attached.get_content())["path"] == str(trojan)

    in_private_net(run)


def test_what_a_panic_leaves_behind_is_whole(tmp_path: Path, certificates: Certificates) -> None:
    trojan = tmp_path / "sshd"
    trojan.write_bytes(b"trojan")
    config = make_config(
        tmp_path, certificates, recon=(("echo", "gathered"),), killswitch=(("echo", "killed"),),
        packetgrab=(("sh", "-c", "echo packets > grabbed; trap 'echo asked; exit' TERM; while :; do sleep 0.1; done"),),
    )

    def run() -> bytes:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right), refused=OPS[1:])
        peer.call(server.start)
        with armed(config) as helper:
            panic = Panic(order(config, os.fsencode(trojan)), helper, tell=lambda _: None)
            adding = threading.Thread(target=panic.add, args=("while a panic goes on: one more", (finding(7),)))
            adding.start()
            report = panic.run()
            adding.join()
            show("one mailbox refuses", config, report)
            assert_cut(config, report)
        assert not report.complete and "not for night@example.org" in report.mail and "taken for 1 of 2" in report.mail
        assert step(report, "mail").status is Status.TRUNCATED
        return report.folder

    folder = Path(os.fsdecode(in_private_net(run)))
    row = json.loads((folder / "report.json").read_text())
    assert (row["phase"], row["complete"], row["cut"]["took_down"]) == ("cut", False, ["here0"])
    assert row["mail"]["mail"]["refused"].keys() == {"night@example.org"} and row["added"][0]["findings"] == [f"{7:032x}"]
    files = {one["file"]: one for one in (*row["files"], *row["others"])}
    for name, one in files.items():
        assert one["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest(), name
    assert (folder / "copy-001-sshd").read_bytes() == b"trojan" and (folder / "recon-01.txt").read_bytes() == b"gathered\n"
    assert (folder / "killswitch-01.txt").read_bytes() == b"killed\n" and (folder / "grabbed").read_bytes() == b"packets\n"
    assert b"asked\n" in (folder / "packetgrab-01.txt").read_bytes() and "cause-2.json" in files and "letter.eml" in files
    assert {"connections.jsonl", "processes.jsonl", "routes.jsonl", "cause.json", "cause.txt"} <= files.keys()
    assert set(os.listdir(folder)) == {*files, "index.json", "report.json", "report.txt"}
    assert "Came later" in (folder / "report.txt").read_text() and folder.stat().st_mode & 0o077 == 0
    with open_store(config.host.state_dir) as store:
        (stored,) = store.incidents()
    assert (stored.id, stored.phase, stored.folder) == (NAME, "cut", os.fsencode(folder))
    assert [one["step"] for one in stored.steps if one["step"] == "cut"]


def disk_full(state_dir: bytes) -> AbstractContextManager[None]:
    """Fill the file system of the state folder, which is one of its own, to the last byte."""

    @contextlib.contextmanager
    def full() -> Any:
        with open(os.path.join(state_dir, b"filler"), "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 4096)
        yield

    return full()


def own_disk(folder: Path) -> None:
    """Mount a small file system of memory there, in a mount namespace of this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    private_rec, new_mounts = 0x44000, 0x00020000
    if libc.unshare(new_mounts) or libc.mount(b"none", b"/", None, ctypes.c_ulong(private_rec), None):
        raise PermissionError(1, os.strerror(1))
    folder.mkdir()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), b"size=2m,mode=0700"):
        raise PermissionError(1, os.strerror(1))


Fault = Callable[[bytes], AbstractContextManager[None]]
HANGING = (("sh", "-c", "sleep 300 & wait"), ("yes",), ("fimkit-no-such-program",))


@pytest.mark.parametrize(
    ("name", "talk", "panic", "fault"),
    [
        ("a mail server that accepts and never answers", never_answer, {}, None),
        ("a mail server that drips bytes", drip, {}, None),
        ("recon commands that hang, print without end, are absent", never_answer, {"recon": HANGING * 3}, None),
        ("the evidence store locked", None, {}, locked_store),
        ("the disk full", None, {}, disk_full),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_hangs_the_links_go_down_in_time(
    name: str, talk: Any, panic: dict[str, Any], fault: Fault | None, tmp_path: Path, certificates: Certificates
) -> None:
    def run() -> None:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start if talk is None else serve_with(587, talk))
        place = tmp_path / "disk"
        if fault is disk_full:
            own_disk(place)
        config = make_config(place if fault is disk_full else tmp_path, certificates, deadline_s=10, mail_s=4, **panic)
        with armed(config) as helper, fault(config.host.state_dir) if fault else nullcontext():
            report = run_panic(order(config), helper, tell=lambda _: None)
            show(name, config, report)
            assert_cut(config, report)
        mail = step(report, "mail")
        assert (mail.status is Status.OK) == (talk is None), mail
        assert report_of(report)["cut"]["complete"]
        if fault is locked_store:
            assert step(report, "store").status is Status.TIMEOUT and report.complete
        if fault is disk_full:
            assert step(report, "cause").status is Status.TRUNCATED and "No space left" in step(report, "cause").words
            assert not report.folder.startswith(os.fsencode(place)) and not report.complete
            shutil.rmtree(os.path.dirname(report.folder))  # what was made for this panic alone

    in_private_net(run)


class _Deaf:
    """A helper that never answers."""

    def __init__(self) -> None:
        self.closed = False

    def begin(self, incident: str, cause: str, *, nokill: bool, armed_ns: int | None = None) -> Any:
        time.sleep(600)

    def add(self, cause: str, *, armed_ns: int | None = None) -> None:
        time.sleep(600)

    def cut(self) -> Any:
        time.sleep(600)

    def finish(self, words: str) -> None:
        time.sleep(600)

    def close(self) -> None:
        self.closed = True


def test_a_helper_that_never_answers_ends_the_panic_with_its_line_closed_and_says_so(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates, deadline_s=2, mail_s=1)
    helper, said = _Deaf(), list[str]()
    report = run_panic(order(config, nomail=True), helper, tell=said.append)
    assert helper.closed and report.cut is None and not report.complete
    assert "cut: THE HELPER DID NOT CONFIRM IT: look at the links" in said
    assert report_of(report)["phase"] == "cut not complete"


def test_a_test_sends_a_mail_that_says_so_and_touches_nothing(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        with armed(config) as helper:
            report = run_panic(order(config, test=True), helper, tell=lambda _: None)
            assert report.complete and report.cut is None and is_up()
            assert helper.hello().phase is Phase.ARMED
        ((_, message),) = server.received
        assert str(message["Subject"]).startswith("[TEST] [fimkit] web01 (192.0.2.1) PANIC")
        assert "THIS IS A TEST: nothing is cut." in str(message.get_body(("plain",)))

    in_private_net(run)


def test_nokill_does_all_but_the_cut_and_the_host_is_armed_afterwards(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates, killswitch=(("touch", str(tmp_path / "never")),))

    def run() -> None:
        peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
        peer.call(server.start)
        with armed(config) as helper:
            report = run_panic(order(config, nokill=True), helper, tell=lambda _: None)
            assert report.complete and report.cut is None and is_up() and len(server.received) == 1
            assert helper.hello().phase is Phase.ARMED
        assert NAME in " ".join(line.words for line in load_record(config.host.state_dir).log)
        assert not (tmp_path / "never").exists()

    in_private_net(run)


def test_what_comes_after_the_end_of_a_panic_that_cuts_nothing_begins_no_other_one(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates)

    def run() -> None:
        with armed(config) as helper:
            panic = Panic(replace(order(config), nokill=True, nomail=True), helper, tell=lambda _: None)
            folder = Path(os.fsdecode(panic.run().folder))
            panic.add("too late", (finding(7),))
            assert load_record(config.host.state_dir).phase is Phase.ARMED
            assert "too late" in (folder / "cause-2.json").read_text()

    in_private_net(run)


def test_a_deadline_too_short_for_the_evidence_is_not_said_to_have_left_time_for_it(
    tmp_path: Path, certificates: Certificates
) -> None:
    config = make_config(tmp_path, certificates, deadline_s=1, recon=(("sleep", "600"),))
    report = run_panic(order(config, nomail=True, test=True), None, tell=lambda _: None)
    recon = step(report, "recon")
    assert recon.status is not Status.OK
    assert report.complete == (recon.status is Status.TRUNCATED), report.steps  # some of it was had, and the rest is named


def test_nomail_sends_nothing_and_keeps_the_letter(tmp_path: Path, certificates: Certificates) -> None:
    config = make_config(tmp_path, certificates)
    report = run_panic(order(config, nomail=True, test=True), None, tell=lambda _: None)
    assert report.complete and report.mail.startswith("nomail")
    assert b"X-Fimkit-Incident" in Path(os.fsdecode(report.folder), "letter.eml").read_bytes()


def test_a_file_with_a_secret_of_fimkits_own_is_never_copied(tmp_path: Path, certificates: Certificates) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame")
    config = make_config(tmp_path, certificates)
    config = replace(config, mail=replace(config.mail, username="fim", password_file=os.fsencode(secret)))
    report = run_panic(order(config, os.fsencode(secret), nomail=True, test=True), None, tell=lambda _: None)
    for file in Path(os.fsdecode(report.folder)).iterdir():
        assert b"open sesame" not in file.read_bytes(), file
