"""What the doctor says of packages: pins, signed indexes, apt's cache."""

import os
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.config_text import load_config
from fimkit.verbs.baseline import create_baseline
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.doctor_packages import check_packages
from tests.packages.debworld import NEEDS_DEBIAN, make_key
from tests.verbs.package_host import PackageHost, make_package_host

__all__: list[str] = []

pytestmark = NEEDS_DEBIAN


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PackageHost:
    return make_package_host(Path(os.path.realpath(tmp_path_factory.mktemp("made"))))


@pytest.fixture
def host(made: PackageHost, tmp_path: Path) -> PackageHost:
    host = PackageHost(tmp_path, made.world.copy(tmp_path / "world"))
    create_baseline(load_config(host.config_file), who="eve", why="first")
    return host


def codes(host: PackageHost, apt_dump: str | None = None) -> list[str]:
    config = load_config(host.config_file)
    return [one.code for one in check_packages(config, DoctorHost(), apt_dump=lambda: apt_dump)]


def test_a_host_whose_upgrades_can_be_proved_is_well(host: PackageHost) -> None:
    assert codes(host) == []


def test_a_store_from_before_has_no_pins(host: PackageHost) -> None:
    with open_store(os.fsencode(host.place / "state")) as store, store.transaction():
        store._connection.execute("DELETE FROM package_pins")
    assert codes(host) == ["packages-unpinned"]
    assert host.fimkit("baseline", "pin").returncode == 0
    assert codes(host) == []


def test_pins_that_cannot_be_read_are_as_none(host: PackageHost) -> None:
    with open_store(os.fsencode(host.place / "state")) as store, store.transaction():
        store._connection.execute("UPDATE package_pins SET body = '7'")
    assert codes(host) == ["packages-unpinned"]


def test_an_index_of_another_key_is_named(host: PackageHost) -> None:
    host.world.trust(other := make_key("other"), "other.asc")
    host.world.publish(host.world.cached("tool", "1:1.0"), key=other)
    host.world.update()
    assert codes(host) == ["packages-index", "packages-no-index"]
    assert host.fimkit("baseline", "pin").returncode == 0
    assert codes(host) == []


def test_no_index_at_all_proves_nothing(host: PackageHost) -> None:
    for file in (host.root / "var/lib/apt/lists").glob("*_*"):
        file.unlink()
    assert codes(host) == ["packages-no-index"]


def test_a_host_that_trusts_no_key_is_told(host: PackageHost) -> None:
    (host.root / "etc/apt/trusted.gpg.d/repo.asc").unlink()
    assert host.fimkit("baseline", "pin").returncode == 0
    assert codes(host) == ["packages-no-key"]


def test_a_cache_that_is_emptied_is_named(host: PackageHost) -> None:
    assert codes(host, "") == ["packages-not-kept"]
    assert codes(host, 'Binary::apt::APT::Keep-Downloaded-Packages "1";\n') == []


def test_where_no_package_is_watched_nothing_is_said(host: PackageHost) -> None:
    text = host.config_file.read_text().replace(f'package_root = "{host.root}"', 'package_root = ""')
    host.config_file.write_text(text)
    assert codes(host, "") == []


def test_this_hosts_own_apt_is_asked(host: PackageHost) -> None:
    from fimkit.packages.apt_config import parse_apt_dump
    from fimkit.verbs.doctor_packages import load_apt_dump

    text = load_apt_dump()
    assert text is not None
    assert "dir::cache::archives" in parse_apt_dump(text)
