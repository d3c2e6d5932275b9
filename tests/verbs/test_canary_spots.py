"""A canary sits where all else of its root is watched, under names that are watched."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.audit.rules import PathFacts
from fimkit.model.config import Config, Host, Watch
from fimkit.model.watches import WatchSet
from fimkit.verbs.canary_spots import NoSpot, Spot, find_spots, name_for

HOST = Host(name="x", state_dir=b"/nowhere")


def spots_of(*watches: Watch, mounts: tuple[bytes, ...] = (), beside: bool = False, **facts: PathFacts) -> list[Spot | NoSpot]:
    tokens = (f"{number:032x}" for number in itertools.count())
    real = {os.fsencode("/" + name): fact for name, fact in facts.items()}
    return find_spots(
        Config(host=HOST, paths=watches),
        new_token=lambda: next(tokens),
        beside=beside,
        look=lambda path: real.get(path, PathFacts(real=path, is_folder=True)),
        mounts=lambda: mounts,
    )


def test_both_names_are_in_the_watch_and_the_narrow_watch_takes_them_alone() -> None:
    (spot,) = spots_of(Watch(path=b"/srv/a [b]*", include=("*.php", "[abc]?*.inc")))
    assert isinstance(spot, Spot)
    narrow = WatchSet([spot.narrow])
    for path in spot.paths:
        assert path.startswith(b"/srv/a [b]*/fimkit-canary-") and path.endswith(b".php")
        assert narrow.watch_of(path) is not None
    assert narrow.watch_of(b"/srv/a [b]*/index.php") is None


def test_exclude_on_the_canarys_name_gets_another_name() -> None:
    (spot,) = spots_of(Watch(path=b"/srv", exclude=("fimkit*",)))
    assert isinstance(spot, Spot) and spot.names[0].startswith(b".fimkit-canary-")
    (none,) = spots_of(Watch(path=b"/srv", exclude=("*",)))
    assert isinstance(none, NoSpot) and not none.is_trouble
    (whole,) = spots_of(Watch(path=b"/srv", exclude=("/srv/*",)))
    assert isinstance(whole, NoSpot)


def test_deeper_root_has_a_spot_of_its_own() -> None:
    outer, inner = spots_of(Watch(path=b"/etc"), Watch(path=b"/etc/ssh", recursive=False))
    assert isinstance(outer, Spot) and isinstance(inner, Spot)
    assert (outer.folder, inner.folder) == (b"/etc", b"/etc/ssh") and outer.token != inner.token



def test_single_file_is_tried_beside_itself_if_its_folder_is_watched_or_osquery_is_there() -> None:
    fact = PathFacts(real=b"/passwd")
    (none,) = spots_of(Watch(path=b"/passwd"), passwd=fact)
    assert isinstance(none, NoSpot) and "single file" in none.why
    (beside,) = spots_of(Watch(path=b"/passwd"), beside=True, passwd=fact)
    assert isinstance(beside, Spot) and beside.is_beside and beside.folder == b"/"
    assert beside.paths[0].startswith(b"/fimkit-canary-")
    inside, _ = spots_of(Watch(path=b"/etc/f"), Watch(path=b"/etc"), **{"etc/f": PathFacts(real=b"/etc/f")})
    assert isinstance(inside, Spot) and not inside.is_beside and inside.folder == b"/etc"


def test_missing_path_is_trouble() -> None:
    (none,) = spots_of(Watch(path=b"/gone"), gone=PathFacts(real=b"/gone", exists=False))
    assert isinstance(none, NoSpot) and none.is_trouble


def test_mounts_below_are_tried_if_they_are_watched_and_named_if_not() -> None:
    mounts = tuple(b"/srv/m%d" % number for number in range(5))
    (plain,) = spots_of(Watch(path=b"/srv"), mounts=(b"/", b"/srv", *mounts, b"/proc"))
    assert isinstance(plain, Spot) and "/srv/m0, /srv/m1, /srv/m2 and 2 more" in plain.note
    crossed = spots_of(Watch(path=b"/srv", cross_mounts=True, exclude=("/srv/m3",)), mounts=mounts)
    assert [spot.folder for spot in crossed if isinstance(spot, Spot)] == [b"/srv", b"/srv/m0", b"/srv/m1", b"/srv/m2", b"/srv/m4"]
    (flat,) = spots_of(Watch(path=b"/srv", recursive=False), mounts=mounts)
    assert isinstance(flat, Spot) and flat.note == ""


@pytest.mark.parametrize("pattern", ["*", "*.php", "[!a]*", "[a-z]?*.conf", "x[[]*", "*.tar.*"])
def test_simple_patterns_get_a_name(pattern: str) -> None:
    (spot,) = spots_of(Watch(path=b"/srv", include=(pattern,)))
    assert isinstance(spot, Spot)


@given(st.lists(st.text("ab*?[]!.-", max_size=8), max_size=3))
def test_names_hold_their_token_whatever_the_patterns(include: list[str]) -> None:
    for name in name_for("0" * 32, include):
        assert "0" * 32 in name and "*" not in name


PATTERNS = st.text("ab*?[]!.", min_size=1, max_size=8)


@given(st.lists(PATTERNS, max_size=3), st.lists(st.text("ab*?/.", min_size=1, max_size=8), max_size=3))
def test_spot_is_always_inside_the_watch(include: list[str], exclude: list[str]) -> None:
    watch = Watch(path=b"/srv", include=tuple(include), exclude=tuple(exclude))
    for spot in spots_of(watch):
        if isinstance(spot, Spot):
            assert all(WatchSet([watch]).watch_of(path) is not None for path in spot.paths)
            assert all(path.rpartition(b"/")[0] == b"/srv" for path in spot.paths)


def test_real_folder_behind_a_link_is_found_on_the_disk(tmp_path: Path) -> None:
    place = Path(os.path.realpath(tmp_path))
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    config = Config(host=HOST, paths=(Watch(path=os.fsencode(place / "link")),))
    (spot,) = find_spots(config, new_token=lambda: "ab" * 16)
    assert isinstance(spot, Spot) and spot.folder == os.fsencode(place / "real")
