"""What osquery's patterns stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.osquery.coverage import Base, Coverage, Reach, parse_exclude, parse_watch_pattern

__all__: list[str] = []

PATTERNS = st.text(alphabet="/%*ab.", max_size=12).map(str.encode)


def cover(*patterns: bytes, files: tuple[bytes, ...] = ()) -> Coverage:
    """Patterns whose bases are all there; what is in ``files`` is no folder."""
    bases = {pattern: parse_watch_pattern(pattern).base for pattern in patterns}
    return Coverage(patterns, {pattern: (Base(base, base, base not in files),) for pattern, base in bases.items()})


@pytest.mark.parametrize(
    ("pattern", "reach", "base"),
    [
        (b"/%%", Reach.TREE, b"/"),
        (b"/etc/**", Reach.TREE, b"/etc"),
        (b"/home/%/.ssh/%%", Reach.TREE, b"/home/%/.ssh"),
        (b"/etc/*", Reach.LEVEL, b"/etc"),
        (b"/etc/passwd", Reach.NAMED, b"/etc/passwd"),
        (b"/etc/a%%", Reach.NONE, b"/etc"),
        (b"/%%/x", Reach.NONE, b"/%%"),
        (b"etc/%%", Reach.NONE, b"etc"),
        (b"", Reach.NONE, b"/"),
    ],
)
def test_a_pattern_reaches_as_far_as_osquery_was_seen_to_take_it(pattern: bytes, reach: Reach, base: bytes) -> None:
    assert parse_watch_pattern(pattern)[1:3] == (reach, base)


@pytest.mark.parametrize(
    ("pattern", "reach", "is_problem"),
    [
        (b"/etc/cache/%%", Reach.TREE, False),
        (b"/etc/cache/%", Reach.TREE, False),
        (b"/etc/passwd", Reach.NAMED, False),
        (b"/etc/cache/", Reach.LEVEL, True),
        (b"/etc/%.swp", Reach.NONE, True),
        (b"/etc/a%/%%", Reach.NONE, True),
        (b"/srv/%%/cache", Reach.TREE, True),
        (b"cache/%%", Reach.NONE, True),
    ],
)
def test_an_exclude_hides_what_osquery_was_seen_to_hide(pattern: bytes, reach: Reach, is_problem: bool) -> None:
    exclude = parse_exclude(pattern)
    assert (exclude.reach, exclude.problem is not None) == (reach, is_problem)


def test_a_tree_covers_what_lies_in_it_and_a_level_one_level() -> None:
    found = cover(b"/etc/%%", b"/srv/%", b"/opt/x", files=(b"/opt/x",))
    assert found.covers_tree(b"/etc/ssh/deep")
    assert found.covers_level(b"/srv") and not found.covers_tree(b"/srv") and not found.covers_level(b"/srv/www")
    assert found.covers_name(b"/srv/file") and not found.covers_name(b"/opt/x")
    assert not found.covers_tree(b"/etcetera")
    assert cover(b"/%%").covers_tree(b"/any")


def test_two_sets_meet_where_both_watch() -> None:
    assert cover(b"/etc/%%").meets(cover(b"/etc/ssh/%")) == (b"/etc/%%", b"/etc/ssh/%", b"/etc/ssh")
    assert cover(b"/etc/ssh/%").meets(cover(b"/etc/%%")) == (b"/etc/ssh/%", b"/etc/%%", b"/etc/ssh")
    assert cover(b"/etc/%").meets(cover(b"/etc/")) == (b"/etc/%", b"/etc/", b"/etc")
    assert cover(b"/etc/%").meets(cover(b"/etc/x", files=(b"/etc/x",))) == (b"/etc/%", b"/etc/x", b"/etc/x")
    assert cover(b"/etc/%").meets(cover(b"/etc/ssh/%%")) is None
    assert cover(b"/lib/%%").meets(cover(b"/lib_x/%%")) is None


@given(PATTERNS, PATTERNS)
def test_meeting_is_mutual_and_no_pattern_raises(one: bytes, other: bytes) -> None:
    parse_exclude(one)
    there, back = cover(one).meets(cover(other)), cover(other).meets(cover(one))
    assert (there is None) == (back is None)
