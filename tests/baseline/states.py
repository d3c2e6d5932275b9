"""States drawn by Hypothesis."""

from hypothesis import strategies as st

from fimkit.model.states import FileState, FileType

__all__ = ["paths", "snapshots", "states"]

numbers = st.none() | st.integers(0, 2**63 - 1)
names = st.binary(min_size=1, max_size=4).filter(lambda name: b"/" not in name)
paths = st.lists(names, max_size=4).map(lambda parts: b"/" + b"/".join(parts))
xattr_names = st.sampled_from(["user.a", "security.capability", "user.%FF"])
states = st.builds(
    FileState,
    path=paths,
    type=st.sampled_from(FileType),
    mode=st.none() | st.integers(0, 0o7777),
    uid=numbers,
    gid=numbers,
    size=numbers,
    inode=numbers,
    dev=numbers,
    nlink=numbers,
    mtime_ns=numbers,
    ctime_ns=numbers,
    sha256=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex) | st.text(max_size=3),
    target=st.none() | st.binary(max_size=6),
    xattrs=st.none() | st.just({}) | st.dictionaries(xattr_names, st.binary(max_size=6)),
    problem=st.none() | st.just("cannot be read: Input/output error"),
)
snapshots = st.lists(states, max_size=12, unique_by=lambda state: state.path).map(lambda rows: {row.path: row for row in rows})
