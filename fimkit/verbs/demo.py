"""A tampering on a throw-away tree under this kernel's real audit, found and attributed; nothing of it stays behind."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fimkit.audit.kernel import AuditKernel
from fimkit.audit.multicast import MulticastReader
from fimkit.audit.rules import plan_rules
from fimkit.baseline.scan import scan_watches
from fimkit.baseline.snapshot import write_snapshot
from fimkit.model.config import Config
from fimkit.model.config_text import load_foreign_config
from fimkit.model.errors import HostError
from fimkit.model.findings import Finding
from fimkit.verbs.demo_steps import STEPS, Step, make_tree, render_demo_config, run_step
from fimkit.verbs.investigate import Investigation, investigate
from fimkit.verbs.kernel_rules import apply_kernel_plan, list_rules, plan_kernel, undo_kernel_plan
from fimkit.verbs.place import list_mounts, look_at
from fimkit.verbs.stopping import stopped_cleanly

__all__ = ["Demonstration", "demonstrate", "missing_steps"]

_IMMUTABLE = 2
_QUIET_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What was found; ``refused`` says why it was the recorded sample and not this kernel; ``missing`` what was not found."""

    found: Investigation
    refused: str | None
    missing: tuple[Step, ...]


def demonstrate(*, keep: Path | None = None, tell: Callable[[str], None] = lambda words: None) -> Demonstration:
    """Tamper with a tree of our own and find out who did it.

    Args:
        keep: A folder that the snapshots, the records and the configuration are copied to, for ``fimkit investigate``.
        tell: Given words on what is being done.

    Raises:
        HostError: If ``keep`` cannot be written.
    """
    with stopped_cleanly(), tempfile.TemporaryDirectory(prefix="fimkit-demo-") as folder:
        place = Path(os.path.realpath(folder))
        place.chmod(0o711)  # the children of other users pass through
        refused = None
        try:
            _stage(place, tell)
            records = place
        except HostError as error:
            refused = str(error)
            tell(f"this host refuses: {refused}")
            tell("so this is the recorded sample, made on another machine in the same way")
            records = Path(str(resources.files("fimkit.testing") / "demo_sample"))
        found = _judge(records)
        if keep is not None:
            _copy(records, keep)
    return Demonstration(found=found, refused=refused, missing=missing_steps(found.findings))


def missing_steps(findings: tuple[Finding, ...]) -> tuple[Step, ...]:
    """Tell which tamperings have no finding of the right kind with an actor."""
    seen = {(finding.path.rpartition(b"/tree/")[2], finding.kind.value) for finding in findings if finding.actors}
    return tuple(step for step in STEPS if (os.fsencode(step.path), step.kind) not in seen)


def _stage(place: Path, tell: Callable[[str], None]) -> None:
    tree = place / "tree"
    make_tree(tree)
    (place / "fimkit.toml").write_text(render_demo_config(tree, os.uname().nodename))
    config = load_foreign_config(place / "fimkit.toml")
    with _recording(config, place / "audit.log") as collect:
        write_snapshot(place / "baseline.jsonl", scan_watches(config.paths))
        time.sleep(0.02)  # the clock of records is coarse: nothing of ours may look older than the baseline
        for number, step in enumerate(STEPS, 1):
            who = "nobody's login" if step.auid is None else f"login {step.auid}"
            tell(f"{number}. {step.words}: {' '.join(step.argv)} ({who}, uid {step.uid})")
            run_step(step, tree)
            collect()
        time.sleep(_QUIET_S)
        collect()
        write_snapshot(place / "after.jsonl", scan_watches(config.paths))


@contextlib.contextmanager
def _recording(config: Config, log: Path) -> Iterator[Callable[[], None]]:
    """Record what happens on the watched paths into a log; the kernel's rules and switches are as before afterwards."""
    plan = plan_rules(config.paths, look_at, mounts=list_mounts(), machine=os.uname().machine)
    with AuditKernel() as kernel, MulticastReader() as reader, log.open("wb") as file:
        status = kernel.status()
        if status.enabled == _IMMUTABLE:
            raise HostError("the audit rules of this kernel are locked until the next boot (-e 2)")
        todo = plan_kernel(plan.rules, list_rules(kernel), [])
        try:
            apply_kernel_plan(kernel, todo)
            if not status.enabled:
                kernel.enable()

            def collect() -> None:
                for line in reader.lines(_QUIET_S):
                    file.write(line + b"\n")
                file.flush()

            yield collect
        finally:
            try:
                undo_kernel_plan(kernel, todo)
            finally:
                if not status.enabled:
                    kernel.disable()


def _judge(place: Path) -> Investigation:
    config = load_foreign_config(place / "fimkit.toml")
    return investigate(config, baseline=place / "baseline.jsonl", after=place / "after.jsonl", audit_logs=[place / "audit.log"])


def _copy(place: Path, keep: Path) -> None:
    try:
        keep.mkdir(parents=True, exist_ok=True)
        for name in ("fimkit.toml", "baseline.jsonl", "after.jsonl", "audit.log"):
            shutil.copyfile(place / name, keep / name)
    except OSError as error:
        raise HostError(f"{keep}: {error.strerror}") from error
