"""Lines of access logs: the formats that servers write, noise, and lines that pretend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.content.access_log import MOST_LINE_BYTES, parse_request

__all__: list[str] = []

COMMON = b'198.51.100.7 - eve [22/Nov/2026:03:49:01 +0000] "POST /a/up.php?x=1 HTTP/1.1" 201 5'
TIME_NS = 1_795_319_341 * 10**9


@pytest.mark.parametrize(
    ("line", "user", "agent"),
    [
        (COMMON, b"eve", b""),
        (COMMON + b' "http://h/\\"x" "Mozilla/5.0 (\\"odd\\")"', b"eve", b'Mozilla/5.0 (\\"odd\\")'),
        (b"www.example.org:443 " + COMMON + b' "-" "-"\r', b"eve", b""),
        (COMMON.replace(b"eve", b"a name of words").replace(b"03:49:01 +0000", b"05:19:01 +0130"), b"a name of words", b""),
    ],
)
def test_the_usual_formats_are_read(line: bytes, user: bytes, agent: bytes) -> None:
    request = parse_request(line)
    assert request is not None
    assert request == (TIME_NS, b"198.51.100.7", user, b"POST", b"/a/up.php?x=1", 201, agent)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"nonsense", COMMON[:60], COMMON.replace(b"Nov", b"Nox"), COMMON.replace(b"22/", b"99/"),
        COMMON.replace(b"+0000", b"+9999"), COMMON.replace(b"POST /a/up.php?x=1 HTTP/1.1", b"-"),
        COMMON.replace(b"POST /a/up.php?x=1 HTTP/1.1", b"\\x16\\x03\\x01\\x00 x y"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_none(line: bytes) -> None:
    assert parse_request(line) is None


def test_a_request_that_holds_a_whole_line_is_one_request_and_not_that_line() -> None:
    forged = b'192.0.2.99 - - [22/Nov/2026:04:00:00 +0000] \\"POST /fake HTTP/1.1\\" 200 1'
    request = parse_request(COMMON.replace(b"/a/up.php?x=1", b"/" + forged))
    assert request is not None
    assert (request.remote, request.time_ns, request.status) == (b"198.51.100.7", TIME_NS, 201)


def test_an_endless_line_costs_no_more_than_its_bound() -> None:
    assert parse_request(b'1 - - [22/Nov/2026:03:49:01 +0000] "' + b"\\" * (MOST_LINE_BYTES * 100)) is None
    assert parse_request(b"1 - " + b" [" * (MOST_LINE_BYTES * 100)) is None


spoilt = st.builds(lambda at, more: COMMON[:at] + more + COMMON[at:], st.integers(0, 90), st.binary(max_size=9))


@given(st.binary(max_size=300) | spoilt)
def test_no_line_raises(line: bytes) -> None:
    request = parse_request(line)
    assert request is None or (request.method.isalpha() and 0 <= request.status <= 999)
