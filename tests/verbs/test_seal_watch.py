"""The seal in a running watch: a row that somebody alters in the store meanwhile is told, without a look at any file."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.verbs.seal_watch import SealWatch
from tests.verbs.sealing import Sealable
from tests.verbs.test_watch_files import Host, watching

ROOT = Path(__file__).parents[2]


def until_done(watch: SealWatch) -> tuple[list[object], list[str]]:
    import time

    until = time.monotonic() + 120
    while time.monotonic() < until:
        findings, words = watch.step()
        if findings or words:
            return list(findings), words
        if watch._process is None and watch._next_s != float("inf"):
            return [], []
        time.sleep(0.05)
    raise AssertionError("the look did not come to an end")


def test_look_beside_the_watch_finds_what_a_check_finds(tmp_path: Path) -> None:
    host = Sealable(tmp_path)
    host.seal()
    with open_store(bytes(host.state)) as store:
        watch = SealWatch(host.config, store)
        assert watch.step() == ((), []) and watch._process is None  # nobody wrote, and the start has looked
        watch.note_write()
        watch.step()
        assert watch._process is not None
        assert until_done(watch) == ([], [])
        host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
        watch._free_s = 0.0
        watch.note_write()
        watch.step()
        (finding,), words = until_done(watch)
        assert finding.path == host.path("b") and words == []  # type: ignore[attr-defined]
        watch.end()


def test_host_that_was_never_sealed_starts_no_process(tmp_path: Path) -> None:
    host = Sealable(tmp_path)
    with open_store(bytes(host.state)) as store:
        watch = SealWatch(host.config, store)
        watch.note_write()
        assert watch.step() == ((), []) and watch._process is None


def test_look_that_cannot_be_begun_is_said_and_made_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Sealable(tmp_path)
    host.seal()

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with open_store(bytes(host.state)) as store:
        watch = SealWatch(host.config, store)
        watch.note_write()
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", refuse)
            words = "the look at the seal cannot be begun: Cannot allocate memory: another one is made later"
            assert watch.step() == ((), [words])
        host.sql("UPDATE baseline SET mode = 511 WHERE path = ?", host.path("b"))
        watch._next_s = 0.0
        watch.step()
        (finding,), _ = until_done(watch)
        assert finding.path == host.path("b")  # type: ignore[attr-defined]
        watch.end()


def test_running_watch_tells_of_an_altered_row(tmp_path: Path) -> None:
    import shutil
    import sqlite3
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        host = Host(folder)
        run = [*host.fimkit, "baseline"]
        if not (folder / "state" / "fimkit.sqlite").exists():
            subprocess.run([*run, "create"], check=True, capture_output=True, cwd=ROOT)
        subprocess.run([*run, "keygen", "--output", str(folder / "key")], check=True, capture_output=True, cwd=ROOT)
        subprocess.run([*run, "seal", "--key", str(folder / "key")], check=True, capture_output=True, cwd=ROOT)
        with watching(host, "--records", "files") as watched:
            connection = sqlite3.connect(folder / "state" / "fimkit.sqlite")
            with connection:
                connection.execute("UPDATE baseline SET uid = 4711 WHERE path = ?", (bytes(host.tree),))
            connection.close()
            found = watched.next(120)
            while found["kind"] != "tampered":
                found = watched.next(120)
            assert found["path"] == str(host.tree) and found["severity"] == "critical"
            assert any("uid was" in words for words in found["reasons"])
            assert watched.stop() in (0, 1, -signal.SIGTERM)
    finally:
        shutil.rmtree(folder)
    assert sys.executable
