"""Which keys a baseline pins: those that apt itself would accept a repository by, and no others."""

import hashlib
from pathlib import Path

import pytest
from pysequoia import ArmorKind, Tsk, armor

from fimkit.packages.apt_keys import load_apt_keys
from fimkit.packages.keyrings import load_keyring
from fimkit.packages.pins import PinnedKey
from fimkit.packages.sources import PackageSources, gather_package_sources

__all__: list[str] = []

DEB = "deb {}http://x stable main\n"


@pytest.fixture(scope="module")
def keys() -> dict[str, Tsk]:
    return {name: Tsk.generate(user_id=f"{name} <{name}@example.org>") for name in "abc"}


def fingerprint(key: Tsk) -> str:
    return str(key.extract_certificate().fingerprint)


def write(root: Path, path: str, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return data


def ring(*keys: Tsk) -> bytes:
    return b"".join(bytes(key.extract_certificate()) for key in keys)


def pinned(root: Path) -> dict[str, PinnedKey]:
    found = load_apt_keys(bytes(root))
    assert found.problems == ()
    return {key.fingerprint: key for key in found.keys}


def test_without_sources_nothing_is_trusted(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", ring(keys["a"]))
    assert pinned(tmp_path) == {}


def test_a_source_that_names_no_key_trusts_apts_own_folder(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    data = write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", ring(keys["a"]))
    write(tmp_path, "etc/apt/trusted.gpg.d/b.asc", armor(ring(keys["b"]), ArmorKind.PublicKey))
    write(tmp_path, "etc/apt/trusted.gpg.d/c.txt", ring(keys["c"]))
    write(tmp_path, "usr/share/keyrings/withdrawn.gpg", ring(keys["c"]))
    write(tmp_path, "etc/apt/sources.list", DEB.format(""))
    found = pinned(tmp_path)
    assert found.keys() == {fingerprint(keys["a"]), fingerprint(keys["b"])}
    one = found[fingerprint(keys["a"])]
    assert (one.file, one.file_sha256) == (b"/etc/apt/trusted.gpg.d/a.gpg", hashlib.sha256(data).hexdigest())


def test_a_source_that_names_its_key_trusts_that_alone(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", ring(keys["a"]))
    write(tmp_path, "usr/share/keyrings/b.gpg", ring(keys["b"]))
    write(tmp_path, "etc/apt/sources.list.d/x.sources", "Types: deb\nURIs: http://x\nSigned-By: /usr/share/keyrings/b.gpg\n")
    assert pinned(tmp_path).keys() == {fingerprint(keys["b"])}


def test_a_fingerprint_chooses_from_apts_own_folder(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    write(tmp_path, "etc/apt/trusted.gpg.d/all.gpg", ring(*keys.values()))
    write(tmp_path, "etc/apt/sources.list.d/x.sources", f"Types: deb\nSigned-By: {fingerprint(keys['b']).upper()}\n")
    assert pinned(tmp_path).keys() == {fingerprint(keys["b"])}


def test_a_key_that_is_written_into_the_source_counts(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    text = armor(ring(keys["c"]), ArmorKind.PublicKey).strip().split("\n")
    lines = "\n".join(f" {line or '.'}" for line in text)
    write(tmp_path, "etc/apt/sources.list.d/x.sources", f"Types: deb\nURIs: http://x\nSigned-By:\n{lines}\n")
    assert pinned(tmp_path).keys() == {fingerprint(keys["c"])}


def test_a_keyring_that_is_none_is_said_and_the_others_are_taken(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", ring(keys["a"]))
    write(tmp_path, "etc/apt/trusted.gpg.d/b.gpg", b"no keyring")
    write(tmp_path, "etc/apt/sources.list", DEB.format("") + DEB.format("[signed-by=/not/there.gpg] "))
    found = load_apt_keys(bytes(tmp_path))
    assert [key.fingerprint for key in found.keys] == [fingerprint(keys["a"])]
    assert len(found.problems) == 2
    assert "/etc/apt/trusted.gpg.d/b.gpg: no OpenPGP keyring" in found.problems[0]
    assert "/not/there.gpg cannot be opened: No such file or directory" in found.problems[1]


def test_other_keys_in_the_pinned_ones_file_are_not_trusted(tmp_path: Path, keys: dict[str, Tsk]) -> None:
    write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", ring(keys["a"]))
    write(tmp_path, "etc/apt/sources.list", DEB.format(""))
    pins = load_apt_keys(bytes(tmp_path)).keys
    write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", ring(keys["a"], keys["b"]))
    problems: list[str] = []
    assert len(load_keyring(pins, PackageSources(root=bytes(tmp_path)), problems)) == 1
    write(tmp_path, "etc/apt/trusted.gpg.d/a.gpg", b"rubbish")
    assert len(load_keyring(pins, PackageSources(root=bytes(tmp_path)), problems)) == 1
    assert len(problems) == 1


def test_a_host_without_packages_has_no_sources(tmp_path: Path) -> None:
    assert gather_package_sources(bytes(tmp_path)) == PackageSources(root=bytes(tmp_path))
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "sbin").symlink_to("somewhere/else")
    assert gather_package_sources(bytes(tmp_path)).merged == (b"/bin", b"/lib")
