"""What a path is on a host."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fimkit.verbs.place import list_mounts, look_at, process_name


def test_link_is_followed_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "one").symlink_to("real")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    facts = look_at(os.fsencode(tmp_path / "two"))
    assert facts.real == os.fsencode(tmp_path / "real") and facts.is_link and facts.is_folder


def test_link_below_a_root_stays_below_it(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "sbin").symlink_to("/usr/sbin")
    (tmp_path / "up").symlink_to("../../../../usr")
    root = os.fsencode(tmp_path)
    assert look_at(b"/sbin/x", root)[:4] == (b"/usr/sbin/x", False, False, True)
    assert look_at(b"/up", root).real == b"/usr"


def test_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert not look_at(os.fsencode(tmp_path / "a")).is_folder


def test_missing_path_tells_whether_its_folder_is_there(tmp_path: Path) -> None:
    near, far = (look_at(os.fsencode(tmp_path / name)) for name in ("none", "no/where"))
    assert (near.exists, near.parent_exists, far.parent_exists) == (False, True, False)


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), max_size=8))
def test_path_without_links_resolves_as_the_system_does(parts: list[str]) -> None:
    path = os.fsencode("/nowhere-at-all/" + "/".join(parts))
    assert look_at(path).real == os.path.normpath(path)


def test_mount_points_have_their_spaces_back(tmp_path: Path) -> None:
    file = tmp_path / "mountinfo"
    file.write_bytes(b"36 35 98:0 / /mnt/a\\040b rw,noatime shared:1 - ext4 /dev/x rw\n\nshort line\n")
    assert list_mounts(file) == [b"/mnt/a b"]
    assert b"/" in list_mounts()
    assert list_mounts(tmp_path / "none") == []


def test_name_of_a_process() -> None:
    assert process_name(os.getpid()) and process_name(2**22 + 1) is None
