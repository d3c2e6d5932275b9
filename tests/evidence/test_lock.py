"""One writer at a time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fimkit.evidence.lock import lock_state
from fimkit.model.errors import HostError

HOLDER = """
import sys, time
from fimkit.evidence.lock import lock_state
with lock_state(sys.argv[1].encode(), verb="check"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(state_dir: bytes):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, os.fsdecode(state_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_second_holder_is_told_pid_and_verb(state_dir: bytes, holder: subprocess.Popen) -> None:
    with pytest.raises(HostError, match=rf"pid {holder.pid} \(check\) is at work on "), lock_state(state_dir, verb="baseline"):
        pytest.fail("two hold it")


def test_lock_is_free_at_once_when_its_holder_is_killed(state_dir: bytes, holder: subprocess.Popen) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with lock_state(state_dir, verb="baseline"):
        assert Path(os.fsdecode(state_dir), "lock").read_text() == f"{os.getpid()} baseline\n"
    assert Path(os.fsdecode(state_dir), "lock").read_text() == ""


def test_waiting_gets_it_when_the_holder_lets_go(state_dir: bytes, holder: subprocess.Popen) -> None:
    with pytest.raises(HostError), lock_state(state_dir, 0.2):
        pytest.fail("two hold it")
    start = time.monotonic()
    holder.terminate()
    with lock_state(state_dir, 30.0):
        assert time.monotonic() - start < 30


def test_lock_is_free_after_an_error_inside(state_dir: bytes) -> None:
    with pytest.raises(ZeroDivisionError), lock_state(state_dir):
        raise ZeroDivisionError
    with lock_state(state_dir):
        pass


def test_lock_that_is_a_link_is_refused_and_its_target_left_alone(state_dir: bytes, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    os.mkdir(state_dir, 0o700)
    os.symlink(target, os.path.join(os.fsdecode(state_dir), "lock"))
    with pytest.raises(HostError, match="symbolic link"), lock_state(state_dir):
        pytest.fail("taken")
    assert target.read_text() == "precious"


def test_children_do_not_keep_the_lock(state_dir: bytes) -> None:
    with lock_state(state_dir):
        child = subprocess.Popen(["sleep", "30"])
    try:
        with lock_state(state_dir):
            pass
    finally:
        child.kill()
        child.wait()
