"""kill -9 at any moment of a check that mails: each finding is in a mail, and in one letter only, whenever it was killed.

A letter may come twice, with the same Message-ID: where the kill hits between the server's word and ours. Some kills by default;
``FIMKIT_TEST_KILLS=200`` makes more, ``FIMKIT_TEST_SEED`` others. ``-s`` prints what they hit.
"""

import gzip
import json
import os
import time
from collections import Counter, defaultdict
from email.message import Message
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.notify.notifier import Notifier
from fimkit.notify.outbox import Outbox
from fimkit.notify.pace import Lane
from tests.auditlog import ROOT
from tests.faults.forked import preload
from tests.faults.test_kills import Killed
from tests.notify.mail_servers import Certificates, RealServer
from tests.notify.test_notifier import settled
from tests.private_net import PEER, PeerNet, in_private_net

__all__: list[str] = []

ROUNDS = int(os.environ.get("FIMKIT_TEST_KILLS", "30"))
MAIL = """
[mail]
smtp_server = "{server}:587"
ca_file = "{ca_file}"
general_recipients = ["ops@example.org"]
digest_s = 1
"""
_LATER_NS = 3600 * 1_000_000_000
"""What a killed run had taken to send it is another's after ten minutes."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def unpacked(part: Message) -> bytes:
    """Give an attachment, which is compressed where there are many findings."""
    text = part.get_payload(decode=True)
    assert isinstance(text, bytes)
    return gzip.decompress(text) if str(part.get_filename()).endswith(".gz") else text


def letters_of(server: RealServer) -> dict[str, list[str]]:
    """Give the Message-IDs of the letters by the file that they name, each as often as it came."""
    found: dict[str, list[str]] = defaultdict(list)
    for _, message in server.received:
        (rows,) = [unpacked(part) for part in message.iter_attachments() if str(part.get_filename()).startswith("findings.jsonl")]
        for row in rows.decode().splitlines():
            found[Path(json.loads(row)["path"]).name].append(str(message["Message-ID"]))
    return found


def send_rest(config: Config) -> int:
    """Send what killed runs had taken, as who runs an hour later would; give how many letters that were."""
    with Outbox(config.host.state_dir) as outbox:
        assert outbox.failures() == ()
        taken = len(outbox.letters())
        for number in range(1, 60):
            if not outbox.letters() and not any(outbox.glance(lane)[0] for lane in Lane):
                return taken
            settled(Notifier(config, addresses=()), time.time_ns() + number * _LATER_NS)
    raise AssertionError("left waiting")


def kill_rounds(folder: Path, certificates: Certificates) -> None:
    preload()
    peer, server = PeerNet(), RealServer(port=587, context=certificates.context(certificates.right))
    peer.call(server.start)
    killed = Killed(folder, "check that mails", "a")
    host = killed.host
    host.configure(tier="watch", more=[MAIL.format(server=PEER, ca_file=certificates.ca_file)])
    names = [f"made{number}" for number in range(ROUNDS + 2)]
    host.log.write(host.tree / names[0], "x\n", ROOT)
    killed.do("check", "--json")  # the first one has more to do than those that are killed
    time.sleep(1)
    host.log.write(host.tree / names[1], "x\n", ROOT)
    killed.calm("check", "--json")
    for name in names[2:]:
        time.sleep(1)  # until the next mail may go out
        host.log.write(host.tree / name, "x\n", ROOT)
        killed.kill("check", "--json")
        with open_store(os.fsencode(host.state)) as store:
            open_now = {finding.path for finding in store.findings()}
        assert {name for name in letters_of(server) if os.fsencode(host.tree / name) not in open_now} == set(), (
            "told, and not stored"
        )
    killed.do("check", "--json")
    taken = send_rest(load_config(host.config))
    letters = letters_of(server)
    numbers = Counter(str(message["Message-ID"]) for _, message in server.received)
    print(
        f"{killed.tally}; {len(numbers)} letters, {numbers.total() - len(numbers)} came again; {taken} were another's for a while"
    )
    assert letters.keys() == set(names)
    assert {name: set(numbers) for name, numbers in letters.items() if len(set(numbers)) > 1} == {}, "in two letters"


def test_each_finding_is_mailed_and_in_one_letter_whenever_the_check_was_killed(tmp_path: Path, certificates: Certificates) -> None:
    in_private_net(lambda: kill_rounds(tmp_path, certificates))
