"""Live: what a hostile tenant drops in a watched web root whose contents are searched: each is bounded, and each is stated."""

import contextlib
import os
import queue
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.paths import render_path
from tests.verbs.test_watch_files import Host, Watched, watching

__all__: list[str] = []

SHELL = b"<?php system($_GET['c']);\n"
NAME = (bytes([*range(1, 32), 127]) * 9)[:251] + b".php"
LARGE = 10 << 30


@pytest.fixture
def host() -> Iterator[Host]:
    folder = Path(tempfile.mkdtemp(prefix="fimkit-hostile-"))
    folder.chmod(0o755)
    host = Host(folder)
    host.config.write_text(host.config.read_text().replace('tier = "critical"', 'tier = "watch"\nscan_content = true'))
    yield host
    shutil.rmtree(folder)


def told(watched: Watched, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Give what was told last of each path, once something was told of all that are wanted."""
    rows: dict[str, dict[str, Any]] = {}
    until = time.monotonic() + 180
    while not wanted <= rows.keys():
        assert time.monotonic() < until, wanted - rows.keys()
        with contextlib.suppress(queue.Empty):
            row = watched.next(1.0)
            rows[row["path"]] = row
    return rows


def words(row: dict[str, Any]) -> str:
    return "\n".join(row["reasons"])


def drop(tree: Path) -> dict[str, str]:
    """Drop all that is no ordinary file; gives what is expected to be said, by path."""
    os.mkfifo(tree / "fifo.php")
    (tree / "loop.php").symlink_to("loop.php")
    (tree / "up").symlink_to("..")
    (tree / "out.php").symlink_to("/etc/passwd")
    said = {
        "fifo.php": "content: not searched: a fifo", "up": "content: not searched: a link to .., not followed",
        "loop.php": "content: not searched: a link to loop.php, not followed",
        "out.php": "content: not searched: a link to /etc/passwd, not followed",
    }  # fmt: skip
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):  # in a container that makes none
            os.mknod(tree / "zero.php", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
            said["zero.php"] = "content: not searched: a char"
    return {f"{tree}/{name}": text for name, text in said.items()}


def test_what_is_no_ordinary_file_is_named_and_neither_opened_nor_followed(host: Host) -> None:
    with watching(host, "--records", "files") as watched:
        said = drop(host.tree)
        with open(os.fsencode(host.tree) + b"/" + NAME, "wb") as file:
            file.write(SHELL)
        named = render_path(os.fsencode(host.tree) + b"/" + NAME)
        rows = told(watched, {*said, named})
        assert watched.stop() == 1
    for path, text in said.items():
        assert text in words(rows[path]), path
        assert "content" not in rows[path] or not rows[path]["content"]
    assert {mark["line"] for mark in rows[named]["content"]} == {1}
    assert rows[named]["verdict"] == "suspect"
    assert all(line.isprintable() for line in "".join(watched.words).splitlines())


def test_a_sparse_file_of_10_gb_is_searched_in_part_and_holds_up_nobody(host: Host) -> None:
    with watching(host, "--records", "files") as watched:
        with open(host.tree / "large.php", "wb") as file:
            file.write(SHELL)
            file.truncate(LARGE)
        (host.tree / "small.php").write_bytes(SHELL)
        rows = told(watched, {f"{host.tree}/large.php", f"{host.tree}/small.php"})
        assert watched.stop() == 1
    large, small = rows[f"{host.tree}/large.php"], rows[f"{host.tree}/small.php"]
    assert small["verdict"] == large["verdict"] == "suspect"
    assert "script_beyond_reading" in {mark["rule"] for mark in large["content"]}
    assert f"content: large: of {LARGE} bytes the first and the last {4 << 20} were read" in words(large)
    assert large["after"]["sha256"] is None and large["after"]["problem"]
    assert any(mark["line"] == 1 for mark in large["content"])  # what its head has is found


def test_a_file_that_changes_all_the_time_is_searched_and_found_by_its_last_bytes(host: Host) -> None:
    path = host.tree / "busy.php"
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            path.write_bytes(b"<?php echo %d;\n" % number + b"// and so on\n" * (number % 4000))
            number += 1
        path.write_bytes(SHELL)

    with watching(host, "--records", "files") as watched:
        writer = threading.Thread(target=write)
        writer.start()
        try:
            (host.tree / "beside.php").write_bytes(SHELL)
            rows = told(watched, {f"{host.tree}/beside.php"})
            told(watched, {str(path)})
        finally:
            stop.set()
            writer.join()
        last: dict[str, Any] = {}
        until = time.monotonic() + 120
        while not last.get("content"):
            assert time.monotonic() < until, last
            with contextlib.suppress(queue.Empty):
                row = watched.next(1.0)
                last = row if row["path"] == str(path) else last
        assert watched.stop() == 1
    assert rows[f"{host.tree}/beside.php"]["verdict"] == "suspect"
    assert last["verdict"] == "suspect"
    assert last["after"]["size"] == len(SHELL)
