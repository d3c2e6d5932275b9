"""Intruders with root on a Debian: whatever they write, a path is proved to be no more than a signed package's own bytes there."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pysequoia import ArmorKind, Cert, armor
from pysequoia.packet import PacketPile

from fimkit.model.errors import PackageError
from fimkit.model.states import FileState, compare_states
from fimkit.packages.deb import load_deb
from fimkit.packages.pins import PackagePins
from fimkit.packages.proof import Proof
from tests.packages.debworld import NEEDS_DEBIAN, DebWorld, make_key, run

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN

GOOD, EVIL = b"#!/bin/sh\necho good two\n", b"#!/bin/sh\necho evil\n"
FILES = {
    "/usr/bin/tool": GOOD,
    "/usr/bin/other": b"#!/bin/sh\necho other\n",
    "/usr/share/tool/data": b"data",
    "/usr/share/tool/link": "data",
    "/etc/tool.conf": b"shipped\n",
}


class Attacked:
    """One host to be attacked: its pins are from before."""

    def __init__(self, world: DebWorld, pins: PackagePins, before: dict[bytes, FileState]) -> None:
        self.world, self.pins, self.before = world, pins, before
        self.root = world.root

    def prove(self, path: str) -> Proof:
        return self.world.prove(self.pins, path, self.before.get(path.encode()))

    def is_explained(self, path: str) -> bool:
        key = path.encode()
        before, after = self.before.get(key), self.world.scan().get(key)
        proof = self.world.proofs(self.pins).prove(key, before, after)
        return proof.explains(before, after, compare_states(before, after) if before and after else ())

    def replace(self, path: str, content: bytes) -> None:
        place = self.root / path.lstrip("/")
        mode = place.stat().st_mode & 0o7777
        place.write_bytes(content)
        place.chmod(mode)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    """Version 2 is installed; the index has 1 and 2, as a distribution's and its security archive's together."""
    world = DebWorld(tmp_path_factory.mktemp("host") / "world", make_key("archive")).create()
    old = world.build("tool", "1.0", FILES | {"/usr/bin/tool": b"#!/bin/sh\necho vulnerable one\n"}, conffiles=["/etc/tool.conf"])
    new = world.build("tool", "2.0", FILES, conffiles=["/etc/tool.conf"])
    world.publish(old, new)
    world.update()
    world.fetch("tool=2.0")
    world.install(world.cached("tool", "2.0"))
    return Attacked(world, world.pins(), world.scan())


@pytest.fixture
def attacked(host: Attacked, tmp_path: Path) -> Attacked:
    return Attacked(host.world.copy(tmp_path / "world"), host.pins, host.before)


def edit_md5sums(attacked: Attacked, path: str) -> None:
    file = attacked.root / "var/lib/dpkg/info/tool.md5sums"
    lines = [line for line in file.read_text().split("\n") if line and not line.endswith(path.lstrip("/"))]
    digest = hashlib.md5((attacked.root / path.lstrip("/")).read_bytes()).hexdigest()
    file.write_text("\n".join([*lines, f"{digest}  {path.lstrip('/')}", ""]))


def test_the_host_as_it_was_is_proved(attacked: Attacked) -> None:
    for path in FILES:
        proof = attacked.prove(path)
        assert proof.explains(None, attacked.world.scan()[path.encode()], ()), proof
        assert (proof.package, proof.version, proof.older) == ("tool", "2.0", False)


def test_a_program_called_dpkg_that_holds_the_lock_proves_nothing(attacked: Attacked) -> None:
    dpkg = attacked.root / "dpkg"
    shutil.copy2("/bin/sh", dpkg)
    locks = "exec 8>>var/lib/dpkg/lock 9>>var/lib/dpkg/lock-frontend; flock 8; flock 9"
    mode = (attacked.root / "usr/bin/tool").stat().st_mode & 0o7777
    subprocess.run(
        [dpkg, "-c", f"{locks}; printf '#!/bin/sh\\necho evil\\n' > usr/bin/tool; chmod {mode:o} usr/bin/tool"],
        cwd=attacked.root, check=True,
    )  # fmt: skip
    assert not attacked.is_explained("/usr/bin/tool")
    assert "it differs from what tool 2.0 ships" in attacked.prove("/usr/bin/tool").reasons


def test_edited_md5sums_make_words_alone(attacked: Attacked) -> None:
    attacked.replace("/usr/bin/tool", EVIL)
    edit_md5sums(attacked, "/usr/bin/tool")
    proof = attacked.prove("/usr/bin/tool")
    assert proof.proved == frozenset()
    assert proof.reasons[0] == "the package database says that these are tool 2.0's own bytes, unproved"
    assert "it differs from what tool 2.0 ships" in proof.reasons


def test_a_status_file_with_another_version_makes_words_alone(attacked: Attacked) -> None:
    attacked.replace("/usr/bin/tool", EVIL)
    status = attacked.root / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace("Version: 2.0", "Version: 3.0"))
    proof = attacked.prove("/usr/bin/tool")
    assert proof.proved == frozenset()
    assert "tool 3.0" in proof.reasons[0]


def test_an_unsigned_package_of_the_intruders_own_is_not_proved(attacked: Attacked) -> None:
    world = attacked.world
    own = world.build("tool", "2.1", FILES | {"/usr/bin/tool": EVIL, "/usr/bin/door": (EVIL, 0o4755)})
    world.install(own)
    shutil.copy(own, world.root / "var/cache/apt/archives")
    for path in ("/usr/bin/tool", "/usr/bin/door"):
        assert not attacked.is_explained(path)
        reasons = "; ".join(attacked.prove(path).reasons)
        assert "tool 2.1's own bytes, unproved" in reasons
        assert "the archive tool_2.1_all.deb is in no index that a pinned key signed" in reasons


def test_a_replaced_archive_in_the_cache_is_not_believed(attacked: Attacked) -> None:
    world = attacked.world
    own = world.build("tool", "2.0", FILES | {"/usr/bin/tool": EVIL}, conffiles=["/etc/tool.conf"])
    shutil.copy(own, world.cached("tool", "2.0"))
    world.install(world.cached("tool", "2.0"))
    assert not attacked.is_explained("/usr/bin/tool")
    assert not attacked.prove("/usr/bin/other").proved  # the same bytes as ever, but nothing says so any more


def test_an_archive_that_is_changed_between_its_hashing_and_its_reading_is_not_believed(attacked: Attacked) -> None:
    world = attacked.world
    deb = world.cached("tool", "2.0")
    evil = world.build("tool", "2.0", FILES | {"/usr/bin/tool": EVIL}).read_bytes()

    def change(sha256: str) -> bool:
        deb.write_bytes(evil)
        return True

    with pytest.raises(PackageError, match="changed while it was read"):
        load_deb(os.fsencode(deb), change)


@pytest.mark.parametrize("where", ["trusted.gpg.d", "Signed-By", "over the pinned keyring", "nowhere"])
def test_an_index_signed_by_a_key_that_was_dropped_in_later_is_not_believed(where: str, attacked: Attacked) -> None:
    world, key = attacked.world, make_key("intruder")
    own = world.build("tool", "2.2", FILES | {"/usr/bin/tool": EVIL})
    if where == "trusted.gpg.d":
        world.trust(key, "more.asc")
    elif where == "Signed-By":
        world.trust(key, "more.asc")
        (world.root / "etc/apt/trusted.gpg.d/more.asc").rename(world.root / "etc/apt/more.asc")
        line = f"deb [signed-by={world.root}/etc/apt/more.asc] copy:{world.repo} stable main\n"
        (world.root / "etc/apt/sources.list").write_text(line)
    elif where == "over the pinned keyring":
        world.trust(key, "repo.asc")
    else:
        line = f"deb [trusted=yes allow-insecure=yes] copy:{world.repo} stable main\n"
        (world.root / "etc/apt/sources.list").write_text(line)
    world.publish(own, key=key)
    world.update()
    world.fetch("tool")  # apt itself is content
    world.install(world.cached("tool", "2.2"))
    assert not attacked.is_explained("/usr/bin/tool")
    with world.proofs(attacked.pins) as proofs:
        proofs.prove(b"/usr/bin/tool", None, world.scan()[b"/usr/bin/tool"])
        assert any("is signed by no pinned key" in problem for problem in proofs.problems)


def test_a_good_index_with_a_line_changed_is_not_believed(attacked: Attacked) -> None:
    world = attacked.world
    own = world.build("tool", "2.0", FILES | {"/usr/bin/tool": EVIL}, conffiles=["/etc/tool.conf"])
    for deb in (world.root / "var/cache/apt/archives").glob("*.deb"):
        shutil.copy(own, deb)
    world.install(own)
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    lists = world.root / "var/lib/apt/lists"
    (index,) = lists.glob("*_Packages")
    text = index.read_text()
    old = text.split("SHA256: ")[-1].split("\n")[0]
    index.write_text(text.replace(old, sha256))
    assert not attacked.is_explained("/usr/bin/tool")
    (release,) = lists.glob("*_InRelease")
    was, now = (hashlib.sha256(one.encode()).hexdigest() for one in (text, index.read_text()))
    assert was in release.read_text()
    release.write_text(release.read_text().replace(was, now))
    assert not attacked.is_explained("/usr/bin/tool")


def test_text_around_a_good_signature_is_not_taken_for_signed(attacked: Attacked) -> None:
    world = attacked.world
    own = world.build("tool", "2.0", FILES | {"/usr/bin/tool": EVIL}, conffiles=["/etc/tool.conf"])
    world.install(own)
    shutil.copy(own, world.cached("tool", "2.0"))
    (index,) = (world.root / "var/lib/apt/lists").glob("*_Packages")
    old = index.read_text().split("SHA256: ")[-1].split("\n")[0]
    index.write_text(index.read_text().replace(old, hashlib.sha256(own.read_bytes()).hexdigest()))
    content = index.read_bytes()
    words = f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
    (release,) = (world.root / "var/lib/apt/lists").glob("*_InRelease")
    good = release.read_text()
    for text in (words + good, good + words, good + good.replace("SHA256:", f"SHA256:\n {words.split(chr(10))[1]}")):
        release.write_text(text)
        assert not attacked.is_explained("/usr/bin/tool")


def test_an_older_signed_package_is_proved_and_said_to_be_older(attacked: Attacked) -> None:
    world = attacked.world
    world.update()
    world.fetch("tool=1.0")
    world.install(world.cached("tool", "1.0"))
    proof = attacked.prove("/usr/bin/tool")
    assert "sha256" in proof.proved
    assert (proof.version, proof.older) == ("1.0", True)
    assert "an older version than 2.0, which was installed before" in proof.reasons


def test_an_older_signed_programs_bytes_put_in_by_hand_are_older_too(attacked: Attacked) -> None:
    world = attacked.world
    world.update()
    world.fetch("tool=1.0")
    attacked.replace("/usr/bin/tool", b"#!/bin/sh\necho vulnerable one\n")
    proof = attacked.prove("/usr/bin/tool")
    assert (proof.version, proof.older) == ("1.0", True)


def test_a_packages_own_bytes_at_another_path_are_not_proved(attacked: Attacked) -> None:
    attacked.replace("/usr/bin/other", GOOD)
    assert not attacked.is_explained("/usr/bin/other")
    shutil.copy2(attacked.root / "usr/bin/tool", attacked.root / "usr/sbin/tool")
    assert not attacked.is_explained("/usr/sbin/tool")


def test_only_configuration_may_stand_beside_what_it_is_the_new_version_of(attacked: Attacked) -> None:
    for path in ("/usr/bin/tool", "/etc/tool.conf"):
        shutil.copy2(attacked.root / path[1:], attacked.root / f"{path[1:]}.dpkg-dist")
    assert not attacked.is_explained("/usr/bin/tool.dpkg-dist")
    assert attacked.is_explained("/etc/tool.conf.dpkg-dist")


def test_a_diversion_that_moves_a_packages_bytes_over_another_is_not_proved(attacked: Attacked) -> None:
    attacked.replace("/usr/bin/other", GOOD)
    (attacked.root / "var/lib/dpkg/diversions").write_text("/usr/bin/tool\n/usr/bin/other\nbase\n")
    assert not attacked.is_explained("/usr/bin/other")
    assert "not there when the baseline was taken: unproved" in "; ".join(attacked.prove("/usr/bin/other").reasons)


def test_a_list_of_files_that_claims_the_intruders_path_is_not_proved(attacked: Attacked) -> None:
    (attacked.root / "usr/bin/door").write_bytes(GOOD)
    with (attacked.root / "var/lib/dpkg/info/tool.list").open("a") as file:
        file.write("/usr/bin/door\n")
    assert not attacked.is_explained("/usr/bin/door")


def test_a_set_id_bit_on_a_packages_own_bytes_is_not_proved(attacked: Attacked) -> None:
    (attacked.root / "usr/bin/tool").chmod(0o4755)
    proof = attacked.prove("/usr/bin/tool")
    assert "sha256" in proof.proved
    assert "mode" not in proof.proved
    assert "not its mode: it ships 0755, seen is 4755" in proof.reasons
    assert not attacked.is_explained("/usr/bin/tool")


def test_another_owner_of_a_packages_own_bytes_is_not_proved(attacked: Attacked) -> None:
    os.chown(attacked.root / "usr/share/tool/data", 1234, 0)
    proof = attacked.prove("/usr/share/tool/data")
    assert "uid" not in proof.proved
    assert "gid" in proof.proved
    assert not attacked.is_explained("/usr/share/tool/data")


def test_an_extended_attribute_on_a_packages_own_bytes_is_not_proved(attacked: Attacked) -> None:
    capability = bytes.fromhex("0100000280000000000000000000000000000000")  # cap_setuid, permitted and effective
    os.setxattr(attacked.root / "usr/bin/tool", "security.capability", capability)
    proof = attacked.prove("/usr/bin/tool")
    assert "xattrs" not in proof.proved
    assert "not its extended attributes: security.capability" in proof.reasons
    assert not attacked.is_explained("/usr/bin/tool")


def test_a_link_with_another_target_or_a_file_in_its_place_is_not_proved(attacked: Attacked) -> None:
    link = attacked.root / "usr/share/tool/link"
    link.unlink()
    link.symlink_to("/etc/shadow")
    assert not attacked.is_explained("/usr/share/tool/link")
    link.unlink()
    link.write_bytes(b"data")
    assert not attacked.is_explained("/usr/share/tool/link")


def test_a_deletion_by_hand_is_not_proved(attacked: Attacked) -> None:
    (attacked.root / "usr/bin/tool").unlink()
    assert not attacked.is_explained("/usr/bin/tool")
    assert attacked.prove("/usr/bin/tool").reasons == ("the package database says that tool 2.0 ships it, and it is gone",)


def test_a_deletion_that_the_edited_database_explains_is_not_proved(attacked: Attacked) -> None:
    (attacked.root / "usr/bin/tool").unlink()
    file = attacked.root / "var/lib/dpkg/info/tool.list"
    file.write_text(file.read_text().replace("/usr/bin/tool\n", ""))
    status = attacked.root / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace("Version: 2.0", "Version: 9.0"))
    assert not attacked.is_explained("/usr/bin/tool")


def test_pipes_and_devices_in_the_places_of_files_hold_nobody_up(attacked: Attacked) -> None:
    root = attacked.root
    for file in [root / "var/lib/dpkg/diversions", *(root / "var/cache/apt/archives").glob("*.deb"),
                 *(root / "var/lib/apt/lists").glob("*_Packages"), root / "var/lib/dpkg/info/tool.md5sums"]:  # fmt: skip
        file.unlink(missing_ok=True)
        os.mkfifo(file)
    assert not attacked.is_explained("/usr/bin/tool")


@pytest.mark.parametrize("name", ["status", "diversions", "info/tool.list", "info/tool.md5sums", "alternatives/x"])
def test_a_database_of_rubbish_proves_nothing_and_ends_nothing(name: str, attacked: Attacked) -> None:
    (attacked.root / "var/lib/dpkg" / name).write_bytes(os.urandom(5000) + b"\n\xff\0:\n" * 100)
    attacked.replace("/usr/bin/tool", EVIL)
    assert not attacked.is_explained("/usr/bin/tool")


def test_without_pins_nothing_is_proved(attacked: Attacked) -> None:
    state = attacked.world.scan()[b"/usr/bin/tool"]
    proof = attacked.world.proofs(PackagePins()).prove(b"/usr/bin/tool", None, state)
    assert proof.proved == frozenset()
    assert "no index of packages here is signed by a key that was trusted when the baseline was taken" in proof.reasons


@pytest.mark.skipif(not all(map(shutil.which, ("gpg", "gpgconf"))), reason="needs gpg")
@pytest.mark.parametrize("form", ["InRelease", "Release.gpg"])
def test_what_gpg_signed_in_either_form_is_believed(form: str, tmp_path: Path) -> None:
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        run(*gpg, "--quick-gen-key", "archive@example.org", "rsa3072", "sign", "never")
        world = DebWorld(tmp_path / "world", make_key()).create()
        run(*gpg, "--output", world.root / "etc/apt/trusted.gpg.d/repo.gpg", "--export")
        (world.root / "etc/apt/trusted.gpg.d/repo.asc").unlink()
        deb = world.build("tool", "1.0", FILES)
        world.publish(deb)
        stable = world.repo / "dists/stable"
        (stable / "InRelease").unlink()
        (stable / "Release").write_text(run("apt-ftparchive", "-oAPT::FTPArchive::Release::Suite=stable", "release", stable))
        style = ["--clearsign"] if form == "InRelease" else ["--armor", "--detach-sign"]
        run(*gpg, *style, "--output", stable / form, stable / "Release")
        world.update()
        world.fetch("tool")
        world.install(world.cached("tool", "1.0"))
        assert (list((world.root / "var/lib/apt/lists").glob("*_InRelease")) == []) == (form == "Release.gpg")
        assert world.prove(world.pins(), "/usr/bin/tool").version == "1.0"
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")


def test_a_revocation_that_the_keys_owner_published_counts(attacked: Attacked) -> None:
    world = attacked.world
    certificate = world.key.extract_certificate()
    packets = [*PacketPile.from_bytes(bytes(certificate)), *PacketPile.from_bytes(bytes(certificate.revoke(world.key.certifier())))]
    revoked = armor(bytes(Cert.from_packets(packets)), ArmorKind.PublicKey)
    pins = PackagePins(keys=attacked.pins.keys)
    assert "sha256" in world.prove(pins, "/usr/bin/tool").proved
    (world.root / "etc/apt/trusted.gpg.d/repo.asc").write_text(revoked)
    assert not world.prove(pins, "/usr/bin/tool").proved
