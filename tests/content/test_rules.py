"""The rules that fimkit brings: what they must find, what they must not, and what each says of itself."""

import re
import tomllib
from pathlib import Path

import pytest

yara_x = pytest.importorskip("yara_x", reason="the content rules need the extra [scan]")

from fimkit.content.hit import SEVERITIES  # noqa: E402
from fimkit.content.keywords import find_keywords, parse_keywords  # noqa: E402
from fimkit.content.rule_files import BUILT_IN, DOOR, load_rules  # noqa: E402
from fimkit.content.scan import ContentScanner  # noqa: E402
from tests.content.shapes import SHAPES, Shape, load_shapes, scan  # noqa: E402

RULES = Path(BUILT_IN.decode())
NEAR = Path(__file__).parent / "near"
MALICIOUS = load_shapes(SHAPES)
HONEST = load_shapes(NEAR)


def _metadata() -> dict[str, dict[str, str]]:
    """What each YARA rule says of itself, with its file."""
    found = {}
    for path in sorted(RULES.glob("*.yar")):
        for rule in yara_x.compile(path.read_text()):
            if DOOR in rule.tags:
                continue
            assert rule.identifier not in found
            found[rule.identifier] = dict(rule.metadata) | {"file": path.name}
    return found


METADATA = _metadata()
KEYWORDS = tomllib.loads((RULES / "keywords.toml").read_text())["rule"]
SEVERITY = {name: meta["severity"] for name, meta in METADATA.items()} | {rule["id"]: rule["severity"] for rule in KEYWORDS}


def _loud(rules: set[str]) -> set[str]:
    return {rule for rule in rules if SEVERITY[rule] != "info"}


def test_all_rules_load_without_a_problem() -> None:
    rules, problems = load_rules()
    assert problems == []
    assert len(rules.keywords) == len(KEYWORDS)


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yar")), ids=lambda path: path.name)
def test_no_pattern_is_slow(path: Path) -> None:
    compiler = yara_x.Compiler(error_on_slow_pattern=True)
    compiler.add_source(path.read_text(), origin=path.name)
    assert compiler.warnings() == []


@pytest.mark.parametrize("name", sorted(METADATA))
def test_rule_says_what_it_is(name: str) -> None:
    meta = METADATA[name]
    assert len(meta["description"]) > 20
    assert meta["severity"] in SEVERITIES
    assert re.fullmatch(r"T1\d{3}(\.\d{3})?", meta["attack"])


@pytest.mark.parametrize("shape", MALICIOUS, ids=lambda shape: shape.name)
def test_shape_is_found_by_the_rules_it_names_and_by_one_that_is_loud(shape: Shape) -> None:
    found = scan(shape.content, shape.file)
    assert set(shape.rules) <= found
    assert _loud(found)


@pytest.mark.parametrize("shape", HONEST, ids=lambda shape: shape.name)
def test_honest_file_beside_a_rule_makes_no_noise(shape: Shape) -> None:
    assert _loud(scan(shape.content, shape.file)) == set()


def test_every_loud_rule_has_a_positive_example() -> None:
    named = {rule for shape in MALICIOUS for rule in scan(shape.content, shape.file)}
    assert _loud(set(SEVERITY)) - named == set()


def test_corpus_names_no_real_address() -> None:
    text = "".join(path.read_text() for folder in (SHAPES, NEAR) for path in folder.glob("*.toml"))
    addresses = set(re.findall(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", text))
    assert addresses
    assert all(address.startswith("192.0.2.") for address in addresses)


@pytest.mark.parametrize("entry", KEYWORDS, ids=lambda entry: entry["id"])
def test_keyword_rule_finds_its_positive_examples_and_not_its_negative_ones(entry: dict[str, list[str]]) -> None:
    (rule,) = [rule for rule in parse_keywords((RULES / "keywords.toml").read_text(), "keywords.toml")[0] if rule.id == entry["id"]]
    assert entry["positive"]
    assert entry["negative"]
    name = entry["files"][0].replace("*", "x").encode() if entry["files"] else b"x"
    assert all(find_keywords(text.encode(), [rule], path=name) for text in entry["positive"])
    assert not any(find_keywords(text.encode(), [rule], path=name) for text in entry["negative"])


EXECUTION = [shape for shape in MALICIOUS if shape.source == "php_execution.toml"]


@pytest.mark.parametrize("shape", EXECUTION, ids=lambda shape: shape.name)
def test_case_spaces_and_line_ends_do_not_hide_it(shape: Shape) -> None:
    text = shape.content.replace(b"eval", b"eVaL").replace(b"system", b"SysTem").replace(b"\n", b"\r\n").replace(b";", b" ;\r\n\t")
    assert _loud(scan(text, shape.file)), text


# All that guards ever asked for, as comment and as code: who pastes it in must gain nothing.
_PASTED = b"""<?php
/** @package Symfony @license MIT Copyright SPDX-License-Identifier: MIT PHPUnit TestCase is_callable in_array function_exists */
namespace App\\Cache;
class Warm extends Base {
  function a($x) { return $this->assertTrue(is_callable($x) && in_array(1, [1]) && preg_match('/^a/', $x)); } }
"""
_PADDING = b"\n// nothing in particular is said on this line of the page, which is one of many\n" * 3000
# A guard is all that tells these from what honest programs do.
_GUARDED = {"php_backdoor_account", "php_chr_chain"}
PAGES = [shape for shape in MALICIOUS if b"<?php" in shape.content and shape.file.endswith(".php")]


@pytest.mark.parametrize("shape", PAGES, ids=lambda shape: shape.name)
def test_pasted_words_do_not_silence_the_rules(shape: Shape) -> None:
    if _loud(scan(shape.content, shape.file)) <= _GUARDED:
        pytest.skip("found by a rule that has a guard")
    assert _loud(scan(shape.content.replace(b"<?php", _PASTED, 1), shape.file))


@pytest.mark.parametrize("shape", PAGES, ids=lambda shape: shape.name)
def test_padding_does_not_make_a_small_shell_a_large_file(shape: Shape) -> None:
    assert _loud(scan(shape.content.replace(b"<?php", b"<?php" + _PADDING, 1), shape.file))
    assert _loud(scan(shape.content + b"\n" + _PADDING, shape.file))


@pytest.mark.parametrize(
    "content",
    [b"<?php " + b"eval(" * 200_000, b"<?php $a=$_GET['a'];" * 50_000, b"<?php /*" * 200_000, b"<?php '" + b"a'.'" * 300_000],
    ids=["calls", "assignments", "comments", "pieces"],
)
def test_a_megabyte_made_to_be_slow_is_searched_to_its_end(content: bytes) -> None:
    rules, _ = load_rules()
    assert ContentScanner(rules.keywords, rules.yara, file_s=240).search(content, path=b"x.php").problem is None
