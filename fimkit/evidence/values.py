"""How values go into SQLite's columns and come back unchanged. Pure.

SQLite has signed integers of 64 bits and text that is UTF-8. An inode may have all 64 bits, a time may be after 2262 (``touch -d``
is anybody's), and a name in a record may be no UTF-8: what does not fit goes in as the other storage class, and is told from it
on the way out. So the columns below have no declared affinity for numbers that a stranger can choose.
"""

import json
from collections.abc import Iterable
from typing import Any

from fimkit.model.paths import parse_path, render_path
from fimkit.model.states import FileState, FileType

__all__ = [
    "FOLDER_ROW", "PLAIN_ROW", "STATE_COLUMNS", "decode_state", "encode_plain", "encode_state", "int_in", "int_out", "text_in",
    "text_out",
]  # fmt: skip

STATE_COLUMNS = (
    "path", "type", "mode", "uid", "gid", "size", "inode", "dev", "nlink", "mtime_ns", "ctime_ns", "sha256", "target", "xattrs",
    "problem",
)  # fmt: skip
"""The columns of a state, in the order of :class:`fimkit.model.states.FileState`."""

PLAIN_ROW = "(?, 'file', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '{}', NULL)"
"""The row of a plain file, as :func:`encode_plain` gives its values: with a hash, and neither extended attributes nor a problem."""

FOLDER_ROW = "(?, 'directory', ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, '{}', NULL)"
"""The row of a folder of the same kind, without a hash."""

_DIGEST = 64
_MAX = (1 << 63) - 1
_MIN = -_MAX - 1
_TYPES: dict[str, FileType] = {str(kind): kind for kind in FileType}
_NO_XATTRS: dict[str, bytes] = {}  # one for all: a million empty ones are 64 MB
_FILE, _FOLDER = FileType.FILE, FileType.DIRECTORY  # looked up for every row
_word = str.__str__  # an enum's plain text, three times faster than .value
_new_state = FileState._make


def int_in(value: int | None) -> int | str | None:
    """Give an integer as a column takes it: decimal text where SQLite has no such integer.

    >>> int_in(7), int_in(2**64 - 1)
    (7, '18446744073709551615')
    """
    return value if value is None or _MIN <= value <= _MAX else str(value)


def int_out(value: int | str | None) -> int | None:
    """Read what :func:`int_in` gave."""
    return int(value) if isinstance(value, str) else value


def text_in(value: str | None) -> str | bytes | None:
    r"""Give text as a column takes it: bytes where it holds a half of a surrogate pair (a byte that was no UTF-8).

    >>> text_in("ä"), text_in("a\udcff")
    ('ä', b'a\xed\xb3\xbf')
    """
    if value is None or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value


def text_out(value: str | bytes | None) -> str | None:
    """Read what :func:`text_in` gave."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _digest_in(digest: str) -> bytes | str:
    try:
        raw = bytes.fromhex(digest)
    except ValueError:
        return digest
    return raw if raw.hex() == digest else digest


def _xattrs_in(xattrs: dict[str, bytes]) -> str:
    return json.dumps({name: render_path(value) for name, value in xattrs.items()}, separators=(",", ":")) if xattrs else "{}"


def encode_state(state: FileState) -> tuple[Any, ...]:
    """Give a state as a row of :data:`STATE_COLUMNS`."""
    path, kind, mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns, sha256, target, xattrs, problem = state
    try:  # spelt out, since a million rows go through here: half of the time of six calls
        fits = inode <= _MAX and _MIN <= mtime_ns <= _MAX and _MIN <= ctime_ns <= _MAX and size <= _MAX  # type: ignore[operator]
    except TypeError:
        fits = False
    if not fits:
        size, inode, mtime_ns, ctime_ns = map(int_in, (size, inode, mtime_ns, ctime_ns))  # type: ignore[assignment]
    return (
        path, _word(kind), mode, uid, gid, size, inode, dev if dev is None or dev <= _MAX else str(dev), nlink, mtime_ns, ctime_ns,
        sha256 and _digest_in(sha256), target, xattrs if xattrs is None else _xattrs_in(xattrs), problem and text_in(problem),
    )  # fmt: skip


def encode_plain(states: Iterable[FileState], folders: list[Any], others: list[FileState]) -> list[Any]:
    """Give the values of plain files' rows one behind the other, as :data:`PLAIN_ROW` takes them.

    Args:
        states: Any.
        folders: Gets the values of folders, as :data:`FOLDER_ROW` takes them.
        others: Gets what is neither.

    >>> state = FileState(b"/a", FileType.FILE, 0o644, 0, 0, 2, 7, 1, 1, 5, 6, "ab" * 32, None, {})
    >>> [value for value in encode_plain([state], [], []) if not isinstance(value, bytearray)]
    [420, 0, 0, 2, 7, 1, 1, 5, 6]
    """
    values: list[Any] = []
    add, add_folder, raw_of = values.extend, folders.extend, bytearray.fromhex
    for state in states:
        path, kind, mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns, sha256, target, xattrs, problem = state
        try:
            if (
                target is None and problem is None and xattrs == _NO_XATTRS
                and inode <= _MAX and _MIN <= mtime_ns <= _MAX and _MIN <= ctime_ns <= _MAX  # type: ignore[operator]
                and size <= _MAX and dev <= _MAX  # type: ignore[operator]
            ):  # fmt: skip
                if kind is _FILE and len(sha256) == _DIGEST and (raw := raw_of(sha256)).hex() == sha256:  # type: ignore[arg-type]
                    add((bytearray(path), mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns, raw))
                    continue
                if kind is _FOLDER and sha256 is None:
                    add_folder((bytearray(path), mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns))
                    continue
        except (TypeError, ValueError):  # something is not known, or the hash is none
            pass
        others.append(state)
    return values


def _xattrs_out(text: str) -> dict[str, bytes]:
    return {name: parse_path(value) for name, value in json.loads(text).items()}


def decode_state(row: tuple[Any, ...]) -> FileState:
    """Read what :func:`encode_state` gave.

    >>> state = FileState(path=b"/a", type=FileType.FILE, inode=2**64 - 1, sha256="00ff", xattrs={"user.a": bytes([255])})
    >>> decode_state(encode_state(state)) == state
    True
    """
    path, kind, mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns, sha256, target, xattrs, problem = row
    if str in (size.__class__, inode.__class__, dev.__class__, mtime_ns.__class__, ctime_ns.__class__):
        size, inode, dev, mtime_ns, ctime_ns = map(int_out, (size, inode, dev, mtime_ns, ctime_ns))
    return _new_state((
        path, _TYPES[kind], mode, uid, gid, size, inode, dev, nlink, mtime_ns, ctime_ns,
        sha256.hex() if sha256.__class__ is bytes else sha256, target,
        _NO_XATTRS if xattrs == "{}" else xattrs and _xattrs_out(xattrs), problem and text_out(problem),
    ))  # fmt: skip
