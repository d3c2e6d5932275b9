"""Patterns of ``file_paths`` on a tree, and excludes."""

import os
from pathlib import Path

import pytest

from fimkit.testing.osqueryd.patterns import Excludes, watched_by


@pytest.mark.parametrize(
    ("pattern", "paths", "recursive"),
    [
        ("/%%", [""], True),
        ("/%", [""], False),
        ("/", [""], False),
        ("", [""], False),
        ("/a/%.conf", ["a"], False),
        ("/%/.ssh/%%", ["a/.ssh", "b/.ssh"], True),
        ("/a/file", ["a/file"], False),
    ],
)
def test_a_pattern_watches_folders_and_files(tmp_path: Path, pattern: str, paths: list[str], recursive: bool) -> None:
    for folder in ("a/.ssh", "b/.ssh", "c"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    watched = watched_by(f"{tmp_path}{pattern}")
    expected = [os.fsencode(tmp_path / path) + (b"/" if (tmp_path / path).is_dir() else b"") for path in paths]
    assert (list(watched.paths), watched.recursive, watched.problem) == (expected, recursive, None)


def test_what_is_not_there_and_what_is_invalid_is_a_problem(tmp_path: Path) -> None:
    assert watched_by(f"{tmp_path}/none/%%").problem == f"Failed to do stat on: {tmp_path}/none/"
    assert "valid at the end only" in (watched_by(f"{tmp_path}/%%/x").problem or "")


def test_an_excluded_folder_covers_the_files_right_in_it() -> None:
    excludes = Excludes(["/a/folder"])
    assert b"/a/folder/file" in excludes and b"/a/folder/deeper/file" not in excludes
