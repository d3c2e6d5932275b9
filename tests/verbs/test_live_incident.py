"""The main job on this kernel: baseline, install, tamper, check; every step found, with the right who. As root, for real."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fimkit.model.config_text import load_config
from fimkit.verbs.install import install, uninstall
from tests.incident import CONFIG, Incident
from tests.live import live_audit
from tests.truth import hold_against, render_rows


def fimkit(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "fimkit", "--config", str(config), *arguments], capture_output=True, text=True, check=False
    )


def findings_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_step_of_an_incident_is_found_with_its_who(tmp_path: Path, seed: int) -> None:
    place = Path(os.path.realpath(tmp_path))
    # The denied tries are made by others, who must get as far as the file; pytest's own folders are 0700.
    for folder in (place, *(parent for parent in place.parents if parent.name.startswith("pytest-"))):
        folder.chmod(0o755)
    tree = place / "tree"
    tree.mkdir()
    with live_audit(place / "audit") as live:
        incident = Incident(tree, seed)
        incident.prepare()
        config_file = place / "fimkit.toml"
        config_file.write_text(CONFIG.format(name="live01", state=place / "state", log=live.log, tree=tree))
        rules_file = str(place / "40-fimkit.rules")
        assert fimkit(config_file, "baseline", "create").returncode == 0
        config = load_config(config_file)
        assert install(config, dry_run=False, root=None, rules_file=rules_file).refused is None
        incident.run(live)
        live.sync()
        first = fimkit(config_file, "check", "--json")
        second = fimkit(config_file, "check", "--json")
        every = fimkit(config_file, "check", "--json", "--all")
        uninstall(config, dry_run=False, root=None, rules_file=rules_file)
    rows = hold_against(incident.truths, findings_of(first), incident.aside)
    print(render_rows(rows))
    assert first.returncode == 1, first.stderr
    assert [row for row in rows if row.wrong] == []
    assert (second.returncode, second.stdout) == (1, ""), second.stderr
    known = {finding["id"]: finding["actors"] for finding in findings_of(first)}
    assert {finding["id"]: finding["actors"] for finding in findings_of(every)} == known
