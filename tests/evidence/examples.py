"""States, changes and findings to put into a store, and strategies that make any."""

from dataclasses import replace

from hypothesis import strategies as st

from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.findings import Attribution, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType

__all__ = ["DAY_NS", "NOW", "a_change", "a_finding", "a_state", "an_actor", "changes", "plain_states", "states"]

DAY_NS = 86_400 * 1_000_000_000
NOW = 1_795_319_341_970_000_000


def a_state(path: bytes, **attributes: object) -> FileState:
    plain = FileState(
        path=path, type=FileType.FILE, mode=0o644, uid=0, gid=0, size=3, inode=77, dev=65024, nlink=1, mtime_ns=NOW, ctime_ns=NOW,
        sha256="ab" * 32, xattrs={},
    )
    return plain._replace(**attributes)


def an_actor(pid: int = 4711, serial: int = 9, **attributes: object) -> Actor:
    plain = Actor(
        auid=1000, uid=0, euid=0, user="eve", pid=pid, ppid=1, exe=b"/usr/bin/vi", comm=b"vi", cmdline="vi x",
        cmdline_verified=True, tty="pts0", ses=3, syscall="openat", time_ns=NOW, event=f"{NOW // 10**9}.970:{serial}",
    )
    return replace(plain, **attributes)


def a_change(path: bytes = b"/etc/x", *, time_ns: int = NOW, serial: int = 9, **attributes: object) -> Change:
    actor = an_actor(serial=serial, time_ns=time_ns, event=f"{time_ns // 10**9}.{time_ns // 10**6 % 1000:03d}:{serial}")
    plain = Change(
        source=Source.AUDIT, action=Action.OPENED, time_ns=time_ns, serial=serial, item=1, path=path, inode=77, dev=65024,
        actor=actor,
    )
    return replace(plain, **attributes)


def a_finding(number: str = "a1", path: bytes = b"/etc/x", **attributes: object) -> Finding:
    plain = Finding(
        id=number, host="web01", path=path, kind=Kind.MODIFIED, tier=Tier.CRITICAL, severity=Severity.CRITICAL,
        verdict=Verdict.UNEXPLAINED, changed=("sha256",), before=a_state(path),
        after=a_state(path, sha256="cd" * 32), moved_to=None, actors=(an_actor(),), attribution=Attribution.EXACT,
        reasons=("its bytes",), sources=(Source.SCAN, Source.AUDIT), first_seen_ns=NOW, last_seen_ns=NOW,
        evidence=(an_actor().event,),
    )
    return replace(plain, **attributes)


_number = st.none() | st.integers(-(2**70), 2**70)
_small = st.none() | st.integers(0, 2**32 - 1)
_text = st.none() | st.text(st.characters(exclude_categories=()), max_size=8)
_name = st.none() | st.binary(max_size=8)
_digest = st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex) | st.text("0123456789abcdefABCDEFx", max_size=6)

states = st.builds(
    FileState,
    path=st.binary(min_size=1, max_size=12).map(lambda name: b"/" + name),
    type=st.sampled_from(FileType),
    mode=st.none() | st.integers(0, 0o7777),
    uid=_small,
    gid=_small,
    size=st.none() | st.integers(0, 2**66),
    inode=st.none() | st.integers(0, 2**64 - 1),
    dev=st.none() | st.integers(0, 2**64 - 1),
    nlink=_small,
    mtime_ns=_number,
    ctime_ns=_number,
    sha256=_digest,
    target=_name,
    xattrs=st.none() | st.dictionaries(st.text(max_size=6), st.binary(max_size=6), max_size=2),
    problem=_text,
)
# Nearly as a scan gives most: what is written and read by the million has a quick way for these.
plain_states = st.builds(
    FileState,
    path=st.sampled_from([b"/a", b"/b", b"/c", b"/d"]),
    type=st.sampled_from([FileType.FILE, FileType.DIRECTORY]) | st.sampled_from(FileType),
    mode=st.just(0o644) | _small,
    uid=st.just(0) | _small,
    gid=st.just(0) | _small,
    size=st.integers(0, 9) | st.sampled_from([2**63 - 1, 2**63]),
    inode=st.integers(0, 9) | st.sampled_from([None, 2**63 - 1, 2**63]),
    dev=st.integers(0, 9) | st.sampled_from([2**63 - 1, 2**63]),
    nlink=st.just(1) | _small,
    mtime_ns=st.integers(0, 9) | st.sampled_from([-(2**63) - 1, -(2**63), 2**63 - 1, 2**63]),
    ctime_ns=st.integers(0, 9) | st.sampled_from([-(2**63) - 1, -(2**63), 2**63 - 1, 2**63]),
    sha256=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex)
    | st.sampled_from(["AB" * 32, "ab " * 32, "x" * 64, "ab" * 20]),
    target=st.none() | _name,
    xattrs=st.just({}) | st.none() | st.just({"user.a": b"1"}),
    problem=st.none() | _text,
)
_actors = st.builds(
    Actor, auid=_number, uid=_number, euid=_number, user=_text, pid=_number, ppid=_number, exe=_name, comm=_name, cmdline=_text,
    cmdline_verified=st.booleans(), tty=_text, ses=_number, syscall=_text, time_ns=st.integers(-(2**70), 2**70),
    event=st.text(st.characters(exclude_categories=()), max_size=8),
)
changes = st.builds(
    Change, source=st.sampled_from([Source.AUDIT, Source.OSQUERY]), action=st.sampled_from(Action),
    time_ns=st.integers(-(2**70), 2**70), serial=st.integers(0, 2**70), item=st.integers(0, 2**70), path=_name,
    path_sure=st.booleans(), dev=_number, inode=_number, parent_dev=_number, parent_inode=_number, mode=_number, new_mode=_number,
    actor=st.none() | _actors, cookie=_text, error=_text, sha256=_text, uid=_number, gid=_number, size=_number, mtime_ns=_number,
    node=_text, hash_late=st.booleans(), last_ns=_number,
)
