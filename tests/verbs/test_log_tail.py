"""Reading from the end of a log gives what comes later, and nothing else."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.audit.logfile import load_lines
from fimkit.verbs.log_tail import find_end


def test_later_lines_alone_are_read_and_a_half_one_when_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\nthr")
    cursor = find_end(log)
    with log.open("ab") as file:
        file.write(b"ee\nfour\n")
    assert [line for line, _, _ in load_lines([log], cursor=cursor, live=True)] == [b"three", b"four"]


def test_log_that_rotates_is_followed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n")
    cursor = find_end(log)
    with log.open("ab") as file:
        file.write(b"two\n")
    log.rename(tmp_path / "log.1")
    log.write_bytes(b"three\n")
    assert [line for line, _, _ in load_lines([tmp_path / "log.1", log], cursor=cursor, live=True)] == [b"two", b"three"]


@pytest.mark.parametrize("content", [None, b"", b"no line yet"])
def test_log_without_a_line_has_no_end(tmp_path: Path, content: bytes | None) -> None:
    log = tmp_path / "log"
    if content is not None:
        log.write_bytes(content)
    assert find_end(log) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\n")
    log.chmod(0)
    with pytest.raises(OSError):
        find_end(log)


@given(old=st.binary(max_size=200), new=st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=5))
def test_nothing_is_lost_behind_any_content(tmp_path_factory: pytest.TempPathFactory, old: bytes, new: list[bytes]) -> None:
    log = tmp_path_factory.mktemp("tail") / "log"
    log.write_bytes(old + b"\n")
    cursor = find_end(log)
    with log.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in new))
    assert [line for line, _, _ in load_lines([log], cursor=cursor, live=True)] == new
