"""rpm's database on this host, in SQLite: whose headers name a path. Root can edit it, but not sign a header anew."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fimkit.model.errors import PackageError, clip
from fimkit.model.paths import render_path
from fimkit.packages.openpgp import split_certificates
from fimkit.packages.pins import PinnedPackage
from fimkit.packages.rpm_header import RpmHeader, parse_rpm_header
from fimkit.packages.streams import BLOCK, open_regular

__all__ = ["RPM_DATABASE", "RpmDatabase"]

RPM_DATABASE = b"rpmdb.sqlite"
_KEY_PACKAGE = "gpg-pubkey"
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


class RpmDatabase:
    """The database as it was when this was made: a copy, so that looking leaves no trace in the folder, which may be watched."""

    def __init__(self, folder: bytes) -> None:
        """Copy the database.

        Raises:
            PackageError: If it cannot be copied, or is of another kind than SQLite.
        """
        self.problems: list[str] = []
        if not os.path.exists(folder + b"/" + RPM_DATABASE):
            raise PackageError(f"rpm's database in {render_path(folder)} is no SQLite one; Berkeley DB and ndb are not read")
        self._copy = tempfile.TemporaryDirectory(prefix="fimkit-rpmdb-")
        try:
            copy = Path(self._copy.name) / "rpmdb.sqlite"
            _copy_file(folder + b"/" + RPM_DATABASE, copy)
            log = folder + b"/" + RPM_DATABASE + b"-wal"  # rpm leaves what it did last in there
            if os.path.exists(log):
                _copy_file(log, copy.with_name("rpmdb.sqlite-wal"))
            self._connection = sqlite3.connect(copy)
            self._connection.execute("SELECT count(*) FROM Packages").fetchone()
        except (PackageError, *_ERRORS, OSError) as error:
            self._copy.cleanup()
            raise PackageError(f"rpm's database in {render_path(folder)} cannot be read: {error}") from error

    def close(self) -> None:
        """Remove the copy."""
        self._connection.close()
        self._copy.cleanup()

    def _blobs(self, query: str, *values: object) -> list[bytes]:
        try:
            return [blob for (blob,) in self._connection.execute(query, values) if isinstance(blob, bytes)]
        except _ERRORS as error:
            raise PackageError(f"rpm's database is damaged: {error}") from error

    def _headers(self, blobs: list[bytes]) -> Iterator[RpmHeader]:
        for blob in blobs:
            try:
                yield parse_rpm_header(blob)
            except PackageError as error:
                self.problems.append(f"rpm's database: {error}")

    def naming(self, name: bytes) -> Iterator[RpmHeader]:
        """Give the headers that are said to have a file of this name, in whatever folder.

        Raises:
            PackageError: If the database is damaged. A header that is none is a problem, and proves nothing.
        """
        text = name.decode("utf-8", "surrogateescape")
        key: object = text if not any("\udc80" <= char <= "\udcff" for char in text) else name
        query = "SELECT blob FROM Packages WHERE hnum IN (SELECT hnum FROM Basenames WHERE key IN (?, ?)) ORDER BY hnum DESC"
        yield from self._headers(self._blobs(query, key, name))

    def _named(self, name: str) -> Iterator[RpmHeader]:
        query = "SELECT blob FROM Packages WHERE hnum IN (SELECT hnum FROM Name WHERE key = ?)"
        yield from self._headers(self._blobs(query, name))

    def certificates(self) -> dict[str, bytes]:
        """Give the keys that rpm trusts, by fingerprint; what is no key is a problem."""
        found: dict[str, bytes] = {}
        for header in self._named(_KEY_PACKAGE):
            try:
                found |= split_certificates(str(header.values.get("description", "")).encode("utf-8", "surrogateescape"))
            except PackageError as error:
                self.problems.append(f"rpm's key {clip(header.evr)}: {error}")
        return found

    def packages(self) -> list[PinnedPackage]:
        """Name what is installed."""
        return sorted(
            PinnedPackage(header.name, str(header.values.get("arch", "")), header.evr)
            for header in self._headers(self._blobs("SELECT blob FROM Packages"))
            if header.name != _KEY_PACKAGE
        )

    def version_of(self, name: str) -> list[str]:
        """Give the versions that are said to be installed of one package."""
        return [header.evr for header in self._named(name)]


def _copy_file(path: bytes, copy: Path) -> None:
    with open_regular(path) as descriptor, copy.open("wb") as output, os.fdopen(os.dup(descriptor), "rb") as file:
        shutil.copyfileobj(file, output, BLOCK)
