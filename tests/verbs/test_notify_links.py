"""Who hears of a path hears of what lies behind it, where it is a link: by a check and by a watch."""

import json
import os
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Mail, Watch
from fimkit.notify.outbox import Outbox
from fimkit.verbs.watch_mail import WatchMail
from tests.checked_host import make_checked_host
from tests.evidence.examples import a_finding

__all__: list[str] = []

MAIL = '[mail]\nsmtp_server = "mail.invalid:587"\ndeadline_s = 1\n'


def linked(folder: Path) -> tuple[Path, Path]:
    real, link = folder / "real", folder / "link"
    real.mkdir()
    link.symlink_to(real)
    return link, real


def test_a_check_queues_a_letter_for_those_of_a_path_that_is_a_link(tmp_path: Path) -> None:
    link, real = linked(tmp_path)
    host = make_checked_host(tmp_path, "a", tier="watch")
    more = f'\n[[paths]]\npath = "{link}"\nnotify = ["customer@example.org"]\n{MAIL}'
    host.config.write_text(host.config.read_text() + more)
    assert host.run("baseline", "create", "--force", "--reason", "good").returncode == 0
    (real / "x.html").write_text("new")
    assert [row["path"] for row in host.check().findings] == [str(real / "x.html")]
    rows = [json.loads(line) for line in host.run("notify", "queue", "--json").stdout.splitlines()]
    assert [row["waits_for"] for row in rows if row["what"] == "letter"] == [["customer@example.org"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="the state folder is root's")
def test_a_watch_does_too(tmp_path: Path) -> None:
    link, real = linked(tmp_path)
    (tmp_path / "state").mkdir(mode=0o700)
    config = Config(
        host=Host(name="web01", state_dir=os.fsencode(tmp_path / "state")),
        paths=(Watch(path=os.fsencode(link), notify=("customer@example.org",)),),
        mail=Mail(smtp_server="mail.invalid:587", deadline_s=1, digest_s=0),
    )
    mail = WatchMail(config, nomail=False)
    mail.take([a_finding(path=os.fsencode(real / "x.html"))])
    mail.step()
    mail.finish()
    with Outbox(config.host.state_dir) as outbox:
        assert [letter.recipients for letter in outbox.letters()] == [("customer@example.org",)]
