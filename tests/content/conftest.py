"""What the tests of content share: small rule sets, and trees that another user can reach."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fimkit.content.keywords import parse_keywords
from fimkit.content.rule_files import RuleSet

__all__: list[str] = []


@pytest.fixture
def marks() -> RuleSet:
    """One rule that finds MARK."""
    return rule_set("id = 'mark'\npattern = 'MARK'")


def rule_set(*rules: str) -> RuleSet:
    keywords, problems = parse_keywords("".join(f"[[rule]]\n{rule}\n" for rule in rules), "k.toml")
    assert problems == []
    return RuleSet(keywords=tuple(keywords))


@pytest.fixture
def tree() -> Iterator[Path]:
    """A folder that everybody can enter: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="fimkit-content-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
