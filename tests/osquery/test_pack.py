"""The pack: no path that is wanted is lost, for any watches on any tree; excludes hide nothing wanted."""

import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from fimkit.model.config import Watch
from fimkit.model.findings import Tier
from fimkit.osquery.pack import MARK, PackPlan, plan_pack, render_pack, render_query_pack
from fimkit.osquery.places import Place
from fimkit.osquery.queries import load_queries, parse_query
from tests.osquery.pack_rules import check_pack


def host_of(*files: bytes) -> tuple[Callable[[bytes], Place], set[bytes], set[bytes]]:
    """A host without links that has these files; one that ends in a slash is an empty folder."""
    folders, plain = {b"/"}, set()
    for file in files:
        (folders if file.endswith(b"/") else plain).add(file.rstrip(b"/") or b"/")
        above = os.path.dirname(file.rstrip(b"/"))
        while above not in (b"/", b""):
            folders.add(above)
            above = os.path.dirname(above)
    plain -= folders

    def look(path: bytes) -> Place:
        nearest = os.path.dirname(path)
        while nearest not in folders:
            nearest = os.path.dirname(nearest)
        return Place(path, path, nearest, path in folders, path in folders | plain, False)

    return look, folders, plain


def plan(watches: list[Watch], *files: bytes, others: tuple[bytes, ...] = ()) -> PackPlan:
    look, folders, plain = host_of(*files)
    found = plan_pack(watches, look, others=others)
    check_pack(render_pack(found, load_queries("pack"), interval_s=60), watches, folders=folders, files=plain)
    return found


def watch(path: str, tier: Tier = Tier.WATCH, **more: Any) -> Watch:
    return Watch(path=path.encode(), tier=tier, **more)


def test_a_file_is_watched_through_its_folder() -> None:
    assert plan([watch("/etc/passwd", Tier.CRITICAL)], b"/etc/passwd").file_paths == {"fimkit_critical": ("/etc/%",)}


def test_two_tiers_in_one_folder_are_one_category() -> None:
    found = plan([watch("/etc/passwd", Tier.CRITICAL), watch("/etc/motd")], b"/etc/passwd", b"/etc/motd")
    assert found.file_paths == {"fimkit_critical": ("/etc/%",)}


def test_the_outermost_tree_takes_all_and_a_level_above_stays() -> None:
    watches = [watch("/etc", recursive=False), watch("/etc/ssh"), watch("/etc/ssh/keys", Tier.CRITICAL), watch("/etc/ssh/moduli")]
    assert plan(watches, b"/etc/ssh/keys/a", b"/etc/ssh/moduli").file_paths == {"fimkit_watch": ("/etc/%", "/etc/ssh/%%")}


def test_what_is_missing_is_watched_with_the_nearest_folder_and_told() -> None:
    found = plan([watch("/srv/app/conf")], b"/srv/x")
    assert found.file_paths == {"fimkit_watch": ("/srv/%", "/srv/app/conf/%%")}
    assert len(found.notes) == 1 and "/srv/app/conf does not exist" in found.notes[0] and "install again" in found.notes[0]


def test_what_is_missing_in_a_watched_tree_needs_nothing() -> None:
    found = plan([watch("/srv"), watch("/srv/app/conf", Tier.CRITICAL)], b"/srv/x")
    assert found.file_paths == {"fimkit_watch": ("/srv/%%",)} and found.notes == ()


def test_a_percent_sign_widens_the_pattern_and_is_told() -> None:
    found = plan([watch("/srv/100%/a[b]")], b"/srv/100%/a[b]/x", b"/srv/1000/aXbX/y")
    assert found.file_paths == {"fimkit_watch": ("/srv/100%/a%b%/%%",)} and "/srv/100%25/a[b]" in found.notes[0]


def test_brackets_alone_are_plain() -> None:
    found = plan([watch("/srv/a[b]{c}?")], b"/srv/a[b]{c}?/x")
    assert found.file_paths == {"fimkit_watch": ("/srv/a[b]{c}?/%%",)} and found.notes == ()


def test_a_level_that_may_lie_in_a_tree_becomes_one() -> None:
    found = plan([watch("/srv/a%", recursive=False), watch("/srv/ab", Tier.CRITICAL)], b"/srv/a%/x", b"/srv/ab/y")
    assert found.file_paths == {"fimkit_watch": ("/srv/a%/%%",)}


def test_trees_that_may_meet_are_one_category() -> None:
    found = plan([watch("/srv/%a"), watch("/srv/b%/d", Tier.CRITICAL)], b"/srv/%a/x", b"/srv/b%/d/y", b"/srv/bXa/d/")
    assert found.file_paths == {"fimkit_critical": ("/srv/%a/%%", "/srv/b%/d/%%")}


def test_a_link_beside_the_name_with_a_wildcard_widens_to_the_folder_above() -> None:
    look, *_ = host_of(b"/srv/100%/x")
    found = plan_pack([watch("/srv/100%")], lambda path: look(path)._replace(real=b"/else" if path == b"/srv/100" else path))
    assert found.file_paths == {"fimkit_watch": ("/srv/%%",)}


def test_excludes_that_osqueryd_honours_are_written_and_no_others() -> None:
    honoured = ("/var/cache/*", "/var/log/old", "/var/log/x.log", "/var/a[[]b]")
    others = ("*.swp", "/var/*/tmp", "/var/[a-z]", "/var/100%/*", "/opt/x")
    found = plan([watch("/var", exclude=honoured + others)], b"/var/cache/a", b"/var/log/old/a", b"/var/log/x.log", b"/var/a[b]/c")
    assert found.exclude_paths == {"fimkit_watch": ("/var/a[b]/%%", "/var/cache/%%", "/var/log/old/%%", "/var/log/x.log")}


def test_an_exclude_that_would_hide_another_watch_is_not_written() -> None:
    watches = [watch("/var", exclude=("/var/www/*", "/var/lib/x")), watch("/var/www/html"), watch("/var/lib", Tier.CRITICAL)]
    found = plan(watches, b"/var/www/html/a", b"/var/lib/x/b")
    assert found.exclude_paths == {"fimkit_watch": ()}
    assert [note.split(" is excluded")[0] for note in found.notes] == ["/var/lib/x", "/var/www"]


def test_an_exclude_of_a_watch_that_takes_some_names_only_is_not_written() -> None:
    watches = [watch("/etc"), watch("/etc/app", include=("*.conf",), exclude=("/etc/app/cache/*",))]
    assert plan(watches, b"/etc/app/cache/x.txt").exclude_paths == {"fimkit_watch": ()}


def test_an_exclude_that_would_hide_from_the_site_is_not_written() -> None:
    watches = [watch("/var", exclude=("/var/cache/*", "/var/tmp/*"))]
    found = plan(watches, b"/var/cache/a", b"/var/tmp/b", others=(b"/var/cache/apt/%%",))
    assert found.exclude_paths == {"fimkit_watch": ("/var/tmp/%%",)} and "/var/cache/apt/%25%25" in found.notes[0]


def test_an_exclude_below_another_is_left_out() -> None:
    found = plan([watch("/var", exclude=("/var/a/*", "/var/a/b", "/var/ab"))], b"/var/a/b", b"/var/ab/c")
    assert found.exclude_paths == {"fimkit_watch": ("/var/a/%%", "/var/ab/%%")}


def test_the_pack_is_the_same_text_for_the_same_plan_in_any_order() -> None:
    watches = [watch(f"/srv/{number}", Tier.CRITICAL if number % 2 else Tier.WATCH) for number in range(500)]
    files = [f"/srv/{number}/x".encode() for number in range(500)]
    texts = {render_pack(plan(some, *files), load_queries("pack"), interval_s=7) for some in (watches, watches[::-1])}
    assert len(texts) == 1 and len(json.loads(texts.pop())["file_paths"]["fimkit_watch"]) == 250


def test_any_name_stands_in_ascii_json() -> None:
    found = plan([watch('/srv/ü "quoted"\\ \n\u202e')], '/srv/ü "quoted"\\ \n\u202e/x'.encode())
    raw = render_pack(found, load_queries("pack"), interval_s=60)
    assert raw.isascii() and json.loads(raw)["file_paths"] == {"fimkit_watch": ['/srv/ü "quoted"\\ \n\u202e/%%']}


def test_queries_say_what_the_scheduler_needs() -> None:
    query = parse_query("-- New findings\n-- Interval: 300\n-- Version: 5.0.0\n\nSELECT 1;", name="new")
    now = parse_query("-- All\n-- Snapshot: yes\n\nSELECT 2;", name="all")
    pack = json.loads(render_query_pack([query, now], interval_s=60))
    assert pack["queries"]["new"] == {
        "description": f"New findings. {MARK}",
        "query": "SELECT 1",
        "interval": 300,
        "platform": "linux",
        "version": "5.0.0",
        "removed": False,
    }
    assert pack["queries"]["all"]["snapshot"] is True and pack["queries"]["all"]["interval"] == 60
    assert "file_paths" not in pack


_NAMES = st.sampled_from(
    [b"a", b"ab", b"b", b".a", b"a%", b"%", b"a*b", b"[a]", b"a{b}", b".%", b"\xff", b"a\xffb", "ü".encode(), b"\n", b"\\"]
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map(lambda names: b"/" + b"/".join(names))


@st.composite
def _watches(draw: st.DrawFn) -> list[Watch]:
    paths = draw(st.lists(_PATHS | st.just(b"/"), min_size=1, max_size=5, unique=True))
    excludes = _PATHS.map(os.fsdecode).flatmap(lambda path: st.sampled_from([path, f"{path}/*"]))
    return [
        Watch(
            path=path,
            tier=draw(st.sampled_from(Tier)),
            recursive=draw(st.booleans()),
            include=draw(st.sampled_from([(), ("*.conf",)])),
            exclude=tuple(draw(st.lists(excludes, max_size=3))),
        )
        for path in paths
    ]


@given(_watches(), st.lists(_PATHS, max_size=12))
@example([Watch(path=b"/a", exclude=("/a/b",)), Watch(path=b"/a/b/\xff")], [b"/a/b/\xff/x"])
def test_nothing_wanted_is_lost_on_any_tree(watches: list[Watch], files: list[bytes]) -> None:
    plan(watches, *files)
