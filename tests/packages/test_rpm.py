"""A host with rpm: what signed headers prove of an upgrade, and what intruders with root cannot make them prove."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fimkit.model.states import FileState, compare_states
from fimkit.packages.pins import PackagePins, parse_pins, render_pins
from tests.packages.rpmworld import NEEDS_RPM, RpmWorld

__all__: list[str] = []

pytestmark = NEEDS_RPM

EVIL = b"#!/bin/sh\necho evil\n"
OLD = {
    "/usr/bin/tool": ("%attr(755,root,root)", b"one"),
    "/usr/bin/tool-su": ("%attr(4755,root,root)", b"set-id one"),
    "/usr/bin/tool-cap": ("%attr(755,root,root) %caps(cap_net_raw=ep)", b"capable one"),
    "/bin/merged": ("%attr(755,root,root)", b"merged one"),
    "/usr/share/tool/gone": ("", b"gone"),
    "/etc/tool.conf": ("%config(noreplace)", b"conf one\n"),
    "/etc/kept.conf": ("%config(noreplace)", b"kept one\n"),
    "/usr/lib/cache": ("%ghost", b"made later"),
}
NEW = {path: (words, content.replace(b"one", b"two")) for path, (words, content) in OLD.items() if path != "/usr/share/tool/gone"}


class Host:
    def __init__(self, world: RpmWorld, key: Path, packages: tuple[Path, Path], pins: PackagePins, before: dict[bytes, FileState]):
        self.world, self.key, self.packages, self.pins, self.before = world, key, packages, pins, before

    def is_explained(self, path: str) -> bool:
        key = path.encode()
        before, after = self.before.get(key), self.world.scan().get(key)
        with self.world.proofs(self.pins) as proofs:
            proof = proofs.prove(key, before, after)
        return proof.explains(before, after, compare_states(before, after) if before and after else ())


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Version 2 was installed over version 1, from which the pins are."""
    world = RpmWorld(tmp_path_factory.mktemp("r") / "w").create()  # short: a socket's path may not be long
    try:
        key = world.make_key("a")
        world.trust(key)
        packages = world.build("tool", "1.0", OLD, key), world.build("tool", "2.0", NEW, key)
        world.install(packages[0])
        (world.root / "etc/kept.conf").write_bytes(b"the administrator's own\n")
        pins, before = parse_pins(render_pins(world.pins())), world.scan()
        world.install(packages[1])
        yield Host(world, key, packages, pins, before)
    finally:
        world.close()


@pytest.fixture
def host(upgraded: Host, tmp_path: Path) -> Host:
    return Host(upgraded.world.copy(tmp_path / "root"), upgraded.key, upgraded.packages, upgraded.pins, upgraded.before)


def test_an_upgrade_file_by_file(host: Host) -> None:
    paths = [path.replace("/bin/merged", "/usr/bin/merged") for path in (*OLD, "/etc/kept.conf.rpmnew", "/usr/bin/tool-link")]
    assert sorted(path for path in paths if host.is_explained(path)) == [
        "/etc/kept.conf.rpmnew",
        "/etc/tool.conf",
        "/usr/bin/merged",
        "/usr/bin/tool",
        "/usr/bin/tool-cap",
        "/usr/bin/tool-link",
        "/usr/bin/tool-su",
    ]
    proof = host.world.prove(host.pins, "/usr/bin/tool-su")
    assert (proof.package, proof.version, proof.architecture, proof.older) == ("tool", "2.0-1", "noarch", False)
    assert "is signed by " + host.pins.keys[0].fingerprint in proof.reasons[0]
    assert "differs from what tool 2.0-1 ships, says rpm's database: a configuration file of it, which was changed" in (
        host.world.prove(host.pins, "/etc/kept.conf").reasons[0]
    )


def test_looking_leaves_no_trace_in_the_databases_folder(host: Host) -> None:
    before = {path: path.stat().st_mtime_ns for path in [host.world.database.parent, *host.world.database.parent.iterdir()]}
    assert host.is_explained("/usr/bin/tool")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert set(host.world.database.parent.iterdir()) | {host.world.database.parent} == set(before)


def test_a_digest_edited_in_the_database_is_not_believed(host: Host) -> None:
    (host.world.root / "usr/bin/tool").write_bytes(EVIL)
    good, evil = (hashlib.sha256(content).hexdigest().encode() for content in (b"two", EVIL))
    with closing(sqlite3.connect(host.world.database)) as connection:
        rows = connection.execute("SELECT hnum, blob FROM Packages").fetchall()
        assert sum(good in blob for _, blob in rows) == 1
        for number, blob in rows:
            connection.execute("UPDATE Packages SET blob = ? WHERE hnum = ?", (blob.replace(good, evil), number))
        connection.commit()
    assert not host.is_explained("/usr/bin/tool")
    assert "no pinned key signed that header" in host.world.prove(host.pins, "/usr/bin/tool").reasons[0]


@pytest.mark.parametrize("signed", [False, True])
def test_an_intruders_own_package_is_not_believed(signed: bool, host: Host) -> None:
    key = host.world.make_key("evil") if signed else None
    if key is not None:
        host.world.trust(key)
    own = host.world.build("tool", "2.1", NEW | {"/usr/bin/tool": ("%attr(4755,root,root)", EVIL)}, key)
    host.world.install(own)
    assert (host.world.root / "usr/bin/tool").read_bytes() == EVIL
    assert not host.is_explained("/usr/bin/tool")
    assert host.world.prove(host.pins, "/usr/bin/tool").reasons == (
        "rpm's database says that it is tool 2.1-1's own, unproved: no pinned key signed that header",
    )


def test_an_older_package_is_proved_and_said_to_be_older(host: Host) -> None:
    host.pins = host.world.pins()
    host.world.install(host.packages[0], options=("--oldpackage",))
    proof = host.world.prove(host.pins, "/usr/bin/tool")
    assert (proof.version, proof.older) == ("1.0-1", True)


def test_each_attribute_that_is_another_one_is_not_proved(host: Host) -> None:
    tool = host.world.root / "usr/bin/tool"
    capable = host.world.prove(host.pins, "/usr/bin/tool-cap").proved
    assert "security.capability" in os.listxattr(host.world.root / "usr/bin/tool-cap")
    os.removexattr(host.world.root / "usr/bin/tool-cap", "security.capability")
    assert capable - host.world.prove(host.pins, "/usr/bin/tool-cap").proved == {"xattrs"}
    everything = host.world.prove(host.pins, "/usr/bin/tool").proved
    assert everything >= {"type", "sha256", "mode", "uid", "gid", "xattrs"}
    os.setxattr(tool, "user.x", b"x")
    assert everything - host.world.prove(host.pins, "/usr/bin/tool").proved == {"xattrs"}
    os.removexattr(tool, "user.x")
    os.chown(tool, 0, 1234)
    assert everything - host.world.prove(host.pins, "/usr/bin/tool").proved == {"gid"}
    os.chown(tool, 0, 0)
    tool.chmod(0o4755)
    assert everything - host.world.prove(host.pins, "/usr/bin/tool").proved == {"mode"}
    tool.write_bytes(EVIL)
    assert not host.world.prove(host.pins, "/usr/bin/tool").proved


def test_a_database_of_another_kind_or_of_rubbish_proves_nothing(host: Host) -> None:
    for suffix in ("", "-wal", "-shm"):
        host.world.database.with_name(f"rpmdb.sqlite{suffix}").unlink(missing_ok=True)
    host.world.database.write_bytes(os.urandom(10_000))
    assert "cannot be read" in host.world.prove(host.pins, "/usr/bin/tool").reasons[0]
    host.world.database.rename(host.world.database.with_name("Packages"))
    assert "no SQLite one" in host.world.prove(host.pins, "/usr/bin/tool").reasons[0]


def test_a_header_of_rubbish_is_said_and_the_others_count(host: Host) -> None:
    with closing(sqlite3.connect(host.world.database)) as connection:
        number = connection.execute("INSERT INTO Packages (blob) VALUES (?)", (b"rubbish",)).lastrowid
        connection.execute("INSERT INTO Basenames (key, hnum, idx) VALUES ('tool', ?, 0)", (number,))
        connection.commit()
    with host.world.proofs(host.pins) as proofs:
        state = host.world.scan()[b"/usr/bin/tool"]
        assert "sha256" in proofs.prove(b"/usr/bin/tool", None, state).proved
        assert proofs.problems == ("rpm's database: no rpm header: 7 bytes",)


def test_without_pins_nothing_is_proved(host: Host) -> None:
    assert not host.world.prove(PackagePins(), "/usr/bin/tool").proved
