"""Every check that exists says what it means, and what to do: found in the code itself, so that a new one cannot be forgotten."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.model.advice import Advice, Level, render_advice
from fimkit.model.meanings import MEANINGS, meaning_of

__all__: list[str] = []

ROOT = Path(__file__).parents[2] / "fimkit"


def texts(node: ast.AST) -> Iterator[str]:
    """Give the texts of an expression; of a choice both, and not what it hangs on."""
    if isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def named(tree: ast.AST, name: str) -> Iterator[str]:
    """Give the texts that a name is set to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            yield from texts(node.value)


def codes_of(path: Path) -> Iterator[str]:
    """Give the codes that a module makes advice with, by itself or by a function that takes a `code`."""
    text = path.read_text(encoding="utf-8")
    if "fimkit.model.advice import" not in text:
        return
    tree = ast.parse(text)
    makers = {"Advice": -1}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "code" in (names := [each.arg for each in node.args.args]):
            makers[node.name] = names.index("code")
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers):
            continue
        place = makers[node.func.id]
        values = [word.value for word in node.keywords if word.arg == "code"] or node.args[place : place + 1 or None][:1]
        for value in values:
            yield from named(tree, value.id) if isinstance(value, ast.Name) else texts(value)


def checks() -> dict[str, str]:
    return {code: path.name for path in sorted(ROOT.rglob("*.py")) for code in codes_of(path) if path.name != "advice_text.py"}


def test_every_check_that_exists_has_a_meaning_and_no_other_has() -> None:
    found = {code: file for code, file in checks().items() if code != "a-b"}  # a doctest's
    assert len(found) > 120
    assert {code: file for code, file in found.items() if code not in MEANINGS} == {}, "write them in fimkit/model/meanings.py"
    assert set(MEANINGS) - set(found) == set()


@pytest.mark.parametrize("code", MEANINGS)
def test_a_meaning_is_a_sentence(code: str) -> None:
    words = meaning_of(code)
    assert words.endswith(".") and 20 < len(words) < 160 and words.isprintable()


def test_each_advice_is_made_with_a_problem_and_a_remedy() -> None:
    with pytest.raises(TypeError):
        Advice(code="audit-off", level=Level.TRAP, where="x", problem="It is off.")  # type: ignore[call-arg]
    row = render_advice(Advice(code="audit-off", level=Level.TRAP, where="x", problem="It is off.", remedy="switch it on"))
    assert row["meaning"] == MEANINGS["audit-off"] and all(row[name] for name in ("problem", "meaning", "remedy"))


def test_what_is_unknown_means_nothing() -> None:
    assert meaning_of("none-such") == ""
