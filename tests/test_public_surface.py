"""What every file of the project promises: a first line, sorted names, a place in the README."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from fimkit.cli import VERBS
from fimkit.verbs.init_text import KEY_WORDS

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
CODE = sorted(ROOT.glob("fimkit/**/*.py"))


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value)) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value else []
    return None


@pytest.mark.parametrize("file", CODE, ids=named)
def test_a_module_says_what_it_is_and_what_it_gives(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    first = (ast.get_docstring(tree) or "").split("\n")[0]
    assert first.endswith((".", "?")), first
    names = exported(tree)
    if file.name == "__init__.py" and len(tree.body) == 1:
        assert names is None
    else:
        assert names is not None  # and in order: ruff's RUF022


@pytest.mark.parametrize("file", CODE, ids=named)
def test_every_name_given_is_there(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    there = {name for node in tree.body for name in _bound(node)}
    assert set(exported(tree) or []) <= there


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    if isinstance(node, ast.With):
        return {name for inner in node.body for name in _bound(inner)}
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}


def test_a_module_that_calls_itself_pure_touches_nothing() -> None:
    worlds = {"os.open", "open", "subprocess.run", "subprocess.Popen", "socket.socket", "print", "time.time", "datetime.now"}
    guilty = []
    for file in CODE:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if " Pure." not in (ast.get_docstring(tree) or "").split("\n")[0]:
            continue
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        guilty += [f"{named(file)}: {call}" for call in calls & worlds]
    assert not guilty


def test_every_verb_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [verb for verb in VERBS if not re.search(rf"\bfimkit (--config \S+ )?{verb}\b|`{verb}[` ]", text)]
    assert not missing


def test_every_key_of_the_configuration_has_words_of_its_own() -> None:
    assert len(set(KEY_WORDS.values())) == len(KEY_WORDS)


def test_scripts_are_sound_for_their_shell() -> None:
    for script in ("bootstrap", ".ci/run"):
        done = subprocess.run(["/bin/sh", "-n", ROOT / script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert (ROOT / script).stat().st_mode & 0o111
