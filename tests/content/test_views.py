"""Other ways to read a file's bytes: what is in UTF-16, and what is left of padded PHP."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.content.keywords import parse_keywords
from fimkit.content.scan import ContentScanner
from fimkit.content.views import other_views

PAGE = "<?php eval($_POST['x']);"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_read_with_and_without_its_mark(coding: str) -> None:
    assert list(other_views(PAGE.encode(coding))) == [PAGE.encode()]


def test_plain_text_has_no_other_view() -> None:
    assert list(other_views(PAGE.encode())) == []


@pytest.mark.parametrize("padding", [" ", "# x\n", "// it's\n", '/* " */', "\n\t"])
def test_padding_is_taken_out(padding: str) -> None:
    (view,) = other_views(f"<?php {padding * 5000}eval($_POST['x']);".encode())
    assert view == PAGE.encode()


def test_apostrophe_before_the_program_opens_no_string() -> None:
    (view,) = other_views(b"don't <?php " + b"// x\n" * 5000 + b"eval($_POST['x']);")
    assert view == PAGE.encode()


def test_what_looks_like_a_comment_in_a_string_stays() -> None:
    (view,) = other_views(b"<?php $a = 'http://x /* # */';" + b" " * 5000)
    assert b"'http://x /* # */'" in view


def test_commented_program_is_not_taken_for_padded() -> None:
    assert list(other_views(b"<?php " + b"/** Gives one. */ function one() { return 1; }\n" * 500)) == []


@given(st.binary(max_size=200), st.sampled_from([b"<?", b"'", b"/*", b"\\", b" ", b"\0"]))
def test_any_bytes_have_views(content: bytes, piece: bytes) -> None:
    assert all(isinstance(view, bytes) for view in other_views(content + piece * 5000 + content))


@pytest.mark.parametrize("piece", [b"/*", b"'", b"\\'", b"/* *", b"'\"", b"/**", b" /", b"*"])
def test_a_megabyte_of_what_has_no_end_is_read_once(piece: bytes) -> None:
    content = b"<?php " + piece * (1_000_000 // len(piece))
    begin = time.process_time()
    list(other_views(content))
    assert time.process_time() - begin < 5  # a try at every place would take hours


def test_hit_in_a_view_is_told_without_a_line_that_the_file_has_not() -> None:
    rules, problems = parse_keywords('[[rule]]\nid = "a"\npattern = "eval"', "k.toml")
    assert not problems
    (hit,) = ContentScanner(rules, ()).search(("\n\n" + PAGE).encode("utf-16")).hits
    assert (hit.rule, hit.line, hit.offset) == ("a", 0, 0)
    assert "eval" in hit.text


def test_hit_in_the_file_itself_keeps_its_line() -> None:
    rules, _ = parse_keywords('[[rule]]\nid = "a"\npattern = "eval"', "k.toml")
    (hit,) = ContentScanner(rules, ()).search(b"<?php\n" + b"# x\n" * 5000 + b"eval($x);").hits
    assert hit.line == 5002
