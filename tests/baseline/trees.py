"""What the baseline's tests share: a scan to a dictionary, and children with other rights or mounts."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from fimkit.baseline.scan import Scan, scan_watches
from fimkit.model.config import Watch
from fimkit.model.states import FileState

__all__ = ["needs_root", "run_python", "scan", "scan_tree"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def scan(watches: Iterable[Watch], known: Mapping[bytes, FileState] | None = None) -> tuple[dict[bytes, FileState], Scan]:
    """Scan; a path that came twice fails the test."""
    under_way = scan_watches(list(watches), known=known)
    rows = list(under_way)
    states = {row.path: row for row in rows}
    assert len(states) == len(rows)
    return states, under_way


def scan_tree(folder: Path) -> dict[bytes, FileState]:
    """Scan one folder; give its rows by the path below it."""
    states, _ = scan([Watch(path=os.fsencode(folder))])
    return {path[len(os.fsencode(folder)) + 1 :]: state for path, state in states.items()}


def run_python(code: str, *arguments: str, before: tuple[str, ...] = (), **how: object) -> str:
    """Run code in a child with this process's module path; give what it printed."""
    start = f"import sys; sys.path[:] = {sys.path!r}\n"
    child = subprocess.run(
        [*before, sys.executable, "-c", start + code, *arguments], capture_output=True, text=True, cwd="/", **how  # type: ignore[call-overload]
    )
    assert child.returncode == 0, child.stderr
    return str(child.stdout)
