r"""Names as osquery writes them: ``\xNN`` for what it had to escape, a backslash as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.osquery.names import unescape_name


def written(name: bytes) -> str:
    """Escape as osquery 5.23 does: bytes below 0x20, and above 0x7F what is no UTF-8; nothing else, not even the backslash."""
    return "".join(
        f"\\x{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else f"\\x{ord(char):02X}" if char < " " else char
        for char in name.decode("utf-8", "surrogateescape")
    )


def written_of_old(name: bytes) -> str:
    """Escape as osquery did before it kept UTF-8: every byte outside of printable ASCII."""
    return "".join(f"\\x{byte:02X}" if byte < 0x20 or byte >= 0x80 else chr(byte) for byte in name)


@given(st.binary(max_size=30).filter(lambda name: b"\\x" not in name))
def test_a_name_is_read_back(name: bytes) -> None:
    assert unescape_name(written(name)) == name
    assert unescape_name(written_of_old(name)) == name


@given(st.lists(st.sampled_from([b"\\x0A", b"\n", b"\\", b"x", b"\xff", b"\\xFF", b"a"]), max_size=5).map(b"".join))
def test_a_name_with_a_real_backslash_x_is_read_back_where_the_file_is_known(name: bytes) -> None:
    assert unescape_name(written(name), {name}.__contains__) == name


@pytest.mark.parametrize("name", [b"\\x41", b"\\xff", b"\\x7F", b"\\x", b"a\\x4", b"\\xG0", b"\x7f"])
def test_what_osquery_never_escapes_stays_as_it_is(name: bytes) -> None:
    assert unescape_name(name.decode("latin-1")) == name


def test_very_many_escapes_are_tried_as_bytes_and_as_text_alone() -> None:
    name = b"\\x0A" * 1000
    assert unescape_name(name.decode(), {name}.__contains__) == name
    assert unescape_name(name.decode(), set().__contains__) == b"\n" * 1000
