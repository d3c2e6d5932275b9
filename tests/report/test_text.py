"""The table for a terminal: within its width, most severe first, nothing from a name gets through."""

from hypothesis import given
from hypothesis import strategies as st

from fimkit.model.changes import Actor, Source
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType
from fimkit.report.text import display_width, fit, render_findings, render_summary


def finding(path: bytes = b"/etc/a", severity: Severity = Severity.MEDIUM, **more: object) -> Finding:
    values: dict[str, object] = {
        "id": "0" * 32,
        "host": "h",
        "path": path,
        "kind": Kind.MODIFIED,
        "tier": Tier.WATCH,
        "severity": severity,
        "verdict": Verdict.UNEXPLAINED,
        "changed": ("sha256", "mode"),
        "before": FileState(path, FileType.FILE, mode=0o644, sha256="a" * 64),
        "after": FileState(path, FileType.FILE, mode=0o755, sha256="b" * 64),
        "moved_to": None,
        "actors": (actor(),),
        "attribution": Attribution.EXACT,
        "reasons": (),
        "sources": (Source.SCAN,),
        "first_seen_ns": 0,
        "last_seen_ns": 0,
        **more,
    }
    return Finding(**values)  # type: ignore[arg-type]


def actor(cmdline: str = "/bin/cp a b", exe: bytes = b"/usr/bin/cp") -> Actor:
    return Actor(
        auid=1000,
        uid=0,
        euid=0,
        user="alice",
        pid=7,
        ppid=1,
        exe=exe,
        comm=b"cp",
        cmdline=cmdline,
        cmdline_verified=False,
        tty=None,
        ses=1,
        syscall="openat",
        time_ns=0,
        event="0.000:1",
    )


def test_what_and_who_stand_below_the_path() -> None:
    text = "\n".join(render_findings([finding()]))
    assert "sha256 aaaaaaaaaaaa → bbbbbbbbbbbb, mode 0644 → 0755" in text
    assert "alice (auid 1000), uid 0, pid 7, /usr/bin/cp" in text


def test_the_most_severe_come_first() -> None:
    rows = [finding(b"/a", Severity.INFO), finding(b"/b", Severity.CRITICAL), finding(b"/c", Severity.LOW)]
    lines = [line for line in render_findings(rows) if not line.startswith(" ")]
    assert [line.split()[0] for line in lines[1:]] == ["critical", "low", "info"]


def test_an_escape_sequence_in_a_name_or_command_does_not_reach_the_terminal() -> None:
    evil = "x\x1b[2J\u202egnp"
    text = "\n".join(
        render_findings(
            [finding(b"/etc/\x1b[31m\xe2\x80\xae", actors=(actor(cmdline=evil, exe=b"/tmp/\x1b]0;x\x07"),), reasons=(evil,))]
        )
    )
    assert not any(char in text for char in "\x1b\x07\u202e")


@given(st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name), st.integers(60, 140))
def test_no_line_is_wider_than_the_terminal(name: bytes, width: int) -> None:
    for line in render_findings([finding(b"/" + name, actors=(actor(cmdline="y" * 200),), reasons=("words " * 40,))], width=width):
        assert display_width(line) <= width


@given(st.text(max_size=60), st.integers(4, 40))
def test_fitted_text_fits(text: str, width: int) -> None:
    assert display_width(fit(text, width)) <= width


def test_the_summary_counts_by_severity() -> None:
    rows = [finding(severity=Severity.INFO), finding(severity=Severity.CRITICAL, attribution=Attribution.UNATTRIBUTED)]
    assert render_summary(rows) == "2 findings: 1 critical, 1 info; 1 not attributed for sure"
