"""Fields of one record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.audit.fields import (
    cut_enrichment,
    decode_device,
    decode_id,
    decode_name,
    decode_number,
    decode_signed,
    parse_event_id,
    parse_fields,
    parse_header,
)
from fimkit.model.errors import RecordError
from fimkit.model.records import EventId


def kernel_text(text: bytes) -> bytes:
    """Write text as the kernel does (kernel/audit.c, audit_log_n_untrustedstring)."""
    if any(byte == 0x22 or byte < 0x21 or byte > 0x7E for byte in text):
        return text.hex().upper().encode()
    return b'"' + text + b'"'


def test_hex_name_with_space_is_decoded() -> None:
    assert decode_name(b"2F746D702F6120622E747874") == b"/tmp/a b.txt"


def test_quoted_text_that_looks_like_hex_stays_text() -> None:
    assert decode_name(b'"ABCD"') == b"ABCD"


def test_bare_null_is_none_and_quoted_null_is_a_name() -> None:
    assert decode_name(b"(null)") is None
    assert decode_name(b'"(null)"') == b"(null)"


def test_name_that_is_no_utf8_keeps_its_bytes() -> None:
    assert decode_name(b"2F77FFFE") == b"/w\xff\xfe"


@pytest.mark.parametrize("raw", [b"", b'"', b'"a', b'a"', b'"a"b"', b"ABC", b"xyz", b"(none)", b"41 42", b"AB\n"])
def test_text_that_the_kernel_does_not_write_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordError, match="expected quotes, hex or"):
        decode_name(raw)


@given(st.binary(min_size=1).filter(lambda text: text != b"(null)"))
def test_every_text_comes_back_as_the_kernel_got_it(text: bytes) -> None:
    assert decode_name(kernel_text(text)) == text


def test_no_login_is_none() -> None:
    assert [decode_id(raw) for raw in (b"4294967295", b"-1", b"0", b"1000")] == [None, None, 0, 1000]


@pytest.mark.parametrize("raw", [b"", b"+1", b" 1", b"1_0", b"0x", b"18446744073709551616", "\u0661".encode()])
def test_what_int_takes_and_the_kernel_never_writes_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordError):
        decode_number(raw)


def test_exit_takes_64_signed_bits() -> None:
    assert decode_signed(b"-9223372036854775808") == -(1 << 63)
    with pytest.raises(RecordError):
        decode_signed(b"9223372036854775808")


def test_device_is_as_stat_has_it() -> None:
    assert (decode_device(b"fe:00"), decode_device(b"103:00005"), decode_device(b"00:1b")) == (0xFE00, 0x10305, 0x1B)


@pytest.mark.parametrize("raw", [b"fe", b"fe:", b"1000:00", b"fe:100000", b"fg:00"])
def test_device_beyond_the_kernels_bits_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordError):
        decode_device(raw)


def test_apparmor_label_keeps_its_word_in_parentheses() -> None:
    fields = parse_fields(b'exe="/usr/sbin/ntpd" subj==/usr/sbin/ntpd (enforce) key=(null)')
    assert fields == {"exe": b'"/usr/sbin/ntpd"', "subj": b"=/usr/sbin/ntpd (enforce)", "key": b"(null)"}


def test_fields_in_a_user_message_are_found_and_do_not_hide_the_senders_own() -> None:
    fields = parse_fields(b"pid=7 uid=0 msg='op=x uid=1000 acct=\"bob\" res=success'\x1dUID=\"root\"")
    assert fields["uid"] == b"0"
    assert (fields["acct"], fields["res"]) == (b'"bob"', b"success")
    assert fields["msg"] == b'op=x uid=1000 acct="bob" res=success'


def test_user_message_with_an_apostrophe_is_whole() -> None:
    assert parse_fields(b"pid=7 msg='it's fine'")["msg"] == b"it's fine"


def test_enrichment_is_cut_at_the_first_group_separator() -> None:
    assert cut_enrichment(b'a=1\x1dA="x\x1dy"') == (b"a=1", b'A="x\x1dy"')
    assert "UID" not in parse_fields(b'uid=0\x1dUID="root"')


def test_header_has_node_type_and_stamp() -> None:
    header = parse_header(b"node=web01.example.org type=SYSCALL msg=audit(1795314095.180:7945): arch=c000003e")
    assert (header.node, header.type, header.event_id) == (b"web01.example.org", "SYSCALL", EventId(1795314095180, 7945))
    assert header.body == b"arch=c000003e"


def test_type_that_auditd_did_not_know_is_named() -> None:
    assert parse_header(b"type=UNKNOWN[1336] msg=audit(1.000:2): uring_op=18").type == "URINGOP"
    assert parse_header(b"type=UNKNOWN[1999] msg=audit(1.000:2): x=1").type == "UNKNOWN[1999]"
    assert parse_header(b"type=1300 msg=audit(1.000:2): x=1").type == "SYSCALL"


@pytest.mark.parametrize(
    "line",
    [
        b"", b"garbage", b"type=SYSCALL", b"type=SYSCALL msg=audit(1.00:2): x", b"type=SYSCALL msg=audit(9999999999.000:2): x",
        b"type=syscall msg=audit(1.000:2): x", b" type=SYSCALL msg=audit(1.000:2): x", b"type=SYSCALL msg=audit(1.000:2) x",
    ],
)  # fmt: skip
def test_line_without_a_header_is_refused(line: bytes) -> None:
    with pytest.raises(RecordError, match="expected"):
        parse_header(line)


@given(st.binary())
def test_any_bytes_raise_nothing_but_record_error(raw: bytes) -> None:
    parse_fields(raw)
    for decode in (parse_event_id, parse_header, decode_name, decode_number, decode_signed, decode_id, decode_device):
        try:
            decode(raw)
        except RecordError as error:
            assert len(str(error)) < 300
