"""A single look sees what a scan sees."""

import os
import socket
from pathlib import Path

import pytest

from fimkit.baseline.problems import UNHASHED
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
from fimkit.verbs.look import Looker


def test_single_looks_give_what_the_scan_gives(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "to-folder").symlink_to("folder")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / os.fsdecode(b"odd\xff\n")).write_text("y")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        scanned = {state.path: state for state in scan_watches([Watch(path=os.fsencode(tmp_path))])}
        looker = Looker()
        assert len(scanned) == 8
        assert {path: looker.look(path) for path in scanned} == scanned


@pytest.mark.parametrize("name", ["nothing", "file/below"])
def test_nothing_is_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    assert Looker().look(os.fsencode(tmp_path / name)) is None


def test_what_cannot_be_looked_at_says_why() -> None:
    state = Looker().look(b"/" + b"x" * 300)
    assert state is not None
    assert "File name too long" in (state.problem or "")


def test_a_sparse_file_of_16_tb_is_looked_at_at_once_and_says_why_it_has_no_hash(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(b"<?php")
        try:
            file.truncate(16 * 10**12)
        except OSError as error:
            pytest.skip(f"no such large file here: {error.strerror}")
    state = Looker().look(os.fsencode(path))
    assert state is not None and (state.size, state.sha256) == (16 * 10**12, None)
    assert state.problem is not None and state.problem.startswith("a sparse file, ") and state.problem.endswith("not hashed")


def test_a_file_that_takes_longer_than_it_may_has_no_hash_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * (1 << 20))
    state = Looker(hash_s=0.0).look(os.fsencode(path))
    assert state is not None and state.sha256 is None and state.problem == UNHASHED
    assert Looker().look(os.fsencode(path)) != state
