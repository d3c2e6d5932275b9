"""The key that a host signs its bundles with: made at its first use, in the state folder, for its owner alone."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fimkit.evidence.folder import check_private_file, check_state_dir, readers_trust
from fimkit.evidence.seal_keys import fingerprint, load_private_key, load_public_key, make_key_pair, public_of, render_public_key
from fimkit.model.errors import HostError, SealError, UsageError
from fimkit.model.paths import render_path
from fimkit.verbs.whole_files import open_beside, write_whole

if TYPE_CHECKING:  # it takes as long to load as the rest of a small verb
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["EvidenceKey", "load_own_public", "load_own_signer", "load_signer", "load_trusted", "own_key_path"]

_PRIVATE, _PUBLIC = b"evidence.key", b"evidence.pub"
_MOST_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceKey:
    """A public key: what it is called, and as PEM."""

    fingerprint: str
    pem: str


def _named(raw: bytes) -> EvidenceKey:
    return EvidenceKey(fingerprint=fingerprint(raw), pem=render_public_key(raw).decode("ascii"))


def _read(path: bytes) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(_MOST_BYTES)


def own_key_path(state_dir: bytes) -> bytes:
    """Give the place of a state folder's own private key."""
    return os.path.join(state_dir, _PRIVATE)


def load_own_public(state_dir: bytes) -> EvidenceKey | None:
    """Load the public half of a state folder's own key; nothing where none was made yet.

    Raises:
        HostError: If it cannot be read, or is no key.
    """
    path = os.path.join(state_dir, _PUBLIC)
    try:
        check_private_file(path, owners=readers_trust())
        return _named(load_public_key(_read(path)))
    except FileNotFoundError:
        return None
    except (OSError, SealError) as error:
        raise HostError(f"the evidence key {render_path(path)}: {_why(error)}") from error


def _no_passphrase() -> bytes:
    raise SealError("it has a passphrase")


def load_own_signer(state_dir: bytes) -> tuple["Ed25519PrivateKey", EvidenceKey]:
    """Load the host's own key, or make it (0600; its public half beside it).

    Raises:
        HostError: If it cannot be read or made, or others could have put it there.
    """
    path = own_key_path(state_dir)
    try:
        check_state_dir(state_dir)
        check_private_file(path)
        if not os.path.lexists(path):
            _make(path)
        if os.stat(path).st_mode & 0o077:
            raise SealError("others may read it: it proves nothing")
        key = load_private_key(_read(path), _no_passphrase)
        named = _named(public_of(key))
        public = os.path.join(state_dir, _PUBLIC)
        if not os.path.lexists(public) or _read(public) != named.pem.encode():
            write_whole(Path(os.fsdecode(public)), named.pem.encode(), 0o644)
    except (OSError, SealError) as error:
        raise HostError(f"the evidence key {render_path(path)}: {_why(error)}") from error
    return key, named


def _make(path: bytes) -> None:
    """Write a new key whole: half of one, on a full disk, would keep every later bundle from being signed."""
    pem, _ = make_key_pair(None)
    with suppress(UsageError), open_beside(Path(os.fsdecode(path)), over=False) as file:  # another process may have been faster
        file.write(pem)


def load_signer(path: Path, ask: Callable[[], bytes]) -> tuple["Ed25519PrivateKey", EvidenceKey]:
    """Load a key that is given by hand, as `baseline keygen` makes it.

    Raises:
        UsageError: If it is none, or cannot be read.
    """
    try:
        key = load_private_key(path.read_bytes()[:_MOST_BYTES], ask)
    except (OSError, SealError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--key {render_path(os.fsencode(path))}: {words}") from error
    return key, _named(public_of(key))


def load_trusted(path: Path) -> bytes:
    """Load a public key that is given by hand, raw.

    Raises:
        UsageError: If it is none, or cannot be read.
    """
    try:
        return load_public_key(path.read_bytes()[:_MOST_BYTES])
    except (OSError, SealError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--key {render_path(os.fsencode(path))}: {words}") from error


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{render_path(os.fsencode(error.filename))}: {error.strerror}"
    return str(error)
