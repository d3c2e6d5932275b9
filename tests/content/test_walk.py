"""Walking a tree that somebody rearranges meanwhile: nothing outside it is ever opened."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from fimkit.content.reader import OpenContent, Unread, open_content
from fimkit.content.walk import open_trees

__all__: list[str] = []

ROOT = Path(__file__).parents[2]


def take(contents: Iterable[OpenContent | Unread], tree: Path) -> dict[str, str]:
    """What each is: its bytes, or why it is not read."""
    found = {}
    for content in contents:
        name = os.fsdecode(content.path).removeprefix(f"{tree}/")
        assert name not in found
        found[name] = content.reason if isinstance(content, Unread) else os.pread(content.file, 100, 0).decode()
        if isinstance(content, OpenContent):
            os.close(content.file)
    return found


def walk(*paths: Path) -> dict[str, str]:
    return take(open_trees([os.fsencode(path) for path in paths]), paths[0])


def test_every_file_is_opened_once_however_paths_overlap(tree: Path) -> None:
    (tree / "a/b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tree / name).write_text(name)
    assert walk(tree, tree / "a", tree) == {name: name for name in ("one", "a/two", "a/b/three")}


def test_a_folder_replaced_by_a_link_during_the_walk_leads_nowhere(tree: Path) -> None:
    outside = tree / "outside"
    inside = tree / "inside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (inside / "deep/er").mkdir(parents=True)
    (inside / "deep/er/x").write_text("x")
    (inside / "first").write_text("first")
    walking = open_trees([os.fsencode(inside)])
    first = next(walking)
    assert first.path == os.fsencode(inside / "first")
    (inside / "deep").rename(inside / "gone")
    (inside / "deep").symlink_to(outside)
    found = take([first, *walking], inside)
    assert found == {"first": "first", "deep": "a folder that became something else meanwhile: not followed"}


@pytest.mark.parametrize("name", ["link", "loop", "gone"])
def test_a_link_below_is_never_followed(tree: Path, name: str) -> None:
    (tree / "link").symlink_to("/etc")
    (tree / "loop").symlink_to(".")
    (tree / "gone").symlink_to("nowhere")
    assert walk(tree)[name] == "a link, not followed"


def test_a_link_that_is_named_is_followed(tree: Path) -> None:
    (tree / "real").mkdir()
    (tree / "real/file").write_text("x")
    (tree / "link").symlink_to("real")
    (tree / "direct").symlink_to("real/file")
    assert walk(tree / "link") == {"file": "x"}
    assert take(open_trees([os.fsencode(tree / "direct")]), tree) == {"direct": "x"}


def test_a_path_that_is_not_there_or_no_file_is_said(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    found = take(open_trees([os.fsencode(tree / "none"), os.fsencode(tree / "fifo")]), tree)
    assert found == {"none": "cannot be opened: No such file or directory", "fifo": "a fifo"}


def test_a_tree_deeper_than_any_path_may_be_is_walked_to_its_end(tree: Path) -> None:
    here = os.open(tree, os.O_RDONLY)
    name = "n" * 200
    for _ in range(60):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here), "w") as file:
        file.write("bottom")
    os.close(here)
    try:
        assert list(walk(tree).values()) == ["bottom"]
    finally:
        subprocess.run(["rm", "-rf", tree / name], check=True)


UNREADABLE = """
import json, os, sys
sys.path.insert(0, sys.argv[2])
from fimkit.content.walk import open_trees
found = open_trees([sys.argv[1].encode()])
print(json.dumps({os.path.basename(one.path).decode(): getattr(one, "reason", "open") for one in found}))
"""


def test_what_may_not_be_read_is_named(tree: Path) -> None:
    for name in ("file", "closed/inner"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("x")
    (tree / "open").write_text("x")
    (tree / "file").chmod(0)
    (tree / "closed").chmod(0)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [sys.executable, "-c", UNREADABLE, str(tree), str(ROOT)], capture_output=True, text=True, check=False, cwd="/", **user
    )  # type: ignore[call-overload]
    (tree / "closed").chmod(0o700)
    if "PermissionError" in done.stderr and "fimkit" in done.stderr:
        pytest.skip("another user may not read this checkout")
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "open": "open",
        "file": "cannot be opened: Permission denied",
        "closed": "a folder that cannot be opened: Permission denied",
    }


@pytest.mark.parametrize("path", ["sub/link/passwd", "link", "sub/../../etc/passwd"])
def test_no_path_leads_out_of_its_tree(tree: Path, path: str) -> None:
    (tree / "sub").mkdir()
    (tree / "sub/link").symlink_to("/etc")
    (tree / "link").symlink_to("/etc/passwd")
    content = open_content(os.fsencode(f"{tree}/{path}"), os.fsencode(tree))
    assert isinstance(content, Unread)
    assert content.reason in ("a link, not followed", "a folder on the way to it is a link now, not followed")


@pytest.mark.parametrize("path", ["/etc/passwd", "/nowhere"])
def test_a_path_beside_the_tree_is_not_opened(tree: Path, path: str) -> None:
    assert open_content(path.encode(), os.fsencode(tree)) == Unread(path.encode(), "not below the tree that it was said to be in")


def test_a_file_of_a_tree_is_opened(tree: Path) -> None:
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/c").write_text("x")
    assert take([open_content(os.fsencode(tree / "a/b/c"), os.fsencode(tree))], tree) == {"a/b/c": "x"}
