"""requirements.lock is what pyproject.toml asks for, each version with its hashes; and nothing is installed past it in silence."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
ASKED = [
    ("build", PROJECT["build-system"]["requires"]),
    ("dependencies", PROJECT["project"]["dependencies"]),
    *EXTRAS.items(),
]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("locked", ROOT / "units/locked.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


locked = load()
LOCK = locked.load_lock(ROOT)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def holds(marker: str, python: str) -> bool:
    return not marker or Marker(marker).evaluate({"python_version": python, "python_full_version": f"{python}.0"})


@pytest.mark.parametrize(("where", "asked"), ASKED, ids=[where for where, _ in ASKED])
@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_pyproject_asks_for_is_locked_within_its_range(where: str, asked: list[str], python: str) -> None:
    for requirement in map(Requirement, asked):
        versions = [one.version for one in LOCK if one.name == locked.normal(requirement.name) and holds(one.marker, python)]
        assert len(versions) == 1, f"{requirement} is {len(versions)} times in requirements.lock: ./bootstrap lock"
        assert Version(versions[0]) in requirement.specifier, f"{requirement}, and {versions[0]} is locked: ./bootstrap lock"


def test_each_version_has_hashes_and_stands_there_once_for_each_python() -> None:
    assert all(one.hashes and len(set(one.hashes)) == len(one.hashes) for one in LOCK)
    for python in PYTHONS:
        names = [one.name for one in LOCK if holds(one.marker, python)]
        assert len(names) == len(set(names))


def test_nothing_is_locked_that_nobody_asks_for() -> None:
    assert locked.pick(LOCK, locked.roots_of(PROJECT, EXTRAS)) == LOCK


def test_what_a_user_installs_is_a_part_without_what_tests_need() -> None:
    names = {one.name for one in locked.pick(LOCK, locked.roots_of(PROJECT, ["scan"]))}
    assert {"cryptography", "cffi", "pandas", "numpy", "setuptools", "yara-x"} <= names
    assert names.isdisjoint({"pytest", "hypothesis", "mypy", "apprise", "pyarrow", "selenium"})
    assert "yara-x" not in {one.name for one in locked.pick(LOCK, locked.roots_of(PROJECT, []))}


def test_it_is_read_by_pips_own_reader_with_a_hash_on_each() -> None:
    done = subprocess.run(
        [sys.executable, "-I", ROOT / "units/locked.py", ROOT, "hashes", "scan"], capture_output=True, text=True, check=True
    )
    blocks = done.stdout.replace(" \\\n    ", " ").splitlines()
    assert len(blocks) > 20
    for block in blocks:
        requirement, *hashes = block.split(" --hash=sha256:")
        assert Requirement(requirement).specifier and hashes and all(len(one.strip()) == 64 for one in hashes)


@pytest.mark.parametrize(
    "text", ["nope\n", "a==1 \\\n    --hash=md5:00\n", "a>=1\n", "--extra-index-url x\n", "    --hash=sha256:0\n"]
)
def test_a_line_that_is_none_of_a_locks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"requirements\.lock:"):
        locked.parse_lock(text)


def bill() -> dict[str, Any]:
    """A document as cyclonedx-bom writes one of an installation."""
    components = [{"name": one.name, "version": one.version, "type": "library"} for one in LOCK]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"component": {"name": "fimkit"}}, "components": components}


def test_a_bill_of_materials_has_the_hashes_of_the_lock() -> None:
    bom = locked.put_hashes(bill(), LOCK)
    assert len(bom["components"]) == len(LOCK)
    for component, one in zip(bom["components"], LOCK, strict=True):
        (reference,) = component["externalReferences"]
        assert reference["type"] == "distribution" and reference["url"].startswith("https://pypi.org/project/")
        assert [each["content"] for each in reference["hashes"]] == list(one.hashes)
        assert {each["alg"] for each in reference["hashes"]} == {"SHA-256"}


def test_a_component_that_is_not_as_locked_gets_none() -> None:
    bom = {"components": [{"name": "pip", "version": "1"}, {"name": "pandas", "version": "0.1"}, {"name": "x"}]}
    assert not any("externalReferences" in component for component in locked.put_hashes(bom, LOCK)["components"])


SHELL = """
set -eu
here={root} python={python} log={log}
say() {{ printf 'said: %s\\n' "$*"; }}
refuse() {{ say "$@"; exit 3; }}
. "$here/units/lock.sh"
pip_quietly() {{ shift; case $* in *{fails}*) echo 'ERROR: {error}' >"$log"; return 1 ;; esac; printf 'pip: %s\\n' "$*"; }}
{command}
"""


def shell(
    command: str, fails: str, tmp_path: Path, *, error: str = "no such file", **more: str
) -> subprocess.CompletedProcess[str]:
    text = SHELL.format(root=ROOT, python=sys.executable, log=tmp_path / "log", fails=fails, error=error, command=command)
    return subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **more})


def test_users_get_hashes_checked_and_nothing_else_when_that_fails(tmp_path: Path) -> None:
    done = shell("install_fimkit PY /co scan", "NEVER", tmp_path)
    first, second = done.stdout.splitlines()
    assert first.startswith("pip: --require-hashes -r ") and second == "pip: --no-deps --no-build-isolation /co"
    done = shell("install_fimkit PY /co scan || echo failed", "--require-hashes", tmp_path)
    assert done.stdout == "failed\n"


def test_a_file_that_is_another_ends_it_at_once(tmp_path: Path) -> None:
    words = "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."
    done = shell("install_fimkit PY /co scan || echo went on", "--require-hashes", tmp_path, error=words)
    assert done.returncode == 3 and words in done.stderr
    assert done.stdout.startswith("said: a file that was downloaded is not the one that requirements.lock has")
    assert "went on" not in done.stdout


def test_the_lock_is_left_aside_only_where_it_is_asked_for_and_that_is_said(tmp_path: Path) -> None:
    done = shell("install_fimkit PY /co scan --editable", "NEVER", tmp_path, FIMKIT_UNLOCKED="1")
    assert done.stdout.splitlines() == [
        "said: FIMKIT_UNLOCKED: taking what pyproject.toml allows, without hashes", "pip: --editable /co[scan]",
    ]  # fmt: skip


def test_tests_take_the_locks_versions_and_say_where_they_cannot(tmp_path: Path) -> None:
    done = shell("install_for_tests PY --editable /co[test]", "NEVER", tmp_path)
    assert done.stdout.startswith("pip: -c ") and done.stdout.endswith(" --editable /co[test]\n")
    said, ran = shell("install_for_tests PY --editable /co[test]", "'-c '", tmp_path).stdout.splitlines()
    assert said == (
        "said: not all versions of requirements.lock can be had here, taking what pyproject.toml allows: ERROR: no such file"
    )
    assert ran == "pip: --editable /co[test]"
