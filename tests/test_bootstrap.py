"""The set-up script: what it says and refuses, and that a ready place is used at once, in silence.

The whole set-up needs a machine to change; here it runs against programs of our own, on a copy with a space in its path.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
USER = 65534
# When one of these changes, the place is set up anew.
KEYED = (
    "bootstrap", "pyproject.toml", "fimkit/audit/_blocks.c", "fimkit/baseline/_plain.c", "fimkit/evidence/_rows.c",
    "requirements.lock",
)  # fmt: skip
MISSING = ROOT / ".venv/.missing-run"


def bootstrap(copy: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([copy / "bootstrap", *words], capture_output=True, text=True, check=False, cwd="/", env=os.environ | more)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    (folder / "benchmarks").mkdir(parents=True)
    (folder / "fimkit/audit").mkdir(parents=True)
    (folder / "fimkit/baseline").mkdir()
    (folder / "fimkit/evidence").mkdir()
    for name in KEYED:
        shutil.copy2(ROOT / name, folder / name)
    (folder / "benchmarks/one").touch()
    shutil.copytree(ROOT / "units", folder / "units")
    return folder


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_without_a_command_it_says_what_it_takes(words: list[str], copy: Path) -> None:
    done = bootstrap(copy, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Sets this machine up for fimkit")
    assert "./bootstrap test" in done.stderr


def test_an_unknown_benchmark_is_usage_and_the_known_are_named(copy: Path) -> None:
    done = bootstrap(copy, "bench", "two")
    assert done.returncode == 2
    assert done.stderr == "bootstrap: no such benchmark: two; there are: one\n"


@pytest.mark.skipif(os.environ.get("FIMKIT_VENV") is not None, reason="this checkout's place is another one than .venv")
@pytest.mark.skipif(not MISSING.exists() or MISSING.read_text() != "\n", reason="not set up, wholly, by ./bootstrap")
def test_a_ready_place_is_used_at_once_and_in_silence() -> None:
    best = 9.0
    for _ in range(3):
        start = time.monotonic()
        done = bootstrap(ROOT, "sh", "-c", 'echo "$VIRTUAL_ENV" && command -v fimkit && exit 7')
        best = min(best, time.monotonic() - start)
        assert (done.returncode, done.stderr) == (7, "")
        assert done.stdout.splitlines() == [f"{ROOT}/.venv", f"{ROOT}/.venv/bin/fimkit"]
    assert best < 0.3


@pytest.fixture
def users_copy(copy: Path) -> Iterator[Path]:
    """A set-up place that a user without rights owns, where that user can reach it; a package was missing there."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(shutil.copytree(copy, Path(folder) / "a folder"))
        subprocess.run(["/usr/bin/python3", "-I", "-m", "venv", "--without-pip", place / ".venv"], check=True)
        program(place / ".venv/bin", "fimkit", "exit 0")
        key = subprocess.run(
            ["sh", "-c", f'{{ cat {" ".join(KEYED)} && readlink -f /usr/bin/python3 && echo "$PWD"; }} | cksum'],
            cwd=place, check=True, capture_output=True,
        ).stdout  # fmt: skip
        (place / ".venv/.ready-run").write_bytes(key)
        (place / ".venv/.missing-run").write_text("python3-audit\n")
        program(place / "programs", "dpkg-query", 'test "$3" != python3-audit && echo installed')
        program(place / "programs", "apt-get", f"touch '{place}/called'")
        for path in [place, *place.rglob("*")]:
            os.chown(path, USER, USER, follow_symlinks=False)
        yield place


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv, to run it as a user without rights")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="asks Debian's packages")
def test_without_root_the_missing_package_is_named_and_the_command_runs(users_copy: Path) -> None:
    done = subprocess.run(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", users_copy / "bootstrap", "echo", "ran"],
        capture_output=True, text=True, check=False, env=os.environ | {"PATH": f"{users_copy}/programs:{os.environ['PATH']}"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "ran\n")
    remedy = "apt-get install --no-install-recommends python3-audit"
    assert done.stderr == f"bootstrap: not here: python3-audit; what needs them says so; as root: {remedy}\n"
    assert not (users_copy / "called").exists()


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv, to run it as a user without rights")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_checkout_that_the_user_cannot_write_is_refused(users_copy: Path) -> None:
    (users_copy / ".venv/.ready-run").unlink()
    os.chown(users_copy, 0, 0)
    done = subprocess.run(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", users_copy / "bootstrap", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == f"bootstrap: {users_copy} cannot be written: run this as its owner, or as root\n"
