"""Hostile bytes go in by every door, as file names, audit records and osquery rows, and come out of no output as they are."""

import csv
import html.parser
import json
import os
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from fimkit.content.access_log import parse_request
from fimkit.report.export_csv import render_csv
from fimkit.report.export_rows import ExportRow
from fimkit.verbs.web_story import tell_requests
from tests.auditlog import Who
from tests.checked_host import CheckedHost, make_checked_host
from tests.evidence.examples import a_finding, an_actor

__all__: list[str] = []

NASTY = (
    b"\x1b[2J\x1b]0;owned\x07", b"a\r\nBcc: eve@evil.example", b"<script>alert(1)</script>", b"'; DROP TABLE findings;--",
    b"\xff\xfe\x80", "\u202egnp.exe".encode(), b'"quoted" & <b>', b"%1B%s%n", b"\x9b31m", "\u2028line\u0085next".encode(),
    b"=cmd|' /C calc'!A0", b"$(touch pwned)`touch pwned`", b"-rf", b"\x7f\x08\x08",
)  # fmt: skip
# Controls but for newline (a table's line end), C1, bidi and invisible characters, separators.
_RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffd]")
EVIL = b"\x1b[31m<script>alert(2)</script>\r\nX: y\x00'\"%\xe2\x80\xae\xff"
WITHOUT_NUL = EVIL.replace(b"\x00", b"")
EVENT = """\
type=SYSCALL msg=audit({stamp}): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c a1=0 a2=241 a3=1b6 items=1 ppid=9 \
pid=77 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty={hex} ses=7 comm={hex} exe={hex} key={hex}
type=CWD msg=audit({stamp}): cwd={hex}
type=PATH msg=audit({stamp}): item=0 name={name} inode={inode} dev={dev} mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=CREATE
type=PROCTITLE msg=audit({stamp}): proctitle={hex}
"""


def hostile_host(folder: Path) -> CheckedHost:
    """Make a host on which everything that a stranger can name has a hostile name."""
    host = make_checked_host(folder, "a", report=f"{os.path.realpath(folder)}/report.txt")
    tree = os.fsencode(host.tree)
    serial = 5000
    for name in NASTY:
        path = tree + b"/" + name.replace(b"/", b"_")
        with open(path, "wb") as file:
            file.write(EVIL)
        seen, serial = os.stat(path), serial + 1
        now = time.time()
        stamp = f"{int(now)}.{int(now * 1000) % 1000:03d}:{serial}"
        device = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}"
        host.log.append(
            EVENT.format(stamp=stamp, hex=EVIL.hex().upper(), name=path.hex().upper(), inode=seen.st_ino, dev=device).encode()
        )
        row = {"target_path": path.decode("latin-1") + "\u202e\x1b[2J", "action": "CREATED", "time": str(int(now)), "md5": "<b>"}
        line = json.dumps({"name": "pack_fimkit_file_events", "hostIdentifier": "web01", "columns": row, "action": "added",
                           "unixTime": int(now)})  # fmt: skip
        with (host.base / "log" / "osqueryd.results.log").open("a") as log:
            log.write(line + "\n")
    host.log.append(b"type=SYSCALL msg=audit(" + WITHOUT_NUL.replace(b"\n", b" ") + b"): x\n")  # no record, but a bad line
    os.symlink(WITHOUT_NUL, tree + b"/link")
    host.log.write(host.tree / "a", "new", Who(auid=1000, uid=0, pid=78, exe="/tmp/\x1b]0;x\x07y", name="eve\x1b[2J"))
    return host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> CheckedHost:
    made = hostile_host(tmp_path_factory.mktemp("hostile"))
    first = made.run("check")
    assert first.returncode == 1, first.stderr
    assert_clean(first)
    return made


def assert_clean(done: subprocess.CompletedProcess[str]) -> None:
    for text in (done.stdout, done.stderr):
        raw = _RAW.search(text)
        assert raw is None, (raw, text[max(0, raw.start() - 80) : raw.end() + 80])
        assert "Traceback" not in text


@pytest.mark.parametrize(
    "words",
    [
        "check", "check --json", "check --all", "findings", "findings --json", "baseline diff", "baseline diff --json",
        "baseline show", "coverage", "coverage --json", "doctor", "doctor --json", "export --format jsonl",
        "export --format ecs", "export --format ocsf", "evidence verify", "notify status", "panic status",
    ],
)  # fmt: skip
def test_no_verb_prints_what_a_name_or_a_log_smuggled_in(host: CheckedHost, words: str) -> None:
    done = host.run(*words.split())
    assert done.returncode in (0, 1, 2), done.stderr
    assert_clean(done)
    if "--json" in words or "jsonl" in words:
        assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())


def test_a_table_for_other_programs_has_no_control_of_a_terminal(host: CheckedHost) -> None:
    done = host.run("export", "--format", "csv")
    assert re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", done.stdout) is None
    rows = list(csv.reader(done.stdout.splitlines()))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]  # which a spreadsheet would work out


def test_one_finding_whole_is_clean_too(host: CheckedHost) -> None:
    findings = [json.loads(line) for line in host.run("findings", "--json").stdout.splitlines()]
    assert len(findings) >= len(NASTY) + 2
    for finding in findings[:4]:
        assert_clean(host.run("show", finding["id"]))


def test_the_text_log_has_one_clean_line_a_finding(host: CheckedHost) -> None:
    lines = (host.base.parent / "report.txt").read_bytes().decode()
    assert _RAW.search(lines) is None
    assert all(line.count(" id=") == 1 for line in lines.splitlines())


class _Tags(html.parser.HTMLParser):
    """The scripts of a page and its attributes that run."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.is_script = tag == "script" and ("type", "application/json") not in attrs
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.is_script:
            self.scripts.append(data)
        self.is_script = False


def test_the_page_runs_no_script_of_a_name(host: CheckedHost) -> None:
    page = host.base / "report.html"
    done = host.run("report", "--html", page)
    assert done.returncode in (0, 1), done.stderr
    assert_clean(done)
    text = page.read_bytes().decode()
    tags = _Tags()
    tags.feed(text)
    assert not [script for script in tags.scripts if "alert(" in script]
    assert "<script>alert" not in text
    assert "\x1b" not in text and "\u202e" not in text


def test_a_name_is_a_value_and_never_sql_and_never_a_shell(host: CheckedHost) -> None:
    with sqlite3.connect(f"file:{host.state}/fimkit.sqlite?mode=ro", uri=True) as store:
        paths = {path for (path,) in store.execute("SELECT path FROM findings")}
    tree = os.fsencode(host.tree)
    assert {tree + b"/" + name.replace(b"/", b"_") for name in NASTY} <= paths
    assert not list(host.base.rglob("pwned"))
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", [*NASTY, EVIL])
@pytest.mark.parametrize("field", ["remote", "user", "target", "agent"])
def test_a_web_servers_log_is_told_of_in_one_clean_line(name: bytes, field: str) -> None:
    values = {"remote": b"198.51.100.7", "user": b"eve", "target": b"/up.php", "agent": b"curl"} | {field: name}
    line = b'%(remote)b - %(user)b [22/Nov/2026:03:49:01 +0000] "POST %(target)b HTTP/1.1" 201 5 "-" "%(agent)b"' % {
        key.encode(): value for key, value in values.items()
    }
    read = [request for part in line.split(b"\n") if (request := parse_request(part)) is not None]  # as lines come from a log
    told = tell_requests(read, path=b"/srv/www/" + name.replace(b"/", b"_"), root=b"/srv/www", time_ns=1_795_319_341 * 10**9)
    assert len(told) == len(read) <= 1
    for words in told:
        assert _RAW.search(words) is None and "\n" not in words


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"])
def test_what_a_spreadsheet_would_work_out_is_text_in_every_cell(text: str) -> None:
    actor = an_actor(user=text, tty=text, cmdline=text, comm=text.encode(), exe=text.encode())
    one = a_finding("x", b"/srv/" + text.encode(), moved_to=text.encode(), host=text, reasons=(text,), actors=(actor,))
    line = render_csv(ExportRow(finding=one))
    assert re.search("[\x00-\x1f\x7f]", line) is None
    (cells,) = csv.reader([line])
    assert not [cell for cell in cells if re.match(r"[=+@]|-(?!\d+(\.\d+)?$)", cell)]


def test_a_hostile_configuration_is_refused_in_clean_words(host: CheckedHost, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    host_lines = '[host]\nname = "a\\u001b[2J\\r\\nBcc: x"\n"\\u202ekey" = 1\n'
    bad.write_text(host_lines + '[[paths]]\npath = "rel\\u001b[31m"\ntier = "\\u0007"\n')
    done = CheckedHost(host.base, host.log, bad).run("check")
    assert done.returncode == 2
    assert_clean(done)
