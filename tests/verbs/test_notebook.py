"""The notebooks run top to bottom on the samples, where each checks its own answers against the truth; and on a live store."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.evidence.store import open_store
from fimkit.model.errors import UsageError
from fimkit.verbs import notebook_places
from fimkit.verbs.notebook_places import find_notebook, find_sample, list_notebooks
from tests.evidence.examples import DAY_NS, NOW, a_change, a_finding, a_state

for name in ("ipykernel", "jupytext", "markdown_it", "papermill"):
    pytest.importorskip(name, reason="the extra [notebook] is not installed")

NOTEBOOKS = ("01_triage", "02_path_history", "03_session", "04_fleet_prevalence", "05_tuning")


def _fimkit(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fimkit", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )  # fmt: skip


def test_all_notebooks_have_a_title_and_parameters() -> None:
    assert tuple(list_notebooks()) == NOTEBOOKS
    for stem, title in list_notebooks().items():
        text = find_notebook(stem).read_text(encoding="utf-8")
        assert title and '# %% tags=["parameters"]' in text
        assert text.count("# %% [markdown]") >= 5  # prose that teaches, and not code alone
        assert "assert " in text.split("if on_sample", 1)[1]


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_it_runs_on_the_sample_and_its_answers_are_true(stem: str, tmp_path: Path) -> None:
    done = _fimkit("notebook", stem, "--sample", "--ipynb", "done.ipynb", "--html", "done.html", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "done.html\ndone.ipynb\n"
    page = (tmp_path / "done.html").read_text(encoding="utf-8")
    assert "<script" not in page and not re.search(r"(?:src|href)=[\"']?(?!data:)", page)
    assert "default-src 'none'" in page
    assert page.count("<table") >= 4
    assert (tmp_path / "done.html").stat().st_mode & 0o077 == 0


def test_a_false_assertion_fails_it_and_is_shown(tmp_path: Path) -> None:
    """The sample's own truth, with a step that never was."""
    fake = tmp_path / "root"
    shutil.copytree(notebook_places._ROOT / "notebooks", fake / "notebooks")
    shutil.copytree(find_sample(), fake / "incident")
    notebook = fake / "notebooks" / "01_triage.py"
    text = notebook.read_text(encoding="utf-8")
    assert "assert archive.problems == ()" in text
    notebook.write_text(text.replace("archive.problems == ()", 'archive.problems == ("what never was",)'), encoding="utf-8")
    code = (
        "import sys, pathlib; from fimkit.verbs import notebook_places as places; from fimkit.cli import main;"
        f"places._ROOT = pathlib.Path({str(fake)!r}); (places._ROOT / 'pyproject.toml').touch(); sys.exit(main(sys.argv[1:]))"
    )
    sample = str(find_sample())
    (fake / "tests" / "data").mkdir(parents=True)
    (fake / "tests" / "data" / "incident-01").symlink_to(sample)
    done = subprocess.run(
        [sys.executable, "-c", code, "notebook", "01", "--sample", "--html", "done.html"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "01_triage: a cell failed: AssertionError" in done.stderr
    assert "what never was" in (tmp_path / "done.html").read_text(encoding="utf-8")


def test_it_runs_on_a_live_store_with_parameters(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    config = tmp_path / "fimkit.toml"
    config.write_text(f'[host]\nname = "web07"\nstate_dir = "{state}"\n\n[[paths]]\npath = "/etc"\n')
    with open_store(os.fsencode(state), create=True) as store:
        store.write_baseline([a_state(b"/etc/x")], who="eve", why="x", time_ns=NOW)
        old = NOW - 40 * DAY_NS
        evil = b"/etc/<script>alert(1)</script>"
        past = a_finding("old1", b"/etc/old", first_seen_ns=old, last_seen_ns=old)
        store.add_findings([a_finding("new1", evil), past], now_ns=NOW)
        store.add_changes([a_change(evil)])
        done = _fimkit("--config", config, "notebook", "01", "--since", "2026-11-20", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "01_triage.html\n")
    page = (tmp_path / "01_triage.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page and "<script" not in page
    assert "/etc/old" not in page


@pytest.mark.parametrize("stem", NOTEBOOKS)
def test_it_runs_where_nothing_was_found(stem: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with open_store(os.fsencode(state), create=True) as store:
        store.write_baseline([a_state(b"/etc/x")], who="eve", why="x", time_ns=NOW)
    done = _fimkit("notebook", stem, "--source", state, cwd=tmp_path, FIMKIT_CONFIG=str(tmp_path / "none.toml"))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_makes_no_sense_is_refused_before_anything_runs(tmp_path: Path) -> None:
    for words, told in (
        (["notebook", "99"], "no notebook '99'; there are: 01_triage"),
        (["notebook", "01", "--sample", "-p", "colour=red"], "has no parameter colour; it has source, config, since, host"),
        (["notebook", "03", "--sample", "-p", "auid=root"], "auid='root': expected a whole number"),
        (["notebook", "01", "--sample", "-p", "host"], "expected NAME=VALUE"),
        (["notebook", "01", "--sample", "--source", "x"], "expected one of them"),
    ):
        done = _fimkit(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_the_notebooks_are_listed(tmp_path: Path) -> None:
    done = _fimkit("notebook", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(NOTEBOOKS)


def test_there_is_no_sample_of_another_name() -> None:
    with pytest.raises(UsageError, match="incident-01, fleet-01"):
        find_sample("../../../etc")
