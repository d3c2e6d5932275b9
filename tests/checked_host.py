"""A small host for tests of `check`: a watched tree, an audit log that the test writes, and fimkit run as cron would run it."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.auditlog import AuditLog

__all__ = ["CheckedHost", "Outcome", "make_checked_host"]

_CONFIG = """\
[host]
name = "web01"
state_dir = "{base}/state"
report_file = "{report}"

[sources]
audit_log = "{base}/log/audit.log"
osquery_log = "{base}/log/osqueryd.results.log"

[[paths]]
path = "{base}/tree"
tier = "{tier}"
{more}
"""


@dataclass(frozen=True)
class Outcome:
    """What a run of `check --json` gave."""

    status: int
    findings: list[dict[str, Any]]
    words: str

    @property
    def kinds(self) -> dict[str, str]:
        """Kinds by the last part of the path."""
        return {finding["path"].rpartition("/")[2]: finding["kind"] for finding in self.findings}

    @property
    def ids(self) -> list[str]:
        return [finding["id"] for finding in self.findings]

    @property
    def pids(self) -> list[int]:
        """The actors of the only finding."""
        (finding,) = self.findings
        return [actor["pid"] for actor in finding["actors"]]

    def of(self, name: str) -> dict[str, Any]:
        """Give the only finding of a path, by its last part."""
        (finding,) = [finding for finding in self.findings if finding["path"].rpartition("/")[2] == name]
        return finding


@dataclass
class CheckedHost:
    """One host below one folder; ``log`` is its audit log."""

    base: Path
    log: AuditLog
    config_file: Path | None = None

    @property
    def tree(self) -> Path:
        return self.base / "tree"

    @property
    def config(self) -> Path:
        return self.config_file or self.base / "fimkit.toml"

    @property
    def state(self) -> Path:
        return Path(tomllib.loads(self.config.read_text())["host"]["state_dir"])

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "fimkit", "--config", str(self.config)]

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own."""
        return subprocess.run(
            [*self.command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, **options
        )

    def check(self, *arguments: str | Path) -> Outcome:
        """Run `check --json`; every line that it prints must be an object."""
        done = self.run("check", "--json", *arguments)
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)

    def accept(self, *paths: Path, why: str = "it was planned") -> None:
        """Accept what is open, as a person would."""
        done = self.run("baseline", "accept", "--reason", why, "--yes", *paths)
        assert done.returncode == 0, done.stderr

    def put(self, name: str, text: str = "old\n") -> Path:
        """Make a file of the tree that no record tells of."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def configure(self, *, tier: str = "critical", report: str = "", more: Iterable[str] = ()) -> None:
        """Write the configuration."""
        self.config.write_text(_CONFIG.format(base=self.base, tier=tier, report=report, more="\n".join(more)))


def make_checked_host(folder: Path, *names: str, tier: str = "critical", report: str = "", more: Iterable[str] = ()) -> CheckedHost:
    """Make a tree of some files, an empty log, and a baseline."""
    base = Path(os.path.realpath(folder)) / "host"
    for name in ("tree", "log"):
        (base / name).mkdir(parents=True)
    host = CheckedHost(base, AuditLog(base / "log" / "audit.log"))
    for name in names:
        host.put(name)
    host.configure(tier=tier, report=report, more=more)
    done = host.run("baseline", "create", "--reason", "first")
    assert done.returncode == 0, done.stderr
    return host
