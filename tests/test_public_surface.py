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


_CODE_IN_DATA = frozenset({"pickle", "_pickle", "cPickle", "shelve", "dill", "joblib", "cloudpickle", "commands", "pty", "code"})
_RUNS_WORDS = frozenset({
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "yaml.load", "yaml.unsafe_load", "tempfile.mktemp", "pandas.eval", "pd.eval",
    "pandas.read_pickle", "pd.read_pickle",
})  # fmt: skip
_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"})


def _dangers(tree: ast.AST) -> list[str]:
    """Name what makes code of words, or hands words to a shell."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in _CODE_IN_DATA]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {(node.module or "").split(".")[0], *(f"{node.module}.{alias.name}" for alias in node.names)}
            found += sorted(names & (_CODE_IN_DATA | _RUNS_WORDS))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in _RUNS_WORDS or name.endswith((".to_pickle", ".read_pickle")) else []
            found += [f"{name}(shell)" for word in node.keywords if word.arg == "shell" and ast.unparse(word.value) != "False"]
        elif isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1:
            first, second = node.elts[:2]
            words = [str(one.value) for one in (first, second) if isinstance(one, ast.Constant)]
            found += [" ".join(words)] if len(words) == 2 and words[0] in _SHELLS and words[1].startswith("-") else []
    return found


@pytest.mark.parametrize("file", CODE, ids=named)
def test_no_module_makes_code_of_words_or_knows_a_shell(file: Path) -> None:
    # `demo` plays an intruder, on a tree of its own, and intruders use shells: with words that stand in its own file
    played = ["/bin/sh -c"] if named(file) == "fimkit/verbs/demo_steps.py" else []
    assert _dangers(ast.parse(file.read_text(encoding="utf-8"))) == played


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "import shelve as store", "eval(word)", "exec(word)", "os.system(word)",
        "subprocess.run(word, shell=True)", "subprocess.Popen(word, shell=flag)", "from os import system", "yaml.load(word)",
        "run(['/bin/sh', '-c', word])", "frame.to_pickle(path)",
    ],
)  # fmt: skip
def test_what_makes_code_of_words_is_told(code: str) -> None:
    assert len(_dangers(ast.parse(code))) == 1
