"""Mutes match what they say, and no more; and none is without an end, a reason, or a bound."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.errors import UsageError
from fimkit.model.findings import Severity
from fimkit.notify.mutes import Mute, MuteBy, MuteSet, check_mute, rules_of
from tests.notify.letters import NEW, finding

__all__: list[str] = []

_DAY_NS = 86_400 * 1_000_000_000


def mute(by: MuteBy, what: str, number: int = 1, until_ns: int = _DAY_NS) -> Mute:
    return Mute(number=number, by=by, what=what, until_ns=until_ns, reason="x", who="ops", made_ns=0)


def is_muted(path: bytes, pattern: str, moved_to: bytes | None = None) -> bool:
    one = replace(finding(path=path), moved_to=moved_to)
    return MuteSet([mute(MuteBy.PATH, pattern)], now_ns=0).mute_of(one) is not None


@pytest.mark.parametrize(("path", "pattern", "muted"), [
    (b"/srv/www/cache/a/b", "/srv/www/cache", True),
    (b"/srv/www/cache/a/b", "/srv/www/cache/", True),
    (b"/srv/www/cache_of/a", "/srv/www/cache", False),
    (b"/srv/www/a/x.log", "*.log", True),
    (b"/srv/www/x.log/shell.php", "*.log", True),
    (b"/srv/www/a/x.log.php", "*.log", False),
    (b"/srv/www/a/tmp/x", "/srv/*/tmp", True),
    (b"/srv/a\nb", "/srv/a?b", True),
    (b"/srv/\xff", "/srv/?", True),
])
def test_a_path_pattern_is_for_the_name_or_for_the_whole_path(path: bytes, pattern: str, muted: bool) -> None:
    assert is_muted(path, pattern) is muted


def test_what_leaves_a_muted_folder_is_told() -> None:
    assert is_muted(b"/srv/cache/a", "/srv/cache", moved_to=b"/srv/cache/b")
    assert not is_muted(b"/srv/cache/a", "/srv/cache", moved_to=b"/srv/www/a.php")


def test_a_hash_is_that_of_what_is_there_now() -> None:
    mutes = MuteSet([mute(MuteBy.SHA256, NEW)], now_ns=0)
    assert mutes.mute_of(finding()) is not None
    assert mutes.mute_of(replace(finding(), after=None)) is None
    assert MuteSet([mute(MuteBy.SHA256, "a" * 64)], now_ns=0).mute_of(finding()) is None  # the old one


def test_a_rule_mutes_what_it_alone_hit_and_nothing_critical() -> None:
    page = finding(severity=Severity.HIGH, reason="rule php_eval: line 3: eval(")
    both = replace(page, reasons=(*page.reasons, "rule php_upload: line 9: move_uploaded_file("))
    one = [mute(MuteBy.RULE, "php_eval")]
    assert rules_of(both) == ("php_eval", "php_upload")
    assert MuteSet(one, now_ns=0).mute_of(page) is not None and MuteSet(one, now_ns=0).mute_of(both) is None
    assert MuteSet([*one, mute(MuteBy.RULE, "php_upload", 2)], now_ns=0).mute_of(both) is not None
    assert MuteSet(one, now_ns=0).mute_of(replace(page, severity=Severity.CRITICAL)) is None


def test_an_ended_mute_matches_nothing() -> None:
    assert MuteSet([mute(MuteBy.PATH, "/sbin", until_ns=5)], now_ns=5).mute_of(finding()) is None


@pytest.mark.parametrize(("by", "what", "until_ns", "reason", "words"), [
    (MuteBy.PATH, "*", _DAY_NS, "x", "would silence every mail"),
    (MuteBy.PATH, "/**/*", _DAY_NS, "x", "would silence every mail"),
    (MuteBy.PATH, "", _DAY_NS, "x", "no pattern"),
    (MuteBy.PATH, "srv/cache", _DAY_NS, "x", "can never match"),
    (MuteBy.RULE, "two words", _DAY_NS, "x", "no rule's name"),
    (MuteBy.SHA256, "A" * 64, _DAY_NS, "x", "no SHA-256"),
    (MuteBy.PATH, "/srv", _DAY_NS, " ", "no reason"),
    (MuteBy.PATH, "/srv", _DAY_NS, "a\x1b[2J", "no reason"),
    (MuteBy.PATH, "/srv", 0, "x", "over already"),
    (MuteBy.PATH, "/srv", 367 * _DAY_NS, "x", "more than a year"),
])
def test_a_mute_that_makes_no_sense_is_refused(by: MuteBy, what: str, until_ns: int, reason: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_mute(by, what, until_ns=until_ns, reason=reason, now_ns=0)


@given(st.binary(max_size=60), st.text(min_size=1, max_size=30))
def test_no_name_and_no_pattern_ends_a_run(name: bytes, pattern: str) -> None:
    try:
        check_mute(MuteBy.PATH, pattern, until_ns=_DAY_NS, reason="x", now_ns=0)
    except UsageError:
        return
    assert is_muted(b"/" + name, pattern) in (True, False)
