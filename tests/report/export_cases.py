"""Findings of every kind for the tests of exports, and strategies that make any: with what an intruder would write into them."""

from dataclasses import replace

from hypothesis import strategies as st

from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType
from fimkit.report.export_rows import ExportRow
from tests.evidence.examples import NOW, a_finding, a_state, an_actor, states

__all__ = ["EVERY_KIND", "export_rows", "hostile"]

_NOBODY = {"actors": (), "attribution": Attribution.UNATTRIBUTED, "evidence": ()}

EVERY_KIND = (
    a_finding("modified"),
    a_finding("created", b"/srv/www/x.php", kind=Kind.CREATED, before=None, changed=(), tier=Tier.WATCH, severity=Severity.MEDIUM),
    a_finding("deleted", b"/etc/gone", kind=Kind.DELETED, after=None, changed=()),
    a_finding("moved", b"/etc/old", kind=Kind.MOVED, moved_to=b"/etc/new", changed=()),
    a_finding("mode", kind=Kind.ATTRIBUTES, changed=("mode",), after=a_state(b"/etc/x", mode=0o4755)),
    a_finding("times", kind=Kind.ATTRIBUTES, changed=("mtime_ns",), severity=Severity.INFO),
    a_finding("attempted", kind=Kind.ATTEMPTED, changed=(), before=None, after=None, actors=(an_actor(syscall="unlinkat"),)),
    a_finding("transient", kind=Kind.TRANSIENT, changed=(), before=None, after=None, severity=Severity.HIGH),
    a_finding("unknown", kind=Kind.ATTEMPTED, changed=(), before=None, after=None, **_NOBODY),
    a_finding("nobody", **_NOBODY),
    a_finding("link", after=FileState(b"/etc/x", FileType.SYMLINK, target=b"/tmp/\xff\n", nlink=1)),
)


def hostile() -> Finding:
    """Give a finding whose every word an intruder chose."""
    path = b'/srv/=cmd|"\n,\x1b[2J<script>alert(1)</script>\xff\xe2\x80\xae'
    state = FileState(
        path, FileType.FILE, mode=0o777, uid=2**32 - 1, gid=0, size=2**63, inode=2**64 - 1, dev=2**64 - 1, nlink=1,
        mtime_ns=2**80, ctime_ns=-(2**80), sha256="ab" * 32, xattrs={"user.\udcff\n": b"\x00=1", "user.b.c": b"@x"},
    )  # fmt: skip
    actor = an_actor(
        pid=2**70, user='=HYPERLINK("http://192.0.2.1")', exe=b'/tmp/\n"x', comm=b"-x\xff",
        cmdline='@SUM(1+1)\n\x00\udcff,"', tty="+1",
    )  # fmt: skip
    return replace(
        a_finding("hostile", path, before=None, after=state), kind=Kind.CREATED, changed=(), actors=(actor,), host="=web\n01",
        reasons=("it says \x1b]0;x\x07 \u2028", "a,b"), verdict=Verdict.SUSPECT,
    )


_actors = st.builds(
    an_actor, pid=st.integers(-1, 2**70), serial=st.integers(0, 9), user=st.none() | st.text(), cmdline=st.none() | st.text(),
    exe=st.none() | st.binary(), comm=st.none() | st.binary(), tty=st.none() | st.text(),
    auid=st.none() | st.integers(0, 2**32), ses=st.none() | st.integers(0, 2**40), syscall=st.none() | st.text(max_size=9),
)  # fmt: skip
_findings = st.builds(
    a_finding, number=st.text("0123456789abcdef", min_size=1), path=st.binary().map(lambda name: b"/" + name),
    kind=st.sampled_from(Kind), severity=st.sampled_from(Severity), tier=st.sampled_from(Tier), verdict=st.sampled_from(Verdict),
    before=st.none() | states, after=st.none() | states, actors=st.lists(_actors, max_size=2).map(tuple),
    reasons=st.lists(st.text(), max_size=2).map(tuple), moved_to=st.none() | st.binary(), host=st.text(min_size=1),
    changed=st.lists(st.sampled_from(["mode", "size", "sha256", "mtime_ns"]), max_size=2).map(tuple),
    first_seen_ns=st.integers(0, NOW), last_seen_ns=st.integers(NOW, NOW + 10**18),
)  # fmt: skip
export_rows = st.builds(
    ExportRow, finding=_findings, status=st.sampled_from(["open", "gone", "superseded", "accepted"]),
    closed_ns=st.none() | st.integers(0, 2**70), accepted_by=st.none() | st.text(), accept_reason=st.none() | st.text(),
    replaces=st.lists(st.text("0123456789abcdef", min_size=1), max_size=2).map(tuple),
)  # fmt: skip
