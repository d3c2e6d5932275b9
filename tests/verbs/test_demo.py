"""The demonstration: all eight are found and named, nothing stays behind, and a host that refuses gets the recorded sample."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import pytest

from fimkit.audit.kernel import AuditKernel
from fimkit.model.findings import Attribution
from fimkit.verbs.demo import demonstrate, missing_steps
from fimkit.verbs.demo_steps import STEPS
from tests.live import audit_lock, why_not_live

COMMAND = [sys.executable, "-m", "fimkit", "demo"]


def leftovers() -> tuple[list[bytes], int, list[str]]:
    with AuditKernel() as kernel:
        return kernel.rules(), kernel.status().enabled, sorted(Path(tempfile.gettempdir()).glob("fimkit-demo-*"))  # type: ignore[return-value]


@pytest.mark.skipif(why_not_live() is not None, reason=str(why_not_live()))
def test_all_eight_are_found_and_attributed_and_nothing_stays_behind(tmp_path: Path) -> None:
    with audit_lock():
        before = leftovers()
        done = demonstrate(keep=tmp_path / "kept")
        assert leftovers() == before
    assert (done.refused, done.missing) == (None, ())
    assert len(done.found.findings) == len(STEPS)
    assert {finding.attribution for finding in done.found.findings} == {Attribution.EXACT}
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"fimkit.toml", "baseline.jsonl", "after.jsonl", "audit.log"}


@pytest.mark.skipif(why_not_live() is not None, reason=str(why_not_live()))
@pytest.mark.parametrize(("number", "pause_s"), [(signal.SIGINT, 0.7), (signal.SIGTERM, 1.2), (signal.SIGHUP, 1.8)])
def test_an_interrupted_demonstration_leaves_nothing_behind(number: int, pause_s: float) -> None:
    with audit_lock():
        before, in_time = leftovers(), False
        while not in_time:  # a quick machine may be done before the signal: then earlier
            child = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(pause_s)
            in_time = child.poll() is None
            child.send_signal(number)
            child.communicate(timeout=30)
            in_time, pause_s = in_time and child.returncode != 0, pause_s / 2
            assert leftovers() == before
            assert pause_s > 0.01, "no signal ever ended it"
    assert child.returncode not in (0, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_host_that_refuses_gets_the_recorded_sample_and_is_told_so(tmp_path: Path) -> None:
    # in a user namespace of its own even root has no right to the kernel's audit
    done = subprocess.run(
        ["unshare", "-U", *COMMAND], capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": "/tmp"}
    )
    if "Operation not permitted" in done.stderr and not done.stdout:
        pytest.skip("no user namespaces here")
    assert done.returncode == 0, done.stderr
    assert "this host refuses" in done.stderr
    assert "recorded sample" in done.stderr
    assert "sbin/login" in done.stdout


def test_the_recorded_sample_shows_every_step() -> None:
    from fimkit.verbs.demo import _judge

    with resources.as_file(resources.files("fimkit.testing") / "demo_sample") as folder:
        found = _judge(folder)
    assert missing_steps(found.findings) == ()
    assert found.problems == ()
