"""Patterns: what holds and meets what; what is chosen watches all that was wanted, and nothing twice."""

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.findings import Tier
from fimkit.osquery.patterns import FolderPattern, make_pattern, render_pattern, settle_patterns

_PARTS = st.lists(st.sampled_from([b"a", b"ab", b"b", b".a", b"a*", b"*", b"*b", b"a*b"]), max_size=3).map(tuple)
_PATTERNS = st.builds(FolderPattern, _PARTS, st.booleans())
_FOLDERS = st.lists(st.sampled_from([b"a", b"ab", b"b", b".a", b"aab", b"c"]), max_size=4).map(tuple)


def watches(pattern: FolderPattern, folder: tuple[bytes, ...]) -> bool:
    return pattern.holds(FolderPattern(folder, False))


@given(_PATTERNS, _PATTERNS, _FOLDERS)
def test_what_holds_another_watches_its_folders(one: FolderPattern, other: FolderPattern, folder: tuple[bytes, ...]) -> None:
    if one.holds(other) and watches(other, folder):
        assert watches(one, folder)


@given(_PATTERNS, _PATTERNS, _FOLDERS)
def test_two_that_watch_one_folder_meet(one: FolderPattern, other: FolderPattern, folder: tuple[bytes, ...]) -> None:
    if watches(one, folder) and watches(other, folder):
        assert one.meets(other) and other.meets(one)


@given(st.lists(st.tuples(_PATTERNS, st.sampled_from(Tier)), max_size=6), _FOLDERS)
def test_what_is_chosen_watches_all_each_for_one_tier(wanted: list[tuple[FolderPattern, Tier]], folder: tuple[bytes, ...]) -> None:
    chosen = settle_patterns(wanted)
    by = [pattern for pattern in chosen if watches(pattern, folder)]
    deep = any(pattern.recursive and watches(pattern, folder) for pattern, _ in wanted)
    assert bool(by) >= any(watches(pattern, folder) for pattern, _ in wanted)
    assert len({chosen[pattern] for pattern in by}) <= 1
    assert len({pattern.recursive for pattern in by}) <= 1 and (not deep or by[0].recursive)


def test_hidden_names_pass_by_a_leading_wildcard() -> None:
    assert not FolderPattern((b"*",), True).holds(FolderPattern((b".a",), True))
    assert FolderPattern((b".*",), True).holds(FolderPattern((b".a",), True))


def test_names_of_any_bytes_become_text() -> None:
    for name in (b"\xff", b"a\xffb", b"100%", b"%%", b"a*", b"\xe3\x81", b"x%y[z]"):
        text = render_pattern(make_pattern(b"/srv/" + name, recursive=True, real_of=bytes))
        assert text.isascii() and "%%" not in text.removesuffix("/%%") and not set(text) & set("*[]"), text
