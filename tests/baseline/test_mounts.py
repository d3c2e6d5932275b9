"""What counts as another file system."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.baseline.mounts import load_mount_points, parse_mount_points

__all__: list[str] = []

ROOT = Path(__file__).parents[2]

SANDBOXED = """
import os, subprocess, sys
from fimkit.baseline.mounts import load_mount_points
from fimkit.baseline.scan import scan_watches
from fimkit.model.config import Watch
tree = sys.argv[1]
for name in ("itself", "itself/deeper"):
    subprocess.run(["mount", "--bind", f"{tree}/{name}", f"{tree}/{name}"], check=True)
subprocess.run(["mount", "--bind", f"{tree}/other", f"{tree}/covered"], check=True)
subprocess.run(["mount", "--bind", f"{tree}/itself", f"{tree}/over"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "none", f"{tree}/over"], check=True)
points = load_mount_points()
print(sorted(os.path.relpath(point, tree.encode()).decode() for point in points if point.startswith(tree.encode())))
scan = scan_watches([Watch(path=tree.encode())])
print(sorted(os.path.relpath(state.path, tree.encode()).decode() for state in scan if b"file" in state.path))
"""


def test_a_folder_mounted_on_itself_is_no_boundary(tmp_path: Path) -> None:
    for name in ("itself/deeper", "other", "covered", "over"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", SANDBOXED, tmp_path],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if "unshare" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    points, files = done.stdout.splitlines()
    assert points == "['covered', 'over']"
    assert files == "['itself/deeper/file', 'other/file']"


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b"2 1 8:1 /var/lib/x /var/lib/x rw - ext4 d rw", False),
        (b"2 1 8:1 /var/lib/y /var/lib/x rw - ext4 d rw", True),
        (b"2 1 8:2 /var/lib/x /var/lib/x rw - ext4 d rw", True),
        (b"2 9 8:1 /var/lib/x /var/lib/x rw - ext4 d rw", True),  # what it is mounted on is not known
        (b"2 1 8:1 / /var/lib/x rw - ext4 d rw", True),
    ],
)
def test_what_lies_there_decides(line: bytes, counts: bool) -> None:
    found = parse_mount_points(b"1 0 8:1 / / rw - ext4 d rw\n" + line + b"\n")
    assert found == ({b"/", b"/var/lib/x"} if counts else {b"/"})


def test_below_a_mounted_subtree_the_roots_are_compared() -> None:
    text = b"1 0 8:1 / / rw - ext4 d rw\n5 1 8:1 /srv/www /var/www rw - ext4 d rw\n6 5 8:1 /srv/www/a /var/www/a ro - ext4 d rw\n"
    assert parse_mount_points(text) == {b"/", b"/var/www"}


def test_without_proc_there_are_none(tmp_path: Path) -> None:
    assert load_mount_points(tmp_path / "none") == frozenset()
    assert os.fsencode("/proc") in load_mount_points()
