"""A configuration is typed and checked: every problem at once, each with its place."""

import dataclasses
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.channels import Channel, Gets
from fimkit.model.config import (
    Config,
    Content,
    Host,
    Live,
    Mail,
    Panic,
    Scanning,
    SealPolicy,
    Sources,
    StoreLimits,
    Syslog,
    Watch,
    Webhook,
)
from fimkit.model.config_checks import CHECKS
from fimkit.model.config_text import load_config, load_foreign_config, parse_config
from fimkit.model.errors import ConfigError
from fimkit.model.findings import Tier

__all__: list[str] = []

INCIDENT = Path(__file__).parents[1] / "data/incident-01/fimkit.toml"
WATCHED = '[[paths]]\npath = "/sbin"\n'
WHOLE = """
[host]
name = "web01"
state_dir = "/srv/state"
report_file = "/var/log/fimkit.txt"
[[paths]]
path = "/sbin"
tier = "critical"
recursive = false
include = ["*.so"]
exclude = ["/sbin/cache/*", "*.swp"]
cross_mounts = true
scan_content = true
keep_content = true
notify = ["ops@example.org"]
handler = ["/usr/bin/look", "%%"]
[sources]
audit_log = "/a"
osquery_log = "/b"
osquery_socket = "/c"
osquery_config = "/d"
osquery_interval_s = 5
package_root = "/e"

[watch]
rescan_s = 7
[scan]
nice = true
mb_per_s = 40
files_per_s = 500
[content]
rules = ["/r/"]
built_in = false
most_mb = 9
file_s = 8
user = "reader"
access_logs = ["/l"]
web_users = ["web"]
[mail]
smtp_server = "mail.example.org:587"
starttls = false
username = "u"
password_file = "/p"
ca_file = "/ca"
sender = "fim@example.org"
panic_recipients = ["a@example.org"]
general_recipients = ["b@example.org"]
deadline_s = 11
digest_s = 0
alerts_per_h = 3
nomail = true
[[channels]]
name = "pager"
url_file = "/u"
gets = ["general"]
[syslog]
server = "log.example.org:6514"
transport = "udp"
ca_file = "/ca2"
[webhook]
url = "https://hooks.example.org/x?y=1"
ca_file = "/ca3"
token_file = "/t"
[store]
keep_days = 1
max_mb = 2
keep_content_kb = 3
mask = ["code: (.*)"]
[seal]
public_key = "/k.pub"
require = true
[panic]
action = "isolate"
include_namespaces = true
keep_interfaces = ["mgmt*"]
allow = ["192.0.2.10:22", "[2001:db8::1]:22"]
threshold = 2
windows = ["sun 23:00-01:00", "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z"]
deadline_s = 3
recon = [["ps", "auxww"], ["ss"]]
recon_queries = ["SELECT 1"]
packetgrab = [["tcpdump", "-w", "x"]]
killswitch = [["poweroff"]]
package_hold_s = 4
capture_s = 5
restore_after_s = 6
nokill = true
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.toml")
    return list(caught.value.problems)


def test_every_key_of_the_contract_is_read_and_typed() -> None:
    config = parse_config(WHOLE, "c.toml")
    assert config.host == Host(name="web01", state_dir=b"/srv/state", report_file=b"/var/log/fimkit.txt")
    assert config.paths == (
        Watch(
            path=b"/sbin", tier=Tier.CRITICAL, recursive=False, include=("*.so",), exclude=("/sbin/cache/*", "*.swp"),
            cross_mounts=True, scan_content=True, keep_content=True, notify=("ops@example.org",), handler=("/usr/bin/look", "%%"),
        ),
    )
    assert config.sources == Sources(
        audit_log=b"/a", osquery_log=b"/b", osquery_socket=b"/c", osquery_config=b"/d", osquery_interval_s=5, package_root=b"/e"
    )
    assert config.watch == Live(rescan_s=7)
    assert config.scan == Scanning(nice=True, mb_per_s=40, files_per_s=500)
    assert config.content == Content(
        rules=(b"/r",), built_in=False, most_mb=9, file_s=8, user="reader", access_logs=(b"/l",), web_users=("web",)
    )
    assert config.mail == Mail(
        smtp_server="mail.example.org:587", starttls=False, username="u", password_file=b"/p", ca_file=b"/ca",
        sender="fim@example.org", panic_recipients=("a@example.org",), general_recipients=("b@example.org",),
        deadline_s=11, digest_s=0, alerts_per_h=3, nomail=True,
    )
    assert config.channels == (Channel(name="pager", url_file=b"/u", gets=(Gets.GENERAL,)),)
    assert config.syslog == Syslog(server="log.example.org:6514", transport="udp", ca_file=b"/ca2")
    assert config.webhook == Webhook(url="https://hooks.example.org/x?y=1", ca_file=b"/ca3", token_file=b"/t")
    assert config.store == StoreLimits(keep_days=1, max_mb=2, keep_content_kb=3, mask=("code: (.*)",))
    assert config.seal == SealPolicy(public_key=b"/k.pub", require=True)
    assert config.panic == Panic(
        action="isolate", include_namespaces=True, keep_interfaces=("mgmt*",), allow=("192.0.2.10:22", "[2001:db8::1]:22"),
        threshold=2, windows=("sun 23:00-01:00", "2026-11-22T20:00:00Z/2026-11-22T22:00:00Z"), deadline_s=3,
        recon=(("ps", "auxww"), ("ss",)), recon_queries=("SELECT 1",), packetgrab=(("tcpdump", "-w", "x"),),
        killswitch=(("poweroff",),), package_hold_s=4, capture_s=5, restore_after_s=6, nokill=True,
    )


def test_no_key_of_the_example_is_left_at_its_default() -> None:
    tables = {name: table[0] if isinstance(table, list) else table for name, table in tomllib.loads(WHOLE).items()}
    given_keys = {f"{name}.{key}" for name, table in tables.items() for key in table}
    classes = {
        "host": Host, "paths": Watch, "channels": Channel, "sources": Sources, "watch": Live, "scan": Scanning,
        "content": Content, "mail": Mail, "syslog": Syslog, "webhook": Webhook, "store": StoreLimits, "seal": SealPolicy,
        "panic": Panic,
    }
    assert given_keys == {f"{table}.{field.name}" for table, cls in classes.items() for field in dataclasses.fields(cls)}
    assert set(CHECKS) <= given_keys


def test_what_is_not_said_is_the_default_and_the_host_names_itself() -> None:
    assert parse_config(WATCHED, "c.toml") == Config(host=Host(name=os.uname().nodename), paths=(Watch(path=b"/sbin"),))


def test_the_recorded_incidents_configuration_is_right() -> None:
    config = load_config(INCIDENT)
    assert config.host.name == "web01"
    assert [(watch.path, watch.tier.value) for watch in config.paths][1:3] == [
        (b"/srv/fim/tree/bin", "critical"), (b"/srv/fim/tree/etc", "watch"),
    ]


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = """[store]
keep_days = true

[[paths]]
path = "/sbin"
recursiv = true

[[paths]]
path = "etc"
exclude = [
    "*.swp",  # [not a table]
    "",
]

[[paths]]
path = "/sbin/"
recursive = "no"
tier = "Critical"

[painc]
"""
    assert problems_of(text) == [
        "c.toml: store.keep_days: true is a boolean, expected an integer (line 2)",
        "c.toml: paths[0].recursiv: unknown key; did you mean 'recursive'? (line 6)",
        "c.toml: paths[1].path: 'etc' is relative, expected an absolute path (line 9)",
        "c.toml: paths[1].exclude[1]: is empty (line 10)",
        "c.toml: paths[2].path: '/sbin/' is watched already, by paths[0] (line 16)",
        "c.toml: paths[2].recursive: 'no' is text, expected true or false (line 17)",
        "c.toml: paths[2].tier: 'Critical' is no tier, expected 'critical' or 'watch'; did you mean 'critical'? (line 18)",
        "c.toml: painc: unknown table; did you mean 'panic'? (line 20)",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "paths: nothing is watched"),
        ("paths = []", "paths: nothing is watched"),
        ('[paths]\npath = "/sbin"', "is a table, expected a list of tables: [[paths]]"),
        ("[[paths]]\ntier = 'watch'", "paths[0]: has no path"),
        ('[[paths]]\npath = ""', "paths[0].path: is empty"),
        ('[[paths]]\npath = "/a/../b"', "has '..' in it"),
        ('[[paths]]\npath = "/a\\u0000"', "has a NUL"),
        ('[[paths]]\npath = 3', "paths[0].path: 3 is an integer, expected text"),
        ('[[paths]]\npath = "/a"\ninclude = "x"', "paths[0].include: 'x' is text, expected a list of texts"),
        ('[[paths]]\npath = "/a"\ninclude = ["a/b"]', "include[0]: 'a/b' can never match"),
        ('[[paths]]\npath = "/a"\nexclude = ["cache/*"]', "exclude[0]: 'cache/*' can never match"),
        ('[[paths]]\npath = "/a"\nhandler = [" ", "%%"]', "paths[0].handler: names no program"),
        ('[[paths]]\npath = "/a"\nnotify = ["ops"]', "notify[0]: 'ops' is no mail address"),
        ('[[paths]]\npath = "/a"\nthreshold = 1', "paths[0].threshold: unknown key; it belongs in [panic]"),
        ("threshold = 1\n" + WATCHED, "threshold: unknown key; it belongs in [panic]"),
        ("host = 1\n" + WATCHED, "host: 1 is an integer, expected a table: [host]"),
        (WATCHED + "[host]\nname = 'a b'", "host.name: 'a b' is no host name"),
        (WATCHED + "[host]\nstate_dir = 'var'", "host.state_dir: 'var' is relative"),
        (WATCHED + "[sources]\naudit_log = ''", "sources.audit_log: is empty"),
        (WATCHED + "[store]\nkeep_days = -1", "store.keep_days: -1 is out of range, expected 1 to"),
        (WATCHED + "[store]\nkeep_days = 1.5", "1.5 is a number, expected an integer"),
        (WATCHED + "[store]\nmax_mb = 0x" + "f" * 9000, "store.max_mb: is out of range"),
        (WATCHED + "[mail]\ndeadline_s = 0", "mail.deadline_s: 0 is out of range"),
        (WATCHED + "[mail]\nstarttls = 1", "mail.starttls: 1 is an integer, expected true or false"),
        (WATCHED + "[mail]\nsmtp_server = 'mail.example.org'", "is no server, expected host:port"),
        (WATCHED + "[mail]\nsmtp_server = 'mail.example.org:70000'", "is no server, expected host:port"),
        (WATCHED + "[mail]\nsmtp_server = '224.0.0.1:25'", "is a multicast address"),
        (WATCHED + "[mail]\nsmtp_server = 'mail.example.org:25,127.0.0.1:25'", "is this host"),
        (WATCHED + "[syslog]\nserver = 'localhost:514'", "is this host"),
        (WATCHED + "[syslog]\ntransport = 'relp'", "expected 'tls', 'tcp' or 'udp'"),
        (WATCHED + "[webhook]\nurl = 'http://hooks.example.org/'", "is no https:// URL"),
        (WATCHED + "[webhook]\nurl = 'https://127.0.0.1/x'", "is this host"),
        (WATCHED + "[webhook]\nurl = 'https://u:p@hooks.example.org/x'", "has a user"),
        (WATCHED + "[mail]\nsender = 'a@b\\nBcc: c@d'", "mail.sender: "),
        (WATCHED + '[mail]\npanic_recipients = ["a@b\\r\\nBcc: c@d"]', "mail.panic_recipients[0]: "),
        (WATCHED + "[mail]\nusername = 'u'", "mail.username: has no password beside it"),
        (WATCHED + "[panic]\naction = 'kill'", "panic.action: 'kill' is unknown, expected 'down' or 'isolate'"),
        (WATCHED + "[panic]\nwindows = 'sun 02:00-04:00'", "is text, expected a list of texts"),
        (WATCHED + "[panic]\nwindows = ['2026-11-22T20:00:00Z']", "panic.windows[0]: '2026-11-22T20:00:00Z' has no end"),
        (WATCHED + "[panic]\nwindows = ['sun 02:00-04:00', 'sun 02:00']", "panic.windows[1]: 'sun 02:00' has no end"),
        (WATCHED + "[panic]\naction = 'isolate'", "panic.action: 'isolate' without allow"),
        (WATCHED + "[panic]\nallow = ['mgmt:22']", "panic.allow[0]: 'mgmt:22' is no address and port"),
        (WATCHED + "[panic]\nrecon = ['ps']", "panic.recon[0]: 'ps' is text, expected a list of texts"),
        (WATCHED + "[panic]\nrecon = [[]]", "panic.recon[0]: names no program"),
        (WATCHED + "[panic]\nkillswitch = [['a', 1]]", "panic.killswitch[0]: is no list of texts alone"),
        (WATCHED + "[panic]\nkeep_interfaces = ['']", "panic.keep_interfaces[0]: is empty"),
        (WATCHED + "[panic]\ndeadline_s = 2026-01-01", "2026-01-01 is a date or time, expected an integer"),
        ("a = " + "[" * 5000, "not TOML"),
        ("[host]\nname = \n", "not TOML: Invalid value (line 2, column 8)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words(text: str, words: str) -> None:
    problems = problems_of(text)
    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "mail.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]",
     "127.1", "0x7f.1", "2130706433", "web01", "WEB01.", os.uname().nodename],
)  # fmt: skip
def test_a_mail_server_on_this_host_is_refused(host: str) -> None:
    (problem,) = problems_of(f'[host]\nname = "web01.example.org"\n{WATCHED}[mail]\nsmtp_server = "{host}:25"\n')
    assert "this host" in problem or "no usual address" in problem
    assert problem.endswith("(line 6)")


def test_a_wrong_part_brings_no_second_complaint() -> None:
    text = WATCHED + '[mail]\nusername = "u"\npassword_file = 3\n[panic]\naction = "isolate"\nallow = ["x"]\n'
    assert [problem.split(":")[1].strip() for problem in problems_of(text)] == ["mail.password_file", "panic.allow[0]"]


def test_files_that_it_names_must_be_here_and_a_password_closed(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")
    secret.chmod(0o644)
    config = tmp_path / "fimkit.toml"
    config.write_text(f'{WATCHED}[mail]\npassword_file = "{secret}"\nca_file = "{tmp_path}/absent.pem"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert [problem.removeprefix(f"{config}: mail.") for problem in caught.value.problems] == [
        f"password_file: '{secret}' is open to every user (mode 0644), expected 0600 (line 4)",
        f"ca_file: '{tmp_path}/absent.pem' cannot be read: No such file or directory (line 5)",
    ]
    assert load_foreign_config(config).mail.ca_file == os.fsencode(tmp_path / "absent.pem")
    secret.chmod(0o600)
    config.write_text(f'{WATCHED}[mail]\npassword_file = "{secret}"\n')
    assert load_config(config).mail.password_file == os.fsencode(secret)


def test_a_fifo_for_a_password_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    config = tmp_path / "fimkit.toml"
    config.write_text(f'{WATCHED}[mail]\npassword_file = "{tmp_path}/fifo"\n')
    with pytest.raises(ConfigError, match="no regular file"):
        load_config(config)


def test_a_file_that_cannot_be_read_is_said_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: no such file; `fimkit init` writes one"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# a\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.toml: not UTF-8: byte 0xe9 \(line 2\)"):
        load_config(tmp_path / "latin.toml")


def test_a_path_in_any_script_is_utf8_whatever_the_locale() -> None:
    assert parse_config('[[paths]]\npath = "/srv//ünï 100%/"\n', "x").paths[0].path == "/srv/ünï 100%".encode()


@given(st.text())
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, "x")


_PLAIN = st.booleans() | st.integers(-5, 2**70) | st.floats(0, 9) | st.sampled_from(["", "/a", "a@b", "down", "x:1"])
_VALUES = _PLAIN | st.lists(_PLAIN | st.lists(_PLAIN, max_size=2), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(sorted(CHECKS)), _VALUES), unique_by=lambda row: row[0]))
def test_any_value_of_any_key_is_taken_or_refused_with_its_place(rows: list[tuple[str, object]]) -> None:
    tables: dict[str, list[str]] = {"paths": []}
    for name, value in rows:
        table, key = name.split(".")
        tables.setdefault(table, []).append(f"{key} = {_render(value)}")
    heads = {name: "[[paths]]" if name == "paths" else f"[{name}]" for name in tables}
    text = "".join("\n".join([heads[name], *keys, ""]) for name, keys in tables.items())
    try:
        config = parse_config(text, "x")
    except ConfigError as error:
        assert all(problem.startswith("x: ") and "(line " in problem for problem in error.problems)
    else:
        assert config.paths


def _render(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_render, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
