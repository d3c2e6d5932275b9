"""What the README says can be typed: each option of its table is the verb's own, and its configuration loads."""

import argparse
import re
from pathlib import Path

import pytest

from fimkit.cli import _whole_parser
from fimkit.model.config_text import load_config

__all__: list[str] = []

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = [row for row in TEXT.splitlines() if row.startswith("| `fimkit ")]


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Give the long options of a parser and of all below it."""
    below = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    every = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    return every.union(*(options(one) for choices in below for one in choices.values()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[3:60])
def test_each_option_of_the_table_is_the_verbs_own(row: str) -> None:
    whole = next(action.choices for action in _whole_parser()._actions if isinstance(action, argparse._SubParsersAction))
    (verb, *_) = re.findall(r"`fimkit ([a-z]+)", row)
    usage = row.replace("\\|", "/").split(" | ")[0]
    assert set(re.findall(r"--[a-z][a-z0-9-]*", usage)) <= options(whole[verb])


def test_the_table_has_a_row_for_each_verb_or_names_it_in_one() -> None:
    assert len(ROWS) > 25


def test_the_configuration_loads(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    file, url = tmp_path / "fimkit.toml", tmp_path / "pager.url"
    url.write_text("jsons://hooks.example.org/x\n", encoding="utf-8")
    url.chmod(0o600)
    file.write_text(block.replace("/etc/fimkit/pager.url", str(url)), encoding="utf-8")  # what it names must be there
    config = load_config(str(file))
    assert config.paths[0].path == b"/usr/sbin" and config.self.watch
    assert config.panic.recon and config.seal.public_key == b"/etc/fimkit/seal.pub"


def test_each_benchmark_that_is_named_is_there() -> None:
    named = set(re.findall(r"\./bootstrap bench ([a-z_]+)", TEXT))
    assert named and all((ROOT / "benchmarks" / name).is_file() for name in named)
