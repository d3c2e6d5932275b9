"""The story of a file in a web root: its writer, its upload, the writer's other files, later programs; safe and bounded."""

from dataclasses import replace

import pytest

from fimkit.content.access_log import WebRequest
from fimkit.model.changes import Change
from fimkit.model.findings import Finding, Kind
from fimkit.verbs.web_story import is_sure, pick_requests, tell_others, tell_requests, tell_writer
from tests.evidence.examples import NOW, a_change, a_finding, a_state, an_actor

__all__: list[str] = []

NS = 1_000_000_000
ROOT, PATH = b"/srv/www", b"/srv/www/blog/up/x.php"


def web_finding(path: bytes = PATH, uid: int = 33) -> Finding:
    actor = an_actor(uid=uid, exe=b"/usr/sbin/php-fpm")
    return a_finding(path=path, kind=Kind.CREATED, before=None, after=a_state(path, uid=uid), actors=(actor,))


def request(seconds: int, target: bytes, method: bytes = b"POST", status: int = 200, agent: bytes = b"curl") -> WebRequest:
    return WebRequest(NOW + seconds * NS, b"198.51.100.7", b"", method, target, status, agent)


@pytest.mark.parametrize(("path", "uid", "told"), [
    (PATH, 33, True), (b"/srv/www/x.PHTML", 33, True), (b"/srv/www/x.php.jpg", 33, True), (b"/srv/www/x.sh", 33, True),
    (b"/srv/www/x.html", 33, False), (b"/srv/www/php", 33, False), (PATH, 1000, False),
])  # fmt: skip
def test_a_script_by_a_web_servers_user_is_said(path: bytes, uid: int, told: bool) -> None:
    assert bool(tell_writer(web_finding(path, uid), {33: "www-data"})) is told


def test_where_nobody_is_recorded_the_owner_is_told_as_what_it_is() -> None:
    (words,) = tell_writer(replace(web_finding(), actors=()), {33: "www-data"})
    assert "belongs to a web server's user (www-data, uid 33)" in words and "wrote" not in words


def test_the_likeliest_upload_comes_first_and_reading_the_file_after_it() -> None:
    rows = [
        request(0, b"/elsewhere/form.php"), request(-3, b"/blog/up/form.php?a=1"), request(-1, b"/blog/up/form.php", status=403),
        request(1, b"/blog/up/x.php?c=id", b"GET"), request(-20, b"/blog/index.php"), request(50, b"/blog/up/form.php"),
    ]  # fmt: skip
    picked = pick_requests(rows, path=PATH, root=ROOT, time_ns=NOW)
    assert [(one.method, one.target) for one in picked] == [
        (b"POST", b"/blog/up/form.php?a=1"), (b"POST", b"/blog/index.php"), (b"POST", b"/elsewhere/form.php"),
        (b"GET", b"/blog/up/x.php?c=id"),
    ]  # fmt: skip
    assert [is_sure(one, path=PATH, root=ROOT) for one in picked] == [True, True, False, False]
    assert pick_requests(reversed(rows), path=PATH, root=ROOT, time_ns=NOW) == picked
    words = tell_requests(picked, path=PATH, root=ROOT, time_ns=NOW)
    assert words[0].startswith("story: it came by POST /blog/up/form.php?a=1 (200) from 198.51.100.7 at ")
    assert "may have come by POST /elsewhere" in words[2] and "it was asked for by GET" in words[3]


def test_what_a_request_holds_is_escaped_and_cut() -> None:
    odd = request(0, b"/blog/up/\x1b[2J\n" + b"a" * 5000, agent="\u202ex".encode())
    (words,) = tell_requests([odd], path=PATH, root=ROOT, time_ns=NOW)
    assert words.isprintable() and "%1B" in words and len(words) < 500


def other(path: bytes, seconds: int, **who: object) -> Change:
    actor = an_actor(uid=33, exe=b"/usr/sbin/php-fpm", time_ns=NOW + seconds * NS)
    return a_change(path, time_ns=NOW + seconds * NS, actor=replace(actor, **who))  # type: ignore[arg-type]


def test_the_writers_other_files_and_what_its_user_ran_later_are_told_and_nothing_else() -> None:
    changes = [
        other(PATH, 0), other(b"/srv/www/b", 2), other(b"/srv/www/a\n", 1), other(b"/srv/www/much-later", 600),
        other(b"/srv/www/of-another", 1, pid=99), other(b"/tmp/z", 30, pid=100, exe=b"/bin/sh"),
        other(b"/tmp/y", -30, pid=101, exe=b"/bin/before"), other(b"/tmp/x", 40, pid=102, exe=b"/bin/of-root", uid=0),
    ]  # fmt: skip
    words = tell_others(web_finding(), changes)
    assert words[0] == "story: the same process (pid 4711) also changed /srv/www/a%0A, /srv/www/b"
    assert len(words) == 2 and words[1].startswith("story: uid 33 ran /bin/sh (pid 100) at ")
    assert tell_others(web_finding(), reversed(changes)) == words


def test_many_others_are_counted() -> None:
    (words,) = tell_others(web_finding(), [other(b"/srv/www/%d" % number, 1) for number in range(5000)])
    assert words.endswith("and 4997 more")
