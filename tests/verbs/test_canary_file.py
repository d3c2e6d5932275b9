"""A canary on the disk touches nothing but itself."""

import os
from pathlib import Path

import pytest

from fimkit.model.config import Config, Host, Watch
from fimkit.verbs.canary_file import CanaryFile, Operation, remove_left
from fimkit.verbs.canary_spots import Spot, find_spots

TOKENS = ["ab" * 16, "cd" * 16]


def make_canary(folder: Path) -> CanaryFile:
    tokens = iter(TOKENS)
    config = Config(host=Host(name="x", state_dir=b"/nowhere"), paths=(Watch(path=os.fsencode(os.path.realpath(folder))),))
    (spot,) = find_spots(config, new_token=lambda: next(tokens))
    assert isinstance(spot, Spot)
    return CanaryFile(spot)


def do_all(canary: CanaryFile, *operations: Operation) -> None:
    for operation in operations:
        canary.do(operation)


def test_all_operations_leave_nothing_and_stand_where_it_stood(tmp_path: Path) -> None:
    canary, here = make_canary(tmp_path), Path.cwd()
    do_all(canary, *Operation)
    assert (canary.problem, list(canary.done)) == (None, list(Operation))
    assert list(tmp_path.iterdir()) == [] and Path.cwd() == here
    assert canary.gone_ns.keys() == set(canary.spot.paths) and canary.remove() == []



def test_modes_are_private_whatever_the_umask(tmp_path: Path) -> None:
    canary = make_canary(tmp_path)
    old = os.umask(0o777)
    try:
        canary.do(Operation.CREATE)
        (path,) = tmp_path.iterdir()
        assert path.stat().st_mode & 0o7777 == 0o600
        do_all(canary, Operation.MODIFY, Operation.CHMOD)
        assert path.stat().st_mode & 0o7777 == 0o400
    finally:
        assert os.umask(old) == 0o777


def test_name_that_is_taken_is_not_touched(tmp_path: Path) -> None:
    canary = make_canary(tmp_path)
    squatter = tmp_path / os.fsdecode(canary.spot.names[0])
    squatter.write_text("mine")
    do_all(canary, *Operation)
    assert canary.problem is not None and "could not be made" in canary.problem
    (words,) = canary.remove()
    assert "no canary" in words and squatter.read_text() == "mine"


@pytest.mark.parametrize("operation", [Operation.MODIFY, Operation.CHMOD, Operation.RENAME])
def test_link_that_takes_the_canarys_place_leads_nowhere(tmp_path: Path, operation: Operation) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "watched"
    victim.write_text("precious")
    victim.chmod(0o644)
    folder.mkdir()
    canary = make_canary(folder)
    canary.do(Operation.CREATE)
    path = folder / os.fsdecode(canary.spot.names[0])
    path.unlink()
    path.symlink_to(victim)
    do_all(canary, operation, Operation.REMOVE)
    assert canary.problem is not None
    assert victim.read_text() == "precious" and victim.stat().st_mode & 0o7777 == 0o644
    (words,) = canary.remove()
    assert "stays" in words and path.is_symlink()


def test_hard_link_that_takes_the_canarys_place_is_not_written(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "watched"
    victim.write_text("precious")
    folder.mkdir()
    canary = make_canary(folder)
    canary.do(Operation.CREATE)
    path = folder / os.fsdecode(canary.spot.names[0])
    path.unlink()
    path.hardlink_to(victim)
    canary.do(Operation.MODIFY)
    assert canary.problem is not None and "another file has taken its name" in canary.problem
    assert victim.read_text() == "precious"


def test_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "watched", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    canary = make_canary(folder)
    folder.rmdir()
    folder.symlink_to(elsewhere)
    do_all(canary, *Operation)
    assert canary.problem is not None and list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("count", range(6))
def test_interrupted_canary_is_removed_from_any_state(tmp_path: Path, count: int) -> None:
    canary = make_canary(tmp_path)
    do_all(canary, *list(Operation)[:count])
    assert canary.remove() == [] and list(tmp_path.iterdir()) == []
    assert canary.gone_ns.keys() == set(canary.spot.paths)


def test_what_is_no_canary_any_more_stays(tmp_path: Path) -> None:
    canary = make_canary(tmp_path)
    canary.do(Operation.CREATE)
    (path,) = tmp_path.iterdir()
    with path.open("a") as file:
        file.write("evil")
    left = remove_left(os.fsencode(path), canary.spot.token)
    assert left.is_settled and "stays" in left.words and path.exists()


def test_missing_one_and_a_missing_folder_are_settled(tmp_path: Path) -> None:
    for path in (tmp_path / "x", tmp_path / "no" / "x"):
        assert remove_left(os.fsencode(path), TOKENS[0]) == (True, "")


def test_removed_canary_does_not_give_its_inode_number_to_another(tmp_path: Path) -> None:
    canary = make_canary(tmp_path)
    canary.do(Operation.CREATE)
    (path,) = tmp_path.iterdir()
    inode = path.stat().st_ino
    path.unlink()
    others = [tmp_path / str(number) for number in range(20)]
    for other in others:
        other.write_text("x")
    assert inode not in {other.stat().st_ino for other in others}
    canary.remove()
