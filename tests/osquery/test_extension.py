"""The script that osqueryd starts: it runs, from wherever fimkit is installed, and nothing around it decides what it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.model.errors import HostError
from fimkit.osquery.extension import EXTENSION_FILE, LOAD_LINE, render_script


def _run(tmp_path: Path, script: bytes, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "fimkit.ext"
    path.write_bytes(script)
    path.chmod(0o755)
    return subprocess.run(
        [path, *arguments], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "it's a ünï\nconfig.toml"
    path.write_text(f'[host]\nname = "web01"\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "/etc"\n')
    return path


def test_it_starts_the_extension_with_osquerys_arguments(tmp_path: Path, config: Path) -> None:
    ran = _run(tmp_path, render_script(sys.executable, str(config)), "--socket", "/nowhere/osquery.em", "--timeout", "0")
    assert ran.returncode == 3
    assert "/nowhere" in ran.stderr and "osqueryd does not run" in ran.stderr


def test_a_long_path_with_blanks_is_reached_through_another_interpreter(tmp_path: Path, config: Path) -> None:
    python = tmp_path / ("a long folder's name " * 8) / "python"
    python.parent.mkdir()
    # A virtual environment is known by the path that its interpreter was started by.
    real = ascii(sys.executable)
    python.write_text(f"#!/usr/bin/python3 -IS\nimport os, sys\nos.execv({real}, [{real}, *sys.argv[1:]])\n")
    python.chmod(0o755)
    script = render_script(str(python), str(config), base="/usr/bin/python3")
    assert script.startswith(b"#!/usr/bin/python3 -IS\n")
    ran = _run(tmp_path, script, "--socket", "/nowhere/osquery.em")
    assert (ran.returncode, "osqueryd does not run" in ran.stderr) == (3, True)


def test_a_link_of_a_long_path_names_its_interpreter(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 130)
    folder.mkdir()
    (folder / "python").symlink_to("/usr/bin/python3")
    first = render_script(str(folder / "python"), "/etc/fimkit.toml").splitlines()[0]
    assert first == b"#!" + os.fsencode(os.path.realpath("/usr/bin/python3")) + b" -IS"


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME"])
def test_the_environment_and_the_working_folder_bring_no_code_in(tmp_path: Path, config: Path, variable: str) -> None:
    for name in ("fimkit", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')\n")
    ran = _run(tmp_path, render_script(sys.executable, str(config)), "--socket", "/nowhere/o.em", **{variable: str(tmp_path)})
    assert ran.returncode == 3 and "taken over" not in ran.stderr


def test_the_first_line_fits_every_kernel() -> None:
    longest = "/" + "p" * 119
    assert len(render_script(longest, "/c").splitlines()[0]) <= 127
    with pytest.raises(HostError, match="shorter path"):
        render_script(longest + "pppppp", "/c", base=longest + "pppppp")


@pytest.mark.parametrize(("python", "config"), [("python3", "/c"), ("/usr/bin/python3", "c.toml"), ("/usr/bin/python3", "/c\0")])
def test_relative_paths_are_refused(python: str, config: str) -> None:
    with pytest.raises(HostError, match="no absolute path"):
        render_script(python, config)


def test_the_line_of_extensions_load_names_the_file() -> None:
    assert LOAD_LINE == EXTENSION_FILE + "\n" and EXTENSION_FILE.endswith(".ext")
