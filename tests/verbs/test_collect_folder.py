"""What a killed collection has left goes with the next one; what is somebody's, is held or is a link stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fimkit.verbs.collect_folder import clear_left_folders, working_folder
from tests.checked_host import make_checked_host

__all__: list[str] = []


def left(place: Path, name: str = ".web01.abcd1234", *files: str, mode: int = 0o700) -> Path:
    folder = place / name
    folder.mkdir(mode=mode)
    folder.chmod(mode)
    for file in files:
        (folder / file).write_text("x")
    return folder


def test_a_dead_runs_folder_goes_and_it_is_said(tmp_path: Path) -> None:
    folders = [
        left(tmp_path), left(tmp_path, ".db.tar.zst.abcd_123", "audit.log.1", "after.jsonl.zst", "db.tar.zst"),
    ]  # fmt: skip
    words = clear_left_folders(tmp_path / "web01")
    assert words == [f"{folder}, which a run that was killed had left, was taken away" for folder in sorted(folders)]
    assert list(tmp_path.iterdir()) == []
    assert clear_left_folders(tmp_path / "no-such/web01") == []


def test_what_is_not_surely_a_dead_runs_stays(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    real = left(tmp_path, "real", "after.jsonl.zst")
    (place / ".web01.linklink").symlink_to(real)
    left(place, ".web01.abcd0001", "after.jsonl.zst", "mine.txt")
    left(place, ".web01.abcd0002", "after.jsonl.zst", mode=0o755)
    left(place, ".web01.abcd00003", "after.jsonl.zst")
    left(place, ".else.abcd0004")
    (left(place, ".web01.abcd0005") / "audit.log").symlink_to("/etc/hostname")
    (left(place, ".web01.abcd0006") / "audit.log").mkdir()
    (place / ".web01.abcd0007").write_text("x")
    if os.geteuid() == 0:
        os.chown(left(place, ".web01.abcd0008", "after.jsonl.zst"), 65534, 65534)
    before = sorted(place.rglob("*"))
    with working_folder(place / "web01") as held:
        (held / "after.jsonl.zst").write_text("x")
        assert clear_left_folders(place / "web01") == []
        assert sorted(place.rglob("*")) == sorted([*before, held, held / "after.jsonl.zst"])
    assert sorted(place.rglob("*")) == before and (real / "after.jsonl.zst").exists()


def test_a_run_that_is_killed_leaves_what_the_next_one_takes_away(tmp_path: Path) -> None:
    host = make_checked_host(tmp_path, *(f"f{number}" for number in range(50)))
    place = tmp_path / "place"
    place.mkdir()
    code = "import os, signal, sys; from fimkit.verbs import collect; from fimkit.cli import main\n"
    code += "def stop(*_): os.kill(os.getpid(), signal.SIGSTOP)\ncollect._look = stop\nsys.exit(main())"
    command = [sys.executable, "-c", code, "--config", str(host.config), "collect", "--output", str(place / "web01.tar.zst")]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not any(place.glob(".*/findings.jsonl")) and time.monotonic() < until:
            time.sleep(0.02)
        (folder,) = place.iterdir()
        assert host.run("collect", "--output", place / "other").returncode == 0
        assert folder.exists()  # stopped, it holds its folder
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = host.run("collect", "--output", place / "web01.tar.zst")
    assert done.returncode == 0
    assert f"{folder.name}, which a run that was killed had left, was taken away" in done.stderr
    assert sorted(path.name for path in place.iterdir()) == ["other", "web01.tar.zst"]


@pytest.mark.parametrize("name", ["web01", "web01.tar"])
def test_the_folder_is_private_and_goes(name: str, tmp_path: Path) -> None:
    with working_folder(tmp_path / name) as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
