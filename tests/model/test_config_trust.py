"""A configuration that others than its owner can write, or replace, is named with the way; as root it is refused."""

import os
from pathlib import Path

import pytest

from fimkit.model.config_text import load_config
from fimkit.model.config_trust import find_writers, trusted_owners
from fimkit.model.errors import ConfigError

__all__: list[str] = []

OWNERS = frozenset({0, os.geteuid()})
STRANGER = 65_000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "etc" / "fimkit.toml"
    made.parent.mkdir(mode=0o755)
    made.write_text('[[paths]]\npath = "/sbin"\n')
    made.chmod(0o600)
    return made


def faults(path: Path) -> list[str]:
    return find_writers(path, owners=OWNERS)


def test_ones_own_file_in_ones_own_folders_has_no_fault(file: Path) -> None:
    assert faults(file) == []
    file.chmod(0o644)
    file.parent.chmod(0o1777)  # sticky: nobody else can replace it
    assert faults(file) == []
    assert faults(file.with_name("missing")) == []


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_a_file_that_every_user_can_write_is_named_with_its_remedy(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert faults(file) == [f"{file} can be written by every user (mode {mode:04o}): chmod go-w {file}"]


def test_a_folder_anywhere_above_that_others_can_write_is_named(file: Path) -> None:
    file.parent.chmod(0o777)
    file.parent.parent.chmod(0o702)
    assert [words.split(" can be ")[0] for words in faults(file)] == [str(file.parent), str(file.parent.parent)]


def test_where_not_every_user_is_known_the_hosts_root_is_the_overflow_id(tmp_path: Path) -> None:
    (tmp_path / "uid_map").write_text("         0          0 4294967295\n")
    assert trusted_owners(tmp_path, {}) == {0}
    (tmp_path / "uid_map").write_text("         0      65534          1\n")
    assert trusted_owners(tmp_path, {}) == {0, int(Path("/proc/sys/kernel/overflowuid").read_text())}
    assert trusted_owners(tmp_path / "none", {}) == {0}


def test_who_is_root_by_sudo_may_have_his_own_configuration_followed(file: Path) -> None:
    owners = trusted_owners(environment={"SUDO_UID": str(STRANGER)})
    assert STRANGER in owners and STRANGER not in trusted_owners(environment={"SUDO_UID": "x²"})
    if os.geteuid() == 0:
        os.chown(file, STRANGER, STRANGER)
        file.chmod(0o664)
        assert find_writers(file, owners=owners) == [] != find_writers(file, owners=OWNERS)


@as_root
def test_a_file_folder_or_link_of_another_user_is_named(file: Path) -> None:
    os.chown(file, STRANGER, 0)
    assert faults(file)[0].startswith(f"{file} belongs to uid {STRANGER}")
    os.chown(file, 0, STRANGER)
    file.chmod(0o660)
    assert "can be written by the group 65000" in faults(file)[0]
    file.chmod(0o600)
    link = file.parent.parent / "link.toml"
    link.symlink_to(file)
    assert faults(link) == []
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert faults(link)[0].startswith(f"{link} is a link of uid {STRANGER}'s")
    folders = file.parent.parent / "folders"
    folders.symlink_to(file.parent)
    os.chown(folders, STRANGER, STRANGER, follow_symlinks=False)
    assert faults(folders / file.name)[0].startswith(f"{folders} is a link of uid {STRANGER}'s")


@as_root
def test_links_behind_links_are_followed_to_each_folder(file: Path) -> None:
    open_folder = file.parent.parent / "open"
    open_folder.mkdir(mode=0o700)
    (open_folder / "middle.toml").symlink_to(file)
    first = file.with_name("first.toml")
    first.symlink_to(open_folder / "middle.toml")
    assert faults(first) == []
    open_folder.chmod(0o777)
    assert [words.split(" can be ")[0] for words in faults(first)] == [str(open_folder)]


@as_root
def test_root_refuses_it_before_anything_of_it_is_used_and_says_every_way(file: Path) -> None:
    assert load_config(file).paths
    file.chmod(0o666)
    os.chown(file.parent, STRANGER, 0)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert len(caught.value.problems) == 2
    assert all("its commands run as root, and" in words for words in caught.value.problems)
