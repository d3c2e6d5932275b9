"""What is written beside its place: its own while its maker lives, nobody's afterwards."""

import os
import signal
from pathlib import Path

import pytest

from fimkit.model.beside import make_beside, put_new


def test_what_a_killed_process_left_is_cleared_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    place = os.fspath(tmp_path / "out.json")
    held, beside = make_beside(place)
    child = os.fork()
    if child == 0:
        os.write(make_beside(place)[0], b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 2
    number, again = make_beside(place)
    assert {os.fspath(path) for path in tmp_path.iterdir()} == {beside, again}
    for one in (held, number):
        assert os.fstat(one).st_mode & 0o777 == 0o600
        os.close(one)


def test_what_is_not_its_own_is_left_alone(tmp_path: Path) -> None:
    others = (".fimkit-out-abcdefgh", ".fimkit-out.json-short", ".fimkit-out.json-abcdefgh.bak", ".fimkit-out.json-UPPERCAS")
    for name in others:
        (tmp_path / name).write_text("x")
    (tmp_path / ".fimkit-out.json-folders_").mkdir()
    (tmp_path / ".fimkit-out.json-link_____").symlink_to(tmp_path / others[0])
    before = {path.name for path in tmp_path.iterdir()}
    number, beside = make_beside(os.fspath(tmp_path / "out.json"))
    os.close(number)
    assert {path.name for path in tmp_path.iterdir()} == before | {os.path.basename(beside)}


def test_a_name_as_long_as_can_be_and_one_that_is_no_text_are_taken(tmp_path: Path) -> None:
    for name in (b"n" * 255, b"\xff\xfe\xc3" * 80):
        number, beside = make_beside(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
        os.close(number)
        os.unlink(beside)


def test_a_new_name_is_given_once(tmp_path: Path) -> None:
    first, second, place = (os.fspath(tmp_path / name) for name in ("first", "second", "place"))
    for name in (first, second):
        Path(name).write_text(name)
    put_new(first, place)
    with pytest.raises(FileExistsError):
        put_new(second, place)
    assert Path(place).read_text() == first and Path(second).read_text() == second and not os.path.exists(first)
    assert os.stat(place).st_nlink == 1
