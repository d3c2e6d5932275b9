"""Who may read the store and nothing else is told what is closed to him, and not that something is missing or broken."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.verbs.check import CheckOptions, check
from tests.verbs.sealing import Sealable

__all__: list[str] = []

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")

ROOT = Path(__file__).parents[2]
GROUP, MEMBER = 64_123, 64_124
RUN = """
import os, sys
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[2]))
from fimkit.cli import main
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def host() -> Iterator[Sealable]:
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    host = Sealable(folder)
    (folder / "fimkit.toml").write_text(
        f'[host]\nname = "web01"\nstate_dir = "{host.state}"\n[seal]\npublic_key = "{host.public}"\n'
        f'[sources]\naudit_log = "/nowhere/a"\npackage_root = ""\n[[paths]]\npath = "{host.tree}"\ntier = "critical"\n'
    )
    yield host
    shutil.rmtree(folder)


def share(host: Sealable) -> None:
    os.chown(host.state, 0, GROUP)
    host.state.chmod(0o750)
    check(host.config, CheckOptions())


def run(host: Sealable, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, str(GROUP), str(MEMBER), "--config", str(host.folder / "fimkit.toml"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


def test_a_seal_that_is_closed_to_a_reader_is_not_called_broken(host: Sealable) -> None:
    host.seal()
    share(host)
    done = run(host, "baseline", "verify")
    assert (done.returncode, done.stdout) == (3, "") and "this user may not read the seal" in done.stderr
    said = run(host, "doctor", "--json").stdout
    assert "seal-broken" not in said and "this user may not read the seal" in said


def test_a_seal_that_was_taken_when_the_folder_was_shared_is_verified_by_a_reader(host: Sealable) -> None:
    share(host)
    assert run(host, "baseline", "verify").returncode == 2
    host.seal()
    assert run(host, "baseline", "verify").returncode == 0


def test_the_numbers_of_a_watch_that_are_closed_to_a_reader_are_not_called_absent(host: Sealable) -> None:
    share(host)
    assert run(host, "watch", "--status").returncode == 2
    (host.state / "watch.json").touch(0o600)
    done = run(host, "watch", "--status")
    assert done.returncode == 3 and "this user may not read" in done.stderr
