"""What is appended to is fimkit's own file, and nobody's trap."""

import os
from pathlib import Path

import pytest

from fimkit.model.errors import HostError
from fimkit.verbs.export_outlet import FileOutlet
from fimkit.verbs.outside_file import open_appended

__all__: list[str] = []

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
NOBODY = 65534


def append(path: Path) -> None:
    with open(open_appended(os.fsencode(path)), "ab") as file:
        file.write(b"x")


def test_it_is_made_private_and_appended_to(tmp_path: Path) -> None:
    for _ in range(2):
        append(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"xx"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_links_of_both_kinds_pipes_and_folders_are_refused_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    target = tmp_path / "shadow"
    target.write_bytes(b"root:*")
    (tmp_path / "symlink").symlink_to(target)
    os.link(target, tmp_path / "hardlink")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("symlink", "hardlink", "pipe", "folder"):
        with pytest.raises(OSError, match=r"hard links|symbolic link|No such device|directory"):
            append(tmp_path / name)
        with pytest.raises(HostError, match=f"cannot write .*{name}"):
            FileOutlet(tmp_path / name)
    assert target.read_bytes() == b"root:*"


@NEEDS_ROOT
def test_a_file_of_another_user_is_refused_where_he_could_have_put_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "log").write_bytes(b"")
    os.chown(shared / "log", NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="belongs to uid 65534, in a folder where others can make files"):
        append(shared / "log")
    assert (shared / "log").read_bytes() == b""
    shared.chmod(0o755)  # given away by whoever alone can write there
    append(shared / "log")
    os.chown(shared, NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="belongs to uid 65534"):
        append(shared / "log")


def test_a_name_that_tries_to_look_like_something_else_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2Kb\n").symlink_to("/nowhere")
    with pytest.raises(HostError, match=r"a%1B\[2Kb%0A") as caught:
        FileOutlet(tmp_path / "a\x1b[2Kb\n")
    assert str(caught.value).isprintable()
