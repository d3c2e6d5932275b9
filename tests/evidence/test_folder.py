"""A state folder that somebody else could have written into is refused."""

import os
from pathlib import Path

import pytest

from fimkit.evidence.folder import check_private_file, make_state_dir
from fimkit.evidence.store import open_store
from fimkit.model.errors import HostError, StoreError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def test_folder_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "state"
    was = os.umask(0)
    try:
        with open_store(os.fsencode(folder), create=True) as store:
            store.set_cursor("audit", b"/log", {"offset": 1})
            modes = {path.name: mode(path) for path in folder.iterdir()}
    finally:
        os.umask(was)
    assert mode(folder) == 0o700
    assert modes == {"fimkit.sqlite": 0o600, "fimkit.sqlite-wal": 0o600, "fimkit.sqlite-shm": 0o600}


@pytest.mark.parametrize("slash", [b"", b"/"])
def test_state_folder_that_is_a_link_is_refused(tmp_path: Path, slash: bytes) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to("real")
    with pytest.raises(HostError, match="symbolic link"):
        open_store(os.fsencode(tmp_path / "state") + slash, create=True)
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("name", ["fimkit.sqlite", "fimkit.sqlite-wal", "fimkit.sqlite-shm"])
def test_store_file_that_is_a_link_is_refused_and_its_target_left_alone(tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / name).symlink_to(target)
    with pytest.raises(HostError, match="symbolic link"):
        open_store(os.fsencode(state), create=True)
    assert target.read_bytes() == b""


def test_dangling_link_in_the_store_files_place_makes_no_file(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "fimkit.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="symbolic link"):
        open_store(os.fsencode(state), create=True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777])
def test_state_folder_that_others_can_write_is_refused(tmp_path: Path, bits: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(bits)
    with pytest.raises(HostError, match=r"written by others .* chmod go-w"):
        make_state_dir(os.fsencode(tmp_path / "state"))


def test_store_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    state = os.fsencode(tmp_path / "state")
    open_store(state, create=True).close()
    (tmp_path / "state" / "fimkit.sqlite").chmod(0o666)
    with pytest.raises(HostError, match="written by others"):
        open_store(state)


@as_root
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 65534, 65534)
    with pytest.raises(HostError, match="belongs to uid 65534"):
        open_store(os.fsencode(tmp_path / "state"), create=True)


@as_root
def test_another_users_store_file_is_refused(tmp_path: Path) -> None:
    state = os.fsencode(tmp_path / "state")
    open_store(state, create=True).close()
    os.chown(tmp_path / "state" / "fimkit.sqlite", 65534, 65534)
    with pytest.raises(HostError, match="belongs to uid 65534"):
        open_store(state)


def test_fifo_in_the_store_files_place_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "state" / "fimkit.sqlite")
    with pytest.raises(HostError, match="is no file"):
        open_store(os.fsencode(tmp_path / "state"), create=True)


def test_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(HostError, match="is no folder"):
        make_state_dir(os.fsencode(tmp_path / "state"))


def test_missing_store_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no evidence store in .* yet; 'fimkit baseline create' makes one"):
        open_store(os.fsencode(tmp_path / "state"))
    assert not (tmp_path / "state").exists()


def test_a_file_with_a_second_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    (tmp_path / "store").chmod(0o600)
    check_private_file(os.fsencode(tmp_path / "store"))
    os.link(tmp_path / "store", tmp_path / "other")
    with pytest.raises(HostError, match=r"has 2 names \(hard links\)"):
        check_private_file(os.fsencode(tmp_path / "store"))
