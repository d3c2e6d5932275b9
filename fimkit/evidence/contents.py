"""What text files say, kept beside the evidence store: masked, compressed, in a file of its own that its owner alone reads.

The store's group may read findings. It may not read this: a file's content is shown to nobody here who could not read the file, and
the owner of the state folder (root, as a rule) reads them all. So whoever is not its owner gets no text from here, and what goes
out by mail asks :attr:`KeptText.public`. A rollback journal, no write-ahead log: what was masked anew is in no second file.
"""

import os
import re
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Self
from urllib.parse import quote_from_bytes

import zstandard

from fimkit.evidence.connection import translated_errors, write_transaction
from fimkit.evidence.folder import check_private_file, check_state_dir, readers_trust
from fimkit.evidence.masking import RULES_VERSION, Masker
from fimkit.model.errors import HostError, StoreError
from fimkit.model.paths import render_path
from fimkit.model.states import FileState

__all__ = ["Contents", "KeptText", "SeenText", "contents_path", "decode_text", "open_contents", "open_contents_reading"]

_BUSY_S = 5.0
_MIB = 1024 * 1024
_DAY_NS = 86_400 * 1_000_000_000
_MOST_TEXT = 64 * _MIB
_APPLICATION_ID = 0x66696D63  # "fimc"
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    "CREATE TABLE texts (sha256 TEXT PRIMARY KEY, body BLOB NOT NULL)",
    # A path's content as it was seen, with the file's rights then; `why` in the place of a text that was refused.
    """CREATE TABLE kept (
        path BLOB NOT NULL, sha256 TEXT NOT NULL, mode INTEGER, uid INTEGER, gid INTEGER, public INTEGER NOT NULL,
        accepted INTEGER NOT NULL, seen_ns INTEGER NOT NULL, why TEXT, PRIMARY KEY (path, sha256)) WITHOUT ROWID""",
    "CREATE INDEX kept_sha256 ON kept (sha256)",
    "CREATE INDEX kept_seen ON kept (accepted, seen_ns)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ODD = re.compile("[\x01-\x06\x0e-\x1a\x1c-\x1f\x7f\udc80-\udcff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptText:
    """What a file said: masked ``text``, or ``None`` and ``why`` it was refused. ``public``: everyone could read the file."""

    text: str | None
    why: str | None
    public: bool


def contents_path(state_dir: bytes) -> bytes:
    """Name the file.

    >>> contents_path(b"/var/lib/fimkit")
    b'/var/lib/fimkit/contents.sqlite'
    """
    return os.path.join(state_dir, b"contents.sqlite")


def decode_text(content: bytes) -> str | None:
    r"""Read a file's bytes as text: UTF-8, or UTF-16 that says so at its beginning. Other bytes stay, as half pairs.

    Returns:
        ``None`` for what is no text: a NUL in it, or a third of it no letters.

    >>> decode_text("ä\n".encode("utf-16")), decode_text(b"caf\xe9"), decode_text(b"\x7fELF\0")
    ('ä\n', 'caf\udce9', None)
    """
    for mark, codec in _BOMS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(codec, "surrogateescape" if codec == "utf-8" else "replace")
            break
    else:
        text = content.decode("utf-8", "surrogateescape")
    if "\0" in text or len(_ODD.findall(text)) * 3 > len(text):
        return None
    return text


class SeenText(NamedTuple):
    """A file to be kept: its state, the bytes that have the state's hash, and whether everyone may read it.

    Where it was seen closed once with just these bytes, it stays closed.
    """

    state: FileState
    content: bytes
    public: bool


class Contents:
    """The open file; a context manager.

    Raises:
        StoreError: From any method, if the file turns out to be damaged.
        HostError: From any method, if the host refuses.
    """

    def __init__(self, connection: sqlite3.Connection, path: bytes, masker: Masker | None) -> None:
        """Take an open connection; :func:`open_contents` makes one."""
        self._connection, self.path, self._masker = connection, path, masker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is written inside one commit."""
        with translated_errors(self.path), write_transaction(self._connection):
            yield

    def has(self, path: bytes, sha256: str, *, accepted: bool = False) -> bool:
        """Tell whether a path's content was kept already, or refused; with ``accepted``: as the baseline's."""
        with translated_errors(self.path):
            row = self._connection.execute("SELECT accepted FROM kept WHERE path = ? AND sha256 = ?", (path, sha256)).fetchone()
        return row is not None and (not accepted or bool(row[0]))

    def keep(self, seen: Sequence[SeenText], *, accepted: bool, seen_ns: int) -> None:
        """Keep what files say, masked. Others wait only for the writing.

        Args:
            seen: The files.
            accepted: It is what the baseline has.
            seen_ns: When.
        """
        rows = []
        for one in seen:
            text = decode_text(one.content)
            rows.append((one, None if text is None else self._mask(one.state.sha256, text)))
        with self.transaction():
            for one, body in rows:
                state = one.state
                if body:
                    self._connection.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (state.sha256, body))
                self._connection.execute(
                    """INSERT INTO kept VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path, sha256) DO UPDATE SET
                        mode = excluded.mode, uid = excluded.uid, gid = excluded.gid, public = min(public, excluded.public),
                        accepted = max(accepted, excluded.accepted), seen_ns = max(seen_ns, excluded.seen_ns)""",
                    (state.path, state.sha256, state.mode, state.uid, state.gid, int(one.public), int(accepted), seen_ns,
                     None if body is not None else "binary, no text"),
                )  # fmt: skip

    def _mask(self, sha256: str | None, text: str) -> bytes:
        """Give the masked text as it is stored; empty where it is stored already, as another path's."""
        assert self._masker is not None
        known = self._connection.execute("SELECT 1 FROM texts WHERE sha256 = ?", (sha256,)).fetchone()
        return b"" if known else _pack(self._masker.mask(text))

    def accept(self, pairs: Iterable[tuple[bytes, str | None]]) -> None:
        """Note which content of a path is the baseline's now; ``None``: none is, the path is to be absent or something else."""
        with self.transaction():
            self._connection.executemany(
                "UPDATE kept SET accepted = (sha256 IS ?2) WHERE path = ?1", pairs
            )

    def forget_accepted(self) -> None:
        """Take it that no content is the baseline's any more: another one is taken."""
        with self.transaction():
            self._connection.execute("UPDATE kept SET accepted = 0")

    def load(self, path: bytes, sha256: str) -> KeptText | None:
        """Give what a path said when it had a hash; nothing where that was not kept."""
        with translated_errors(self.path):
            row = self._connection.execute(
                "SELECT public, why, body FROM kept LEFT JOIN texts USING (sha256) WHERE path = ? AND sha256 = ?", (path, sha256)
            ).fetchone()
        if row is None or (row[1] is None and row[2] is None):
            return None
        text = None if row[1] is not None else _unpack(row[2], self.path)
        return KeptText(text=text, why=row[1], public=bool(row[0]))

    def used_bytes(self) -> int:
        """Measure what the texts take, free pages aside."""
        with translated_errors(self.path):
            return _used(self._connection)

    def apply_limits(
        self, *, keep_days: int, most_bytes: int, now_ns: int, live: Collection[tuple[bytes, str]] = ()
    ) -> list[str]:
        """Drop what is too old and neither the baseline's nor an open finding's, then the oldest until the rest is small enough.

        Args:
            keep_days: How long what is neither is kept.
            most_bytes: Of all texts; the baseline's go last.
            now_ns: The time.
            live: Path and hash of what open findings stand on.

        Returns:
            Words for all that was dropped.
        """
        words = []
        with self.transaction():
            old = self._connection.execute(
                "SELECT path, sha256 FROM kept WHERE accepted = 0 AND seen_ns < ?", (now_ns - keep_days * _DAY_NS,)
            ).fetchall()
            dropped = self._drop([row for row in old if row not in set(live)])
            if dropped:
                words.append(f"dropped {dropped} kept contents, older than {keep_days} days")
            words += self._drop_surplus(most_bytes, set(live))
        if words:
            with translated_errors(self.path):
                self._connection.executescript("PRAGMA incremental_vacuum")
        return words

    def _drop(self, rows: Sequence[tuple[bytes, str]]) -> int:
        self._connection.executemany("DELETE FROM kept WHERE path = ? AND sha256 = ?", rows)
        if rows:
            self._connection.execute("DELETE FROM texts WHERE sha256 NOT IN (SELECT sha256 FROM kept)")
        return len(rows)

    def _drop_surplus(self, most_bytes: int, live: set[tuple[bytes, str]]) -> Iterator[str]:
        if _used(self._connection) <= most_bytes:
            return
        rows = self._connection.execute("SELECT path, sha256, accepted FROM kept ORDER BY accepted, seen_ns, path").fetchall()
        rows.sort(key=lambda row: (bool(row[2]), row[:2] in live))
        step, dropped = max(20, len(rows) // 20), 0
        for start in range(0, len(rows), step):
            if _used(self._connection) <= most_bytes:
                break
            dropped += self._drop([(path, sha256) for path, sha256, _ in rows[start : start + step]])
        if dropped:
            yield f"dropped the {dropped} oldest kept contents, to keep them within a quarter of store.max_mb"

    def _mask_anew(self, rules: str) -> None:
        """Mask what is kept by the present patterns too: one that was added is for what was there before as well."""
        assert self._masker is not None
        with self.transaction():
            for (sha256,) in self._connection.execute("SELECT sha256 FROM texts").fetchall():
                (body,) = self._connection.execute("SELECT body FROM texts WHERE sha256 = ?", (sha256,)).fetchone()
                packed = _pack(self._masker.mask(_unpack(body, self.path)))
                self._connection.execute("UPDATE texts SET body = ? WHERE sha256 = ?", (packed, sha256))
            self._connection.execute("INSERT OR REPLACE INTO settings VALUES ('rules', ?)", (rules,))


def _used(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _pack(text: str) -> bytes:
    return zstandard.ZstdCompressor(level=6).compress(text.encode("utf-8", "surrogatepass"))


def _unpack(body: bytes, path: bytes) -> str:
    try:
        plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=_MOST_TEXT)
        return plain.decode("utf-8", "surrogatepass")
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        raise StoreError(f"{render_path(path)}: a kept content is damaged ({error})") from error


def open_contents(state_dir: bytes, *, patterns: Sequence[str] = ()) -> Contents:
    """Open the contents of a state folder for writing; made where they are missing.

    Args:
        state_dir: The folder, which is there.
        patterns: ``store.mask``. Where they are others than last time, all that is kept is masked anew.

    Raises:
        StoreError: If the file is damaged, another program's, or of a later version.
        HostError: If it could have been tampered with, or cannot be opened.
    """
    path = contents_path(state_dir)
    check_state_dir(state_dir)
    check_private_file(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        if os.lstat(path).st_mode & 0o077:
            os.chmod(path, 0o600)
    except OSError as error:
        raise HostError(f"cannot open the kept contents {render_path(path)}: {error.strerror}") from error
    with translated_errors(path):
        connection = sqlite3.connect(os.fsdecode(path), timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            key = _set_up(connection, path)
            contents = Contents(connection, path, Masker(key, patterns))
            rules = "\n".join([str(RULES_VERSION), *patterns])
            if connection.execute("SELECT value FROM settings WHERE name = 'rules'").fetchone() != (rules,):
                contents._mask_anew(rules)
        except BaseException:
            connection.close()
            raise
    return contents


def _set_up(connection: sqlite3.Connection, path: bytes) -> bytes:
    """Make the tables where there are none, and give the key of the fingerprints."""
    _check_version(connection, path)
    if not connection.execute("PRAGMA page_count").fetchone()[0]:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for words in ("synchronous = FULL", "trusted_schema = OFF", "cell_size_check = ON", "secure_delete = ON",
                  "temp_store = MEMORY"):  # fmt: skip
        connection.execute(f"PRAGMA {words}")
    with write_transaction(connection):
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO settings VALUES ('key', ?)", (secrets.token_bytes(32),))
    return bytes(connection.execute("SELECT value FROM settings WHERE name = 'key'").fetchone()[0])


def _check_version(connection: sqlite3.Connection, path: bytes) -> None:
    version, application, tables = (
        int(connection.execute(query).fetchone()[0])
        for query in ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
    )
    if (version or application or tables) and application != _APPLICATION_ID:
        raise StoreError(f"the kept contents {render_path(path)} are another program's database")
    if version > _VERSION:
        raise StoreError(f"the kept contents {render_path(path)} were written by a later fimkit; update fimkit")


def open_contents_reading(state_dir: bytes) -> Contents | None:
    """Open the contents for reading; nothing where none were ever kept.

    Raises:
        StoreError: If the file is damaged, another program's, or of a later version.
        HostError: If it could have been tampered with, or this user may not read it: the store's group may not.
    """
    path = contents_path(state_dir)
    if not os.path.lexists(path):
        return None
    check_state_dir(state_dir, owners=readers_trust())
    check_private_file(path, owners=readers_trust())
    if not os.access(path, os.R_OK):
        raise HostError(f"this user may not read what files said: {render_path(path)} is for its owner alone")
    with translated_errors(path):
        connection = sqlite3.connect(
            f"file:{quote_from_bytes(path)}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            _check_version(connection, path)
            empty = connection.execute("PRAGMA user_version").fetchone()[0] == 0
        except BaseException:
            connection.close()
            raise
    if empty:
        connection.close()
        return None
    return Contents(connection, path, None)
