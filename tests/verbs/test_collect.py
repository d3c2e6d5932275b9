"""A host is collected, without its secrets, and judged elsewhere as it was at home."""

import json
import os
import shutil
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

import fimkit
from fimkit.model.config_text import load_foreign_config
from fimkit.model.errors import UsageError
from fimkit.model.findings import Kind, Severity, Verdict
from fimkit.model.json_form import render_finding
from fimkit.report.frames import findings_of
from fimkit.verbs.archive_parts import read_finding
from fimkit.verbs.collect import CollectOptions, collect
from tests.auditlog import ALICE, ROOT
from tests.checked_host import CheckedHost, make_checked_host

DATA = Path(__file__).parents[1] / "data"

SECRETS = """
notify = ["soc-4711@example.org"]
handler = ["/bin/true", "token-4711", "%%"]

[mail]
smtp_server = "mail4711.example.org:587"
username = "user4711"
password_file = "{base}/password4711"
panic_recipients = ["boss4711@example.org"]

[webhook]
url = "https://hooks.example.org/T4711"

[panic]
recon = [["curl", "-H", "X-Key: 4711", "https://example.org/"]]
killswitch = [["/root/cut", "4711"]]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> CheckedHost:
    folder = tmp_path_factory.mktemp("collect")
    host = make_checked_host(folder, "login", "sub/config", "accepted", "gone")
    (host.base / "password4711").write_text("4711-password\n")
    (host.base / "password4711").chmod(0o600)
    host.configure(more=[SECRETS.format(base=host.base)])
    host.log.write(host.tree / "accepted", "new\n", ALICE)
    host.check("--nomail")
    host.accept(host.tree / "accepted")
    host.log.write(host.tree / "login", "new\n", ROOT)
    assert host.check("--nomail").status == 1
    host.log.path.rename(host.log.path.with_name("audit.log.1"))  # rotated
    host.log.path.touch()
    host.log.write(host.tree / "sub" / "config", "new\n", ALICE)  # after the last check
    host.log.remove(host.tree / "gone", ALICE)
    (host.tree / "a\x1b[2J\udcff").write_text("x")
    with host.log.path.open("ab") as log:
        log.write(b"type=SYSCALL msg=audit(17953193")  # auditd is in the middle of a line
    return host


def gathered(host: CheckedHost, output: Path) -> Path:
    done = host.run("collect", "--output", output)
    assert done.returncode == 0, done.stderr
    return output


def found(place: Path) -> dict[str, tuple[str, str]]:
    """Give kind and maker of what is open there, by name."""
    frame = fimkit.open(place).findings(status="open")
    return {
        row["path"].rpartition("/")[2]: (row["kind"], row["attribution"]) for row in frame.to_dict("records")
    }


def test_a_collected_host_is_judged_elsewhere_as_at_home(host: CheckedHost, tmp_path: Path) -> None:
    folder = gathered(host, tmp_path / "web01")
    assert found(folder) == {
        "login": ("modified", "exact"), "config": ("modified", "exact"), "gone": ("deleted", "exact"),
        "a%1B[2J%FF": ("created", "unattributed"),
    }
    assert not fimkit.open(folder).problems
    home = host.check("--all", "--nomail")
    again = fimkit.open(folder).findings(status="open")
    assert set(again["id"]) == set(home.ids)  # the same finding has the same name in both


def test_what_was_accepted_at_home_is_told_and_is_no_open_finding(host: CheckedHost, tmp_path: Path) -> None:
    frame = fimkit.open(gathered(host, tmp_path / "web01")).findings(status="accepted")
    assert [path.rpartition("/")[2] for path in frame["path"]] == ["accepted"]


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.zst"])
def test_an_archive_gives_what_the_folder_gives_and_leaves_nothing_behind(
    host: CheckedHost, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = gathered(host, tmp_path / f"web01.{ending}")
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    folder = gathered(host, tmp_path / "web01")
    assert found(place) == found(folder) and len(found(place)) == 4
    assert list(room.iterdir()) == []
    assert sorted(os.listdir(tmp_path)) == ["room", "web01", f"web01.{ending}"]


def test_no_secret_of_the_configuration_is_in_it(host: CheckedHost, tmp_path: Path) -> None:
    folder = gathered(host, tmp_path / "web01")
    text = (folder / "fimkit.toml").read_text()
    assert "4711" not in text
    config = load_foreign_config(folder / "fimkit.toml")
    assert [watch.path for watch in config.paths] == [os.fsencode(host.tree)]
    assert config.host.name == "web01" and not config.panic.killswitch and not config.mail.smtp_server
    for place in folder.iterdir():
        assert b"4711-password" not in place.read_bytes()


def test_it_is_for_its_owner_alone_and_lists_what_is_in_it(host: CheckedHost, tmp_path: Path) -> None:
    folder = gathered(host, tmp_path / "web01")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(place.stat().st_mode) for place in folder.iterdir()} == {0o600}
    row = json.loads((folder / "collected.json").read_text())
    assert {one["name"] for one in row["files"]} == {place.name for place in folder.iterdir()} - {"collected.json"}
    assert {"audit.log", "audit.log.1", "baseline.jsonl.zst", "after.jsonl.zst", "findings.jsonl", "fimkit.toml"} <= {
        one["name"] for one in row["files"]
    }
    archive = gathered(host, tmp_path / "web01.tar.zst")
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_the_line_that_auditd_is_writing_is_left_out(host: CheckedHost, tmp_path: Path) -> None:
    log = (gathered(host, tmp_path / "web01") / "audit.log").read_bytes()
    assert log.endswith(b"\n") and b"audit(17953193\n" not in log
    assert host.log.path.read_bytes().startswith(log)


def test_investigate_reads_the_files_of_a_collection(host: CheckedHost, tmp_path: Path) -> None:
    folder = gathered(host, tmp_path / "web01")
    other = CheckedHost(host.base, host.log, folder / "fimkit.toml")
    done = other.run(
        "investigate", "--json", "--baseline", folder / "baseline.jsonl.zst", "--after", folder / "after.jsonl.zst",
        "--audit-log", folder / "audit.log.1", "--audit-log", folder / "audit.log",
    )
    assert done.returncode == 1, done.stderr
    rows = [read_finding(json.loads(line)).finding for line in done.stdout.splitlines()]
    assert {row.attribution.value for row in rows if row.kind.value != "created"} == {"exact"} and len(rows) == 4


def test_what_is_there_already_is_not_overwritten(host: CheckedHost, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    (tmp_path / "x.tar").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in ("full", "x.tar"):
        done = host.run("collect", "--output", tmp_path / name)
        assert done.returncode == 2 and "is there already" in done.stderr
    assert (tmp_path / "x.tar").read_text() == "mine"
    gathered(host, tmp_path / "empty")
    assert host.run("collect", "--output", tmp_path / "none" / "x").returncode == 3
    assert sorted(os.listdir(tmp_path)) == ["empty", "full", "x.tar"]


def test_a_host_without_a_store_gives_what_it_has_and_says_what_is_missing(host: CheckedHost, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(host.config.read_text().replace(f"{host.base}/state", f"{tmp_path}/nothing"))
    done = CheckedHost(host.base, host.log, config).run("collect", "--output", tmp_path / "web01")
    assert done.returncode == 0 and "no baseline and no findings were collected" in done.stderr
    names = set(os.listdir(tmp_path / "web01"))
    assert {"after.jsonl.zst", "audit.log"} <= names and "baseline.jsonl.zst" not in names
    assert "no baseline" in (tmp_path / "web01" / "collected.json").read_text()
    assert not (tmp_path / "nothing").exists()


def test_json_lists_the_files_and_nothing_else(host: CheckedHost, tmp_path: Path) -> None:
    done = host.run("collect", "--json", "--output", tmp_path / "x.tar.gz")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(row) == {"name", "size", "sha256"} for row in rows)
    with tarfile.open(tmp_path / "x.tar.gz") as tar:
        assert {member.name for member in tar} == {f"collected/{row['name']}" for row in rows} | {"collected/collected.json"}


def test_what_the_host_knew_counts_and_what_it_had_closed_and_is_back_is_open(tmp_path: Path) -> None:
    folder = shutil.copytree(DATA / "incident-01", tmp_path / "web01")
    judged = {finding.path: finding for finding in findings_of(fimkit.open(folder).findings())}
    known, back = (judged[b"/srv/fim/tree/" + name] for name in (b"etc/app1.conf", b"sbin/tool1"))
    told = replace(known, verdict=Verdict.EXPECTED, severity=Severity.INFO, reasons=("a signed package's own bytes",))
    passed = replace(known, id="f" * 32, kind=Kind.TRANSIENT, path=b"/srv/fim/tree/etc/passed")
    rows = [
        render_finding(told) | {"status": "open"}, render_finding(back) | {"status": "accepted"},
        render_finding(passed) | {"status": "open"}, render_finding(replace(known, id="e" * 32, host="web09")),
    ]  # fmt: skip
    (folder / "findings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    archive = fimkit.open(folder)
    frame = archive.findings().set_index("id")
    assert frame.index.is_unique and len(frame) == len(judged) + 1
    assert frame.loc[known.id, "verdict"] == "expected" and frame.loc[passed.id, "kind"] == "transient"
    assert frame.loc[back.id, "status"] == "open"
    assert any("1 findings of other hosts than 'web01'" in words for words in archive.problems)


def test_an_output_without_a_name_is_refused(host: CheckedHost) -> None:
    config = load_foreign_config(host.config)
    with pytest.raises(UsageError, match="expected the name"):
        collect(config, CollectOptions(output=Path("/")))
