"""From a file in a web root to a mail, under this kernel's audit: watch and mail server are in a network of the test's own."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from fimkit.notify.message import parse_message
from tests.notify.mail_servers import Certificates, RealServer
from tests.panic.confined import needs
from tests.private_net import PEER, PeerNet, in_private_net
from tests.watching import WatchedHost, watched_host

__all__: list[str] = []

SHELL = "<?php\n// a gallery\nsystem($_GET['c']);\n"
STORM = int(os.environ.get("FIMKIT_TEST_STORM", "5000"))
MORE = """
handler = ["/bin/echo", "came: %%"]
notify = ["customer@example.org"]

[content]
access_logs = ["{folder}/access.log"]

[mail]
smtp_server = "{peer}:587"
ca_file = "{ca_file}"
general_recipients = ["ops@example.org"]
digest_s = {digest_s}
"""
# Paced: so many files in as good as ten seconds.
MAKE = """
import os, time
began = time.monotonic()
for number in range({count}):
    with open(b"{folder}/page-%d.html" % number, "wb") as file:
        file.write(b"<p>cached page %d</p>" % number)
    if number % 50 == 49:
        time.sleep(max(0.0, began + 9.0 * number / {count} - time.monotonic()))
"""

pytestmark = needs("ip", "auditd")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def prepare(tree: Path) -> None:
    for name in ("uploads", "pages"):
        (tree / "www" / name).mkdir(parents=True)
        os.chown(tree / "www" / name, 33, 33)


def in_its_network(
    folder: Path, certificates: Certificates, work: Callable[[WatchedHost, RealServer], None], *, digest_s: int
) -> None:
    """Run a test in a network of its own; the records come by auditd's log, for the kernel's reach the machine's network alone."""
    more = MORE.format(folder=folder, peer=PEER, ca_file=certificates.ca_file, digest_s=digest_s)
    with watched_host(folder, prepare, more=more) as host:

        def run() -> None:
            server = RealServer(port=587, context=certificates.context(certificates.right))
            PeerNet().call(server.start)
            try:
                work(host, server)
            finally:
                host.end()

        in_private_net(run)


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(parse_message(message.as_bytes()).get_body(("plain",)).get_content())  # type: ignore[union-attr]


def log_line(target: str) -> str:
    now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    return f'198.51.100.7 - - [{now}] "POST {target} HTTP/1.1" 200 17 "-" "curl/8.5 \\x1b[2J"\n'


def test_a_web_shell_dropped_by_the_web_servers_user_is_one_mail_with_its_line_and_its_story(
    tmp_path: Path, certificates: Certificates
) -> None:
    def work(host: WatchedHost, server: RealServer) -> None:
        watching = host.watch("--records", "log")
        path = host.tree / "www/uploads/x.php"
        with (host.place / "access.log").open("a") as log:
            log.write(log_line("/uploads/form.php"))
        began_s = time.monotonic()
        program = f"import os\nopen({str(path)!r}, 'w').write({SHELL!r})\nopen({str(path.parent / 'y.txt')!r}, 'w').write('more')"
        ran = host.live.run([sys.executable, "-c", program], uid=33)
        assert ran.returncode == 0, ran.stderr
        watching.wait(lambda: len(server.received) >= 2, 90)
        print(f"mailed {time.monotonic() - began_s:.2f} s after the file")
        finding = watching.of(path)[-1]
        status = host.status()
        watching.wait(lambda: (host.state / "handler.log").exists(), 30)
        assert watching.stop() == 1
        assert_told(finding, server, ran.pid)
        assert status["content_problem"] == "" and status["mail_problem"] == ""
        assert f"came: {path}" in (host.state / "handler.log").read_text()
        assert host.check() == []  # told, searched, and known
        again = {row["path"]: row for row in host.check("--all")}[str(path)]
        assert (again["severity"], again["content"], again["reasons"]) == ("high", finding["content"], finding["reasons"])

    in_its_network(tmp_path, certificates, work, digest_s=300)


def assert_told(finding: dict[str, Any], server: RealServer, pid: int) -> None:
    assert (finding["verdict"], finding["severity"], finding["attribution"]) == ("suspect", "high", "exact")
    assert {mark["line"] for mark in finding["content"]} == {3}
    reasons = "\n".join(finding["reasons"])
    assert "story: a web server's user (www-data, uid 33) wrote a script (.php)" in reasons
    assert "story: it came by POST /uploads/form.php (200) from 198.51.100.7" in reasons and "\x1b" not in reasons
    assert {recipients[0] for recipients, _ in server.received} == {"ops@example.org", "customer@example.org"}
    for _, message in server.received:
        assert message["Subject"] == "[fimkit] live01 (192.0.2.1) 1 suspicious file"
        text = " ".join(text_of(message).split())
        assert "line 3: system($_GET['c']);" in text and f"pid {pid}" in text and "198.51.100.7" in text


def test_thousands_of_cache_files_in_ten_seconds_are_one_mail(tmp_path: Path, certificates: Certificates) -> None:
    def work(host: WatchedHost, server: RealServer) -> None:
        watching = host.watch("--records", "log")
        program = MAKE.format(count=STORM, folder=host.tree / "www/pages")
        began_s = time.monotonic()
        ran = host.live.run([sys.executable, "-c", program], uid=33)
        made_s = time.monotonic() - began_s
        assert ran.returncode == 0, ran.stderr
        watching.wait(lambda: server.received, 180)
        mailed_s = time.monotonic() - began_s
        watching.wait(lambda: host.status()["findings"] == STORM and not host.status()["unsearched"], 180)
        watching.stop(signal.SIGTERM)
        print(f"{STORM} files in {made_s:.1f} s; the mail came {mailed_s:.1f} s after the first")
        mine = [message for recipients, message in server.received if recipients == ["ops@example.org"]]
        ((message),) = mine
        assert message["Subject"] == f"[fimkit] live01 (192.0.2.1) {STORM} unexplained changes"
        assert len(text_of(message).splitlines()) < 400
        rows = [row for row in host.check("--all") if row["kind"] == "created"]
        assert len(rows) == STORM and all(row["content"] == [] for row in rows), json.dumps(rows[:1])

    in_its_network(tmp_path, certificates, work, digest_s=60)
