"""What the doctor says of a seal and its keys, each on a host where it is so."""

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fimkit.model.advice import Level
from fimkit.model.config import Config, Host
from fimkit.verbs.accept import accept
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.doctor_seal import check_seal, find_private_keys
from fimkit.verbs.evidence_key import load_own_signer, own_key_path
from fimkit.verbs.seal import make_key
from tests.verbs.sealing import Sealable


@pytest.fixture
def host(tmp_path: Path) -> Sealable:
    return Sealable(tmp_path)


def codes(config: Config) -> dict[str, Level]:
    return {one.code: one.level for one in check_seal(config, DoctorHost())}


def test_sealed_baseline_whose_key_is_elsewhere_is_well(host: Sealable) -> None:
    host.seal()
    assert codes(host.config) == {}


def test_host_without_a_baseline_has_nothing_to_seal(tmp_path: Path) -> None:
    assert codes(Config(host=Host(name="x", state_dir=bytes(tmp_path)))) == {}


def test_missing_seal_is_a_note_and_a_warning_where_it_is_required(host: Sealable) -> None:
    assert codes(host.config) == {"seal-none": Level.NOTE}
    assert codes(host.requiring()) == {"seal-none": Level.WARNING}


def test_required_seal_without_a_key_is_a_warning(host: Sealable) -> None:
    host.public.unlink()
    assert codes(host.requiring()) == {"seal-key": Level.WARNING}


def test_key_that_others_can_write_is_a_warning(host: Sealable) -> None:
    host.seal()
    host.public.chmod(0o666)
    found = list(check_seal(host.config, DoctorHost()))
    assert [one.code for one in found] == ["seal-key"] and "written by others" in found[0].problem


def test_private_key_on_the_host_is_a_warning_that_names_it(host: Sealable) -> None:
    host.seal()
    for name, passphrase in (("open", None), ("locked", b"x")):
        make_key(str(host.public.parent / name), passphrase)
    found = [one for one in check_seal(host.config, DoctorHost()) if one.code == "seal-private-key"]
    assert [Path(one.where).name for one in found] == ["locked", "open"] and found[0].level is Level.WARNING


def test_key_that_signs_bundles_and_keys_of_other_kinds_are_no_seal_keys(host: Sealable) -> None:
    host.seal()
    load_own_signer(host.config.host.state_dir)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (host.public.parent / "tls.key").write_bytes(pem)
    assert find_private_keys((host.config.host.state_dir,)) == [own_key_path(host.config.host.state_dir)]
    assert "seal-private-key" not in {one.code for one in check_seal(host.config, DoctorHost())}


def test_seal_older_than_the_last_acceptance_is_told(host: Sealable) -> None:
    host.seal()
    (host.tree / "b").write_text("new")
    accept(host.config, [host.path("b")], who="bob", why="upgrade")
    assert codes(host.config) == {"seal-behind": Level.NOTE}
    assert codes(host.requiring()) == {"seal-behind": Level.WARNING}


def test_altered_row_is_a_trap(host: Sealable) -> None:
    host.seal()
    host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
    assert codes(host.config) == {"seal-broken": Level.TRAP}


def test_key_of_another_host_name_does_not_matter_but_the_seal_does(host: Sealable) -> None:
    host.seal()
    other = replace(host.config, host=replace(host.config.host, name="db01"))
    assert codes(other) == {"seal-broken": Level.TRAP}
