"""The seal of a baseline: every alteration by a real hand in the store and its files is named, and what is none is none."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fimkit.evidence.seal_folder import load_copy
from fimkit.evidence.seal_keys import fingerprint, load_public_key
from fimkit.evidence.store import open_store
from fimkit.model.config import Config, Watch
from fimkit.model.errors import SealError, UsageError
from fimkit.model.findings import Finding, Kind, Severity
from fimkit.panic.trigger import may_panic
from fimkit.verbs.accept import accept
from fimkit.verbs.baseline import recreate_baseline
from fimkit.verbs.check import CheckOptions, check
from fimkit.verbs.seal import make_key, request_seal, seal_baseline, sign_request, take_seal, verify_baseline
from fimkit.verbs.seal_view import FaultKind, SealReport
from tests.verbs.sealing import Sealable, no_passphrase


@pytest.fixture
def host(tmp_path: Path) -> Sealable:
    return Sealable(tmp_path)


def kinds(report: SealReport) -> list[FaultKind]:
    return [fault.kind for fault in report.faults]


def tampered(config: Config, *, require: bool = False) -> list[Finding]:
    """Give what a check says of the seal; what others say of the same store (its chain) is theirs."""
    found = check(config, CheckOptions(require_seal=require))
    return [one for one in found.open if one.kind is Kind.TAMPERED and any("seal" in words for words in one.reasons)]


def test_sealed_baseline_is_intact(host: Sealable) -> None:
    sealed = host.seal()
    report = verify_baseline(host.config)
    assert not report.faults and report.statement == sealed.statement
    assert (sealed.statement.number, sealed.statement.rows, sealed.statement.key) == (1, 4, host.fingerprint)
    assert tampered(host.config, require=True) == []


def test_unsealed_baseline_is_a_finding_only_where_a_seal_is_required(host: Sealable) -> None:
    assert tampered(host.config) == []
    (finding,) = tampered(host.requiring())
    assert finding.severity is Severity.CRITICAL and not may_panic(finding) and "no seal" in finding.reasons[0]
    host.seal()
    assert tampered(host.requiring()) == []  # what a seal settles is closed by it


@pytest.mark.parametrize(
    ("statement", "field"),
    [
        ("UPDATE baseline SET sha256 = zeroblob(32) WHERE path = ?", "sha256"),
        ("UPDATE baseline SET mode = 2541 WHERE path = ?", "mode"),
        ("UPDATE baseline SET uid = 4711 WHERE path = ?", "uid"),
        ("UPDATE baseline SET sha256 = lower(hex(sha256)) WHERE path = ?", "sha256"),
        ("UPDATE baseline SET problem = 'not readable' WHERE path = ?", "problem"),
        ("UPDATE baseline SET mtime_ns = mtime_ns + 0.5 WHERE path = ?", "mtime_ns"),
        ("UPDATE baseline SET ctime_ns = 9e999 WHERE path = ?", "ctime_ns"),
        ("UPDATE baseline SET problem = 'a' || char(0) || 'b' WHERE path = ?", "problem"),
        ("UPDATE baseline SET problem = CAST(x'ff' AS TEXT) WHERE path = ?", "problem"),
    ],
)
def test_altered_row_is_named_with_its_field(host: Sealable, statement: str, field: str) -> None:
    host.seal()
    host.sql(statement, host.path("b"))
    report = verify_baseline(host.config)
    assert kinds(report) == [FaultKind.ROWS]
    (row,) = report.rows
    assert (row.path, row.fault.value, [name for name, _, _ in row.fields]) == (host.path("b"), "altered", [field])
    assert row.sealed_digest and row.now_digest and row.sealed_digest != row.now_digest


def test_altered_row_is_a_critical_finding_that_names_it_and_can_start_a_panic(host: Sealable) -> None:
    host.seal()
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    (finding,) = tampered(host.config)
    assert finding.path == host.path("b") and finding.severity is Severity.CRITICAL and may_panic(finding)
    assert any("mode was 0644, is 0777" in reason for reason in finding.reasons)


def test_added_and_missing_rows_are_named(host: Sealable) -> None:
    host.seal()
    host.sql("UPDATE baseline SET path = ? WHERE path = ?", host.path("aa"), host.path("b"))
    report = verify_baseline(host.config)
    assert {(row.path, row.fault.value) for row in report.rows} == {(host.path("aa"), "added"), (host.path("b"), "missing")}


def test_path_turned_into_text_of_the_same_letters_is_named(host: Sealable) -> None:
    host.seal()
    host.sql("UPDATE baseline SET path = 'x' || hex(path) WHERE path = ?", host.path("c"))
    assert {row.fault.value for row in verify_baseline(host.config).rows} == {"added", "missing"}


def test_many_altered_rows_are_counted_beyond_the_named(tmp_path: Path) -> None:
    host = Sealable(tmp_path, [f"n{number:03}" for number in range(120)])
    host.seal()
    host.sql("UPDATE baseline SET gid = 5 WHERE type = 'file'")
    found = tampered(host.config)
    assert len(found) == 51 and any("70 more rows" in finding.reasons[0] for finding in found)


def test_acceptance_since_the_seal_explains_the_row_and_says_who(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    check(host.config, CheckOptions())
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    report = verify_baseline(host.config)
    assert kinds(report) == [FaultKind.ACCEPTED] and not report.rows
    assert "1 row accepted since seal 1: 1 by bob" in report.faults[0].words and "upgrade" in report.faults[0].words
    assert tampered(host.config) == []


def test_acceptance_since_the_seal_is_a_finding_where_the_seal_is_required_and_the_next_seal_settles_it(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    check(host.config, CheckOptions())
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    (finding,) = tampered(host.config, require=True)
    assert finding.severity is Severity.CRITICAL and "by bob" in finding.reasons[0]
    assert not may_panic(finding)  # an administrator's acceptance cuts nothing
    host.seal()
    assert tampered(host.config, require=True) == [] and verify_baseline(host.config).faults == ()


def test_acceptance_since_the_seal_explains_its_rows_without_the_copy_too(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    (host.tree / "bb").write_text("new")
    (host.tree / "c").unlink()
    check(host.config, CheckOptions())
    accept(host.config, [], who="bob", why="upgrade")
    (host.state / "seal" / "rows-1.zst").chmod(0o666)
    assert kinds(verify_baseline(host.config)) == [FaultKind.UNREAD, FaultKind.ACCEPTED]
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    assert kinds(verify_baseline(host.config)) == [FaultKind.UNREAD, FaultKind.ROWS]


def test_row_altered_beside_an_acceptance_of_it_is_not_explained_by_it(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    check(host.config, CheckOptions())
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    assert FaultKind.ROWS in kinds(verify_baseline(host.config))


def test_new_baseline_since_the_seal_is_explained_by_its_history(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    (host.tree / "d").write_text("d")
    recreate_baseline(host.config, who="bob", why="again")
    report = verify_baseline(host.config)
    assert kinds(report) == [FaultKind.ACCEPTED] and report.accepted[0][1] == 3  # the folder's times, b, d


def test_undoing_acceptances_in_the_table_is_seen(host: Sealable) -> None:
    host.seal()
    host.sql("UPDATE acceptances SET who = 'mallory'")
    assert kinds(verify_baseline(host.config)) == [FaultKind.ACCEPTANCES]


def test_mark_of_dropped_states_on_an_acceptance_that_lost_none_excuses_nothing(host: Sealable) -> None:
    host.seal()
    (host.tree / "a").write_text("changed")
    check(host.config, CheckOptions())
    accept(host.config, (host.path("a"),), who="ada", why="ticket 7")
    host.sql("UPDATE acceptances SET complete = 0")
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    report = verify_baseline(host.config)
    assert kinds(report) == [FaultKind.ROWS, FaultKind.ACCEPTED] and [row.path for row in report.rows] == [host.path("b")]


def test_old_states_dropped_by_the_stores_limit_start_no_alarm(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    check(host.config, CheckOptions())
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    host.sql("DELETE FROM history")
    host.sql("UPDATE acceptances SET complete = 0")
    assert kinds(verify_baseline(host.config)) == [FaultKind.DROPPED]
    (finding,) = tampered(host.config)
    assert not may_panic(finding) and finding.severity is Severity.MEDIUM


def test_order_of_the_copy_is_under_the_signature(host: Sealable) -> None:
    import zstandard

    host.seal()
    place = host.state / "seal" / "rows-1.zst"
    lines = [line for part in load_copy(bytes(host.state), 1) for line in part]
    place.write_bytes(zstandard.compress(b"\n".join([*reversed(lines), b""])))
    place.chmod(0o600)
    assert kinds(verify_baseline(host.config)) == [FaultKind.COPY]


@pytest.mark.parametrize("name", ["rows-1.zst", "seal.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_altered_file_of_the_seal_is_named_and_critical(host: Sealable, name: str, harm: str) -> None:
    host.seal()
    place = host.state / "seal" / name
    raw = place.read_bytes()
    if harm == "flip":
        middle = len(raw) // 2
        place.write_bytes(raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :])
    elif harm == "cut":
        place.write_bytes(raw[: len(raw) // 2])
    else:
        place.unlink()
    wanted = FaultKind.COPY if name == "rows-1.zst" else FaultKind.FILE
    assert kinds(verify_baseline(host.config)) == [wanted]
    (finding,) = tampered(host.config)
    assert finding.severity is Severity.CRITICAL and may_panic(finding)


@pytest.mark.parametrize("name", ["rows-1.zst", "seal.json"])
@pytest.mark.parametrize("harm", ["link", "mode"])
def test_file_of_the_seal_that_is_not_to_be_trusted_is_high_and_cuts_nothing(host: Sealable, name: str, harm: str) -> None:
    host.seal()
    place = host.state / "seal" / name
    if harm == "link":
        place.rename(host.folder / "else")
        place.symlink_to(host.folder / "else")
    else:
        place.chmod(0o666)
    assert kinds(verify_baseline(host.config)) == [FaultKind.UNREAD]
    (finding,) = tampered(host.config)
    assert finding.severity is Severity.HIGH and not may_panic(finding)
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    assert FaultKind.ROWS in kinds(verify_baseline(host.config))  # it hides nothing


def test_row_altered_and_copy_gone_is_still_an_alarm(host: Sealable) -> None:
    host.seal()
    (host.state / "seal" / "rows-1.zst").unlink()
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    assert kinds(verify_baseline(host.config)) == [FaultKind.COPY, FaultKind.ROWS]


def test_statement_altered_everywhere_has_a_wrong_signature(host: Sealable) -> None:
    host.seal()
    place = host.state / "seal" / "seal.json"
    text = place.read_text().replace("ada", "eve")
    place.write_text(text)
    host.sql("UPDATE seals SET body = ?", text)
    assert kinds(verify_baseline(host.config)) == [FaultKind.SIGNATURE]


def test_seal_of_another_key_is_named_with_both(host: Sealable) -> None:
    host.seal()
    other = make_key(str(host.folder / "other"), None)
    host.public.write_bytes(Path(other.public).read_bytes())
    report = verify_baseline(host.config)
    assert kinds(report) == [FaultKind.KEY]
    assert other.fingerprint in report.faults[0].words and host.fingerprint in report.faults[0].words
    (finding,) = tampered(host.config)
    assert finding.severity is Severity.CRITICAL and may_panic(finding)


def test_key_that_is_not_the_pinned_one_seals_nothing(host: Sealable) -> None:
    other = make_key(str(host.folder / "other"), None)
    with pytest.raises(SealError, match="to change keys"):
        seal_baseline(host.config, Path(other.private).read_bytes(), no_passphrase, who="eve")


def test_changed_key_is_told_once_and_starts_no_panic(host: Sealable) -> None:
    host.seal()
    other = make_key(str(host.folder / "other"), None)
    host.public.write_bytes(Path(other.public).read_bytes())
    with pytest.raises(UsageError, match="--anyway"):
        seal_baseline(host.config, Path(other.private).read_bytes(), no_passphrase, who="ada")
    seal_baseline(host.config, Path(other.private).read_bytes(), no_passphrase, who="ada", anyway=True)
    assert kinds(verify_baseline(host.config)) == [FaultKind.KEY_CHANGED]
    (finding,) = tampered(host.config)
    assert finding.severity is Severity.CRITICAL and not may_panic(finding)
    accept(host.config, [finding.path], who="ada", why="we changed keys")
    assert tampered(host.config) == []


def test_key_that_cannot_be_read_is_critical_where_a_seal_is_required(host: Sealable) -> None:
    host.seal()
    host.public.unlink()
    host.public.mkdir()
    assert [one.severity for one in tampered(host.config)] == [Severity.HIGH]
    (finding,) = tampered(host.requiring())
    assert finding.severity is Severity.CRITICAL and not may_panic(finding) and "Is a directory" in finding.reasons[0]


def test_seal_behind_a_link_is_none(host: Sealable) -> None:
    host.seal()
    (host.state / "seal").rename(host.state / "elsewhere")
    (host.state / "seal").symlink_to("elsewhere")
    assert FaultKind.UNREAD in kinds(verify_baseline(host.config))
    assert any("is a symbolic link" in reason for one in tampered(host.config) for reason in one.reasons)


def test_unreadable_or_writable_key_is_no_key(host: Sealable) -> None:
    host.seal()
    host.public.chmod(0o666)
    assert kinds(verify_baseline(host.config)) == [FaultKind.KEY_FILE]  # the first seal's key still verifies
    host.public.unlink()
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    assert kinds(verify_baseline(host.config)) == [FaultKind.KEY_FILE, FaultKind.ROWS]


def test_older_seal_file_put_back_is_named(host: Sealable, tmp_path: Path) -> None:
    host.seal()
    shutil.copytree(host.state / "seal", tmp_path / "kept")
    host.seal()
    shutil.rmtree(host.state / "seal")
    shutil.copytree(tmp_path / "kept", host.state / "seal")
    assert FaultKind.OLDER in kinds(verify_baseline(host.config))


def test_older_store_put_back_is_named(host: Sealable, tmp_path: Path) -> None:
    host.seal()
    shutil.copy(host.state / "fimkit.sqlite", tmp_path / "kept")
    (host.tree / "b").write_text("new")
    check(host.config, CheckOptions())
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    host.seal()
    for end in ("-wal", "-shm"):
        (host.state / f"fimkit.sqlite{end}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "kept", host.state / "fimkit.sqlite")
    assert FaultKind.OLDER in kinds(verify_baseline(host.config))


def test_whole_older_state_put_back_shows_by_the_number_that_is_known_elsewhere(host: Sealable, tmp_path: Path) -> None:
    host.seal()
    shutil.copytree(host.state, tmp_path / "kept")
    number = host.seal().statement.number
    shutil.rmtree(host.state)
    shutil.copytree(tmp_path / "kept", host.state)
    assert verify_baseline(host.config).faults == ()
    assert kinds(verify_baseline(host.config, at_least=number)) == [FaultKind.OLDER]


def test_first_seals_key_is_trusted_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Sealable(tmp_path, pinned=False)
    if Path("/etc/fimkit/seal.pub").exists():
        pytest.skip("this host has a key at the default place")
    assert host.seal().first_key and not host.seal().first_key
    report = verify_baseline(host.config)
    assert report.key.is_first and report.faults == ()
    other = make_key(str(host.folder / "other"), None)
    with pytest.raises(SealError, match="the first seal"):
        seal_baseline(host.config, Path(other.private).read_bytes(), no_passphrase, who="eve")
    (host.state / "seal" / "key.pub").write_bytes(Path(other.public).read_bytes())
    assert kinds(verify_baseline(host.config)) == [FaultKind.KEY_FILE]


def test_other_watches_than_the_sealed_are_told(host: Sealable) -> None:
    host.seal()
    fewer = replace(host.config, paths=(*host.config.paths, Watch(path=b"/nowhere")))
    assert kinds(verify_baseline(fewer)) == [FaultKind.WATCHES]


def test_seal_of_another_host_is_told(host: Sealable) -> None:
    host.seal()
    assert kinds(verify_baseline(replace(host.config, host=replace(host.config.host, name="db01")))) == [FaultKind.HOST]


def test_tampered_baseline_is_not_sealed_unless_told_to(host: Sealable) -> None:
    host.seal()
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    with pytest.raises(UsageError, match="does not verify"):
        host.seal()
    assert host.seal(anyway=True).statement.number == 2
    assert verify_baseline(host.config).faults == ()


def test_request_signed_elsewhere_is_taken_while_the_baseline_is_the_same(host: Sealable) -> None:
    request = request_seal(host.config, who="ada")
    text, statement = sign_request(request, host.private.read_bytes(), no_passphrase)
    done = take_seal(host.config, text, who="ada")
    assert done.statement == statement and verify_baseline(host.config).faults == ()
    with pytest.raises(SealError, match="the next one here is 2"):
        take_seal(host.config, text, who="eve")


def test_request_is_void_after_the_baseline_was_changed(host: Sealable) -> None:
    request = request_seal(host.config, who="ada")
    text, _ = sign_request(request, host.private.read_bytes(), no_passphrase)
    (host.tree / "b").write_text("new")
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    with pytest.raises(SealError, match="not of the baseline as it is now"):
        take_seal(host.config, text, who="ada")


def test_altered_seal_is_not_taken(host: Sealable) -> None:
    text, _ = sign_request(request_seal(host.config, who="ada"), host.private.read_bytes(), no_passphrase)
    with pytest.raises(SealError, match="signature is wrong"):
        take_seal(host.config, text.replace("ada", "eve"), who="eve")


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    made = make_key(str(tmp_path / "k"), None)
    assert stat.S_IMODE(os.stat(made.private).st_mode) == 0o600
    assert fingerprint(load_public_key(Path(made.public).read_bytes())) == made.fingerprint
    before = Path(made.private).read_bytes()
    with pytest.raises(UsageError, match="not overwritten"):
        make_key(made.private, None)
    Path(made.private).unlink()
    with pytest.raises(UsageError, match="is there already"):
        make_key(made.private, None)
    assert not Path(made.private).exists() and before


def test_wrong_passphrase_seals_nothing(host: Sealable) -> None:
    made = make_key(str(host.folder / "locked"), b"right")
    host.public.write_bytes(Path(made.public).read_bytes())
    pem = Path(made.private).read_bytes()
    with pytest.raises(SealError, match="passphrase is wrong"):
        seal_baseline(host.config, pem, lambda: b"wrong", who="ada")
    assert kinds(verify_baseline(host.config)) == [FaultKind.UNSEALED]
    assert seal_baseline(host.config, pem, lambda: b"right", who="ada").statement.number == 1


def test_openssl_agrees_with_the_signature_and_the_fingerprint(host: Sealable, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this host")
    from fimkit.evidence.seal_statement import parse_seal, signed_bytes

    host.seal()
    seal = parse_seal((host.state / "seal" / "seal.json").read_text())
    (tmp_path / "m").write_bytes(signed_bytes(seal.signed))
    (tmp_path / "s").write_bytes(seal.signature)
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(host.public), "-rawin", "-in", "m", "-sigfile", "s"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_SEALER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.verbs.sealing import no_passphrase
from fimkit.model.config_text import load_config
from fimkit.verbs.seal import seal_baseline
config = load_config(sys.argv[2])
while True:
    seal_baseline(config, Path(sys.argv[3]).read_bytes(), no_passphrase, who="ada")
    print("sealed", flush=True)
"""


def test_killed_at_any_moment_of_a_seal_the_baseline_bears_the_old_one_or_the_new(host: Sealable) -> None:
    file = host.folder / "fimkit.toml"
    file.write_text(
        f'[host]\nname = "web01"\nstate_dir = "{host.state}"\n[seal]\npublic_key = "{host.public}"\n'
        f'[[paths]]\npath = "{host.tree}"\ntier = "critical"\n'
    )
    root = Path(__file__).parents[2]
    last = host.seal().statement.number
    for round_ in range(12):
        words = [sys.executable, "-c", _SEALER, str(root), str(file), str(host.private)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = process.stdout.readline()
        time.sleep(round_ * 0.0017)  # any moment is as good
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read()
        process.wait()
        process.stdout.close()
        report = verify_baseline(host.config)
        assert report.faults == () and report.statement is not None
        assert report.statement.number >= last + told.count("sealed") > last  # what was said to be sealed is
        last = report.statement.number


def test_report_of_the_command_names_each_row(host: Sealable, capsys: pytest.CaptureFixture[str]) -> None:
    from fimkit.cli import main

    file = host.folder / "fimkit.toml"
    file.write_text(
        f'[host]\nname = "web01"\nstate_dir = "{host.state}"\n[seal]\npublic_key = "{host.public}"\n'
        f'[[paths]]\npath = "{host.tree}"\ntier = "critical"\n'
    )
    run = ["--config", str(file), "baseline"]
    assert main([*run, "verify"]) == 2
    assert main([*run, "seal", "--key", str(host.private)]) == 0
    assert main([*run, "verify"]) == 0
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    capsys.readouterr()
    assert main([*run, "verify", "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["type"] for row in rows] == ["seal", "fault", "row"] and rows[0]["intact"] is False
    assert rows[2]["fields"] == [{"name": "mode", "sealed": "0644", "now": "0777"}]
    assert main([*run, "verify", "--key", str(host.folder / "none")]) == 2


def test_number_of_an_earlier_seal_is_never_taken_again(host: Sealable) -> None:
    host.seal()
    with open_store(bytes(host.state)) as store, pytest.raises(SealError, match="make a new one"):
        store.add_seal(1, time_ns=1, key="k", body="b")
