"""A host of some watched folders for tests of `selftest`, and fimkit run on it as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimkit.evidence.canary_rows import Canary
from fimkit.evidence.store import open_store
from fimkit.model.config_text import load_config
from fimkit.verbs.install import install, uninstall

__all__ = ["SelftestHost", "installed", "make_selftest_host"]

_CONFIG = """\
[host]
name = "web01"
state_dir = "{base}/state"

[sources]
audit_log = "{audit_log}"
osquery_log = "{osquery_log}"
osquery_socket = "{osquery_socket}"
osquery_config = "{osquery_config}"
osquery_interval_s = 1
"""


@dataclass
class SelftestHost:
    """Everything of it lies below ``base``; ``tree`` has the watched folders."""

    base: Path

    @property
    def tree(self) -> Path:
        return self.base / "tree"

    @property
    def config(self) -> Path:
        return self.base / "fimkit.toml"

    def configure(
        self,
        *paths: str,
        audit_log: Path | None = None,
        osquery_log: Path | None = None,
        socket: Path | None = None,
        conf: str = "",
    ) -> None:
        """Write the configuration: each path is the inside of a [[paths]] entry, or a name in the tree."""
        nowhere = self.base / "nowhere"
        text = _CONFIG.format(
            base=self.base, audit_log=audit_log or nowhere, osquery_log=osquery_log or nowhere, osquery_socket=socket or nowhere,
            osquery_config=conf,
        )  # fmt: skip
        for path in paths:
            text += "\n[[paths]]\n" + (path if "=" in path else f'path = "{self.tree / path}"\ntier = "critical"') + "\n"
        self.config.write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fimkit", "--config", str(self.config), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def selftest(self, *arguments: str) -> tuple[int, dict[str, dict[str, Any]], str]:
        """Run `selftest --json`; give the status, the objects by the last part of their path, and the words."""
        done = self.run("selftest", "--json", *arguments)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return done.returncode, {row["path"].rpartition("/")[2]: row for row in rows}, done.stderr

    def check(self) -> list[dict[str, Any]]:
        """Run `check`; give what is open."""
        done = self.run("check", "--json", "--all")
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def canaries(self) -> list[Canary]:
        """Read the canaries that the store remembers."""
        with open_store(os.fsencode(self.base / "state")) as store:
            return store.canaries()

    def left(self) -> list[Path]:
        """List the canaries that are on the disk."""
        return sorted(path for path in self.base.rglob("*canary*"))


def make_selftest_host(folder: Path, *names: str) -> SelftestHost:
    """Make the folders of the tree, a file in each, and a configuration that names them."""
    base = Path(os.path.realpath(folder)) / "host"
    host = SelftestHost(base)
    for name in names:
        (host.tree / name).mkdir(parents=True)
        (host.tree / name / "file").write_text("old\n")
    host.configure(*names)
    return host


@contextmanager
def installed(host: SelftestHost) -> Iterator[None]:
    """Have the audit rules in the kernel."""
    config, rules_file = load_config(host.config), str(host.base / "40-fimkit.rules")
    assert install(config, dry_run=False, root=None, rules_file=rules_file).refused is None
    try:
        yield
    finally:
        uninstall(config, dry_run=False, root=None, rules_file=rules_file)
