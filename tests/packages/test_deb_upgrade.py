"""An upgrade by real apt and dpkg: what of it is proved, file by file, and in what words the rest is said not to be."""

import os
from pathlib import Path

import pytest

from fimkit.baseline.diff import diff_states
from fimkit.model.changes import StateDiff
from fimkit.model.paths import render_path
from fimkit.packages.collect import collect_pins
from fimkit.packages.pins import PackagePins, parse_pins, render_pins
from fimkit.packages.proof import Proof
from fimkit.packages.sources import gather_package_sources
from tests.packages.debworld import NEEDS_DEBIAN, DebWorld, make_key

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN

ALTERNATIVE = "update-alternatives --quiet --install /usr/bin/pick pick /usr/bin/tool{0} {0}0"
OLD = {
    "/usr/bin/tool": b"tool one",
    "/usr/bin/tool-su": (b"set-id one", 0o4755),
    "/bin/merged": b"under its name without /usr, one",
    "/usr/bin/t": "tool",
    "/usr/share/tool/gone.txt": b"one",
    "/usr/share/tool/same.txt": b"the same in both",
    "/usr/share/tool/n\u00e4me with space": b"one",
    "/etc/tool.conf": b"conf one\n",
    "/etc/kept.conf": b"kept one\n",
    "/usr/bin/tool1": b"first choice",
    "/usr/bin/tool2": b"second choice",
}
NEW = OLD | {
    "/usr/bin/tool": b"tool two",
    "/usr/bin/tool-su": (b"set-id two", 0o4755),
    "/usr/bin/tool-new-su": (b"a new set-id program", 0o4755),
    "/bin/merged": b"under its name without /usr, two",
    "/usr/bin/t": "tool-su",
    "/usr/share/tool/n\u00e4me with space": b"two",
    "/usr/share/tool/new/deep.txt": b"new",
    "/etc/tool.conf": b"conf two\n",
    "/etc/kept.conf": b"kept two\n",
}
del NEW["/usr/share/tool/gone.txt"]
CONFFILES = ["/etc/tool.conf", "/etc/kept.conf"]


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]]:
    """A host with packages, its pins, the upgrade of all, and every difference with its proof."""
    world = DebWorld(tmp_path_factory.mktemp("upgrade") / "world", make_key()).create()
    divert = {"preinst": "dpkg-divert --quiet --package cover --rename --divert /usr/bin/under.real --add /usr/bin/under"}
    debs = [
        world.build("tool", "1:1.0", OLD, conffiles=CONFFILES, scripts={"postinst": ALTERNATIVE.format(1)}),
        world.build("under", "1.0", {"/usr/bin/under": b"under one", "/usr/share/under/a": b"a"}, compression="zstd"),
        world.build("cover", "1.0", {"/usr/bin/under": b"cover one"}, scripts=divert, compression="gzip"),
        world.build("late", "1.0", {"/usr/bin/late": b"late one"}),
    ]
    world.publish(*debs)
    world.update()
    world.fetch("tool", "under", "cover", "late")
    for name, version in (("tool", "1:1.0"), ("under", "1.0"), ("cover", "1.0"), ("late", "1.0")):
        world.install(world.cached(name, version))
    (world.root / "etc/kept.conf").write_bytes(b"the administrator's own\n")
    pins = parse_pins(render_pins(world.pins()))
    before = world.scan()

    divert_late = "dpkg-divert --quiet --package tool --rename --divert /usr/bin/late.real --add /usr/bin/late"
    made = f'{ALTERNATIVE.format(2)}\necho made > "$DPKG_ROOT/etc/made-by-script"\n{divert_late}'
    debs = [
        world.build("tool", "1:2.0", NEW, conffiles=CONFFILES, scripts={"postinst": made}),
        world.build("under", "2.0", {"/usr/bin/under": b"under two", "/usr/share/under/a": b"a"}, compression="zstd"),
        world.build("cover", "2.0", {"/usr/bin/under": b"cover two"}, scripts=divert, compression="gzip"),
        world.build("late", "2.0", {"/usr/bin/late": b"late two"}),
    ]
    world.publish(*debs)
    world.update()
    world.fetch("tool", "under", "cover", "late")
    for name, version in (("tool", "1:2.0"), ("under", "2.0"), ("cover", "2.0"), ("late", "2.0")):
        world.install(world.cached(name, version))

    diffs = diff_states(before, world.scan())
    with world.proofs(pins) as proofs:
        proofs.prepare([diff.path for diff in diffs])
        answers = {diff.path.decode(): (diff, proofs.prove(diff.path, diff.before, diff.after)) for diff in diffs}
        assert proofs.problems == ()
    return world, pins, answers


PROVED = {
    "/usr/bin/tool": "tool 1:2.0 ships it so",
    "/usr/bin/tool-su": "tool 1:2.0 ships it so",
    "/usr/bin/tool-new-su": "tool 1:2.0 ships it so",
    "/usr/bin/merged": "tool 1:2.0 ships it so",
    "/usr/bin/t": "tool 1:2.0 ships it so",
    "/usr/share/tool/n\u00e4me with space": "tool 1:2.0 ships it so",
    "/usr/share/tool/new": "tool 1:2.0 ships it so",
    "/usr/share/tool/new/deep.txt": "tool 1:2.0 ships it so",
    "/usr/share/tool/gone.txt": "tool 1:1.0 shipped it, and 1:2.0 does not",
    "/etc/tool.conf": "tool 1:2.0 ships it so",
    "/etc/kept.conf.dpkg-dist": "put beside the one that was kept",
    "/usr/bin/under": "cover 2.0 ships it so",
    "/usr/bin/under.real": "a diversion puts /usr/bin/under here, as when the baseline was taken",
}
UNPROVED = {
    "/etc/alternatives/pick": "the alternatives database says that this link leads there, unproved",
    "/etc/made-by-script": "no package ships this path; what packages' own scripts make is never proved",
    "/usr/bin/late": "a diversion puts it at /usr/bin/late.real, says the package database, unproved",
    "/usr/bin/late.real": "by a diversion that was not there when the baseline was taken: unproved",
}


def test_the_upgrade_made_exactly_these_differences(upgrade: tuple[DebWorld, PackagePins, dict[str, object]]) -> None:
    noise = {"/usr/share/under/a", "/usr/bin/tool1", "/usr/bin/tool2", "/usr/share/tool/same.txt"}  # the same
    assert upgrade[2].keys() - noise == PROVED.keys() | UNPROVED.keys()


@pytest.mark.parametrize("path", PROVED)
def test_what_the_new_packages_ship_is_proved(
    path: str, upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]]
) -> None:
    diff, proof = upgrade[2][path]
    assert proof.explains(diff.before, diff.after, diff.changed), proof
    assert PROVED[path] in "; ".join(proof.reasons)
    assert proof.older is False


@pytest.mark.parametrize("path", UNPROVED)
def test_what_root_could_have_made_by_itself_is_not_proved(
    path: str, upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]]
) -> None:
    diff, proof = upgrade[2][path]
    assert not proof.explains(diff.before, diff.after, diff.changed), proof
    assert not proof.proved
    assert UNPROVED[path] in "; ".join(proof.reasons)


def test_the_same_without_preparing(upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]]) -> None:
    world, pins, answers = upgrade
    with world.proofs(pins) as proofs:
        assert {path: proofs.prove(diff.path, diff.before, diff.after) for path, (diff, _) in answers.items()} == {
            path: proof for path, (_, proof) in answers.items()
        }


def test_a_kept_configuration_file_is_said_to_be_changed(
    upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]],
) -> None:
    world, pins, _ = upgrade
    proof = world.prove(pins, "/etc/kept.conf")
    assert not proof.proved
    assert "it differs from what tool 1:2.0 ships: a configuration file of it, which was changed" in proof.reasons


def test_where_a_diversion_keeps_a_package_away_its_bytes_are_not_proved(
    upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]], tmp_path: Path
) -> None:
    world = upgrade[0].copy(tmp_path / "world")
    (world.root / "usr/bin/under").write_bytes((world.root / "usr/bin/under.real").read_bytes())
    proof = world.prove(upgrade[1], "/usr/bin/under")
    assert not proof.proved
    assert "a diversion keeps other packages' files from this path, says the package database" in proof.reasons


def test_without_the_archives_the_reason_says_how_to_keep_them(
    upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]], tmp_path: Path
) -> None:
    world = upgrade[0].copy(tmp_path / "world")
    for deb in (world.root / "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()
    proof = world.prove(upgrade[1], "/usr/bin/tool")
    assert proof.proved == frozenset()
    assert proof.reasons[0] == "the package database says that these are tool 1:2.0's own bytes, unproved"
    assert 'Keep-Downloaded-Packages "true"' in proof.reasons[1]


def test_of_what_a_removal_took_away_nothing_is_proved(
    upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]], tmp_path: Path
) -> None:
    world = upgrade[0].copy(tmp_path / "world")
    before = world.scan()[b"/usr/bin/under.real"]
    world.dpkg("--purge", "under")
    proof = world.prove(upgrade[1], "/usr/bin/under.real", before)
    assert proof.proved == frozenset()
    assert "no proof that an upgrade took it away" in proof.reasons[0]


@pytest.mark.parametrize("packing", ["gz", "xz", "lz4", "zst", "bz2"])
def test_indexes_are_read_however_apt_keeps_them(
    packing: str, upgrade: tuple[DebWorld, PackagePins, dict[str, tuple[StateDiff, Proof]]], tmp_path: Path
) -> None:
    import bz2
    import gzip
    import lzma

    import lz4.frame
    import zstandard

    world = upgrade[0].copy(tmp_path / "world")
    (index,) = (world.root / "var/lib/apt/lists").glob("*_Packages")
    plain = index.read_bytes()
    packed = {"gz": gzip.compress, "xz": lzma.compress, "lz4": lz4.frame.compress, "bz2": bz2.compress,
              "zst": zstandard.ZstdCompressor().compress}[packing](plain)  # fmt: skip
    index.with_name(f"{index.name}.{packing}").write_bytes(packed)
    index.unlink()
    proof = world.prove(upgrade[1], "/usr/bin/tool")
    assert "sha256" in proof.proved


def test_packages_of_an_index_that_have_no_hash_are_counted_and_said(tmp_path: Path) -> None:
    world = DebWorld(tmp_path / "world", make_key()).create()
    deb = world.build("tool", "1.0", OLD)
    world.publish(deb, more_packages=b"\nPackage: old\nVersion: 1\nArchitecture: all\nMD5sum: 00\n\nPackage: broken\n")
    world.update()
    (index,) = (world.root / "var/lib/apt/lists").glob("*_Packages")
    problems = collect_pins(gather_package_sources(os.fsencode(world.root))).problems
    assert problems == (f"{render_path(os.fsencode(index.name))}: 2 packages without a SHA-256, a name or a version",)
