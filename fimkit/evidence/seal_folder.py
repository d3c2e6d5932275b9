"""The seal's folder in the state folder: the seal, a copy of the sealed rows, and the key that was trusted first.

A seal is taken in three steps, and a process killed between any two leaves the old seal or the new one: the rows and ``next.json``
are written; the store commits; ``next.json`` takes the place of ``seal.json``. The copy names what was altered; it is believed as
far as its digest is the signed one.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

import zstandard

from fimkit.evidence.folder import check_private_file, check_state_dir, file_access, readers_trust
from fimkit.model.errors import HostError, SealError
from fimkit.model.paths import render_path

__all__ = [
    "digest_copy", "finish_seal", "keep_first_key", "load_copy", "load_first_key", "load_seal_texts", "prepare_seal", "seal_dir",
]  # fmt: skip

_CHUNK = 1 << 20
_MOST_BYTES = 4 << 20  # of a seal's text: a few hundred watches are some kilobytes


def seal_dir(state_dir: bytes) -> bytes:
    """Name the folder.

    >>> seal_dir(b"/var/lib/fimkit")
    b'/var/lib/fimkit/seal'
    """
    return os.path.join(state_dir, b"seal")


def _rows_name(number: int) -> bytes:
    return b"rows-%d.zst" % number


def prepare_seal(state_dir: bytes, number: int, text: str, batches: Iterable[list[bytes]]) -> None:
    """Write the copy of the rows and the seal-to-be, durably; what the present seal is made of stays.

    Raises:
        HostError: If the host refuses.
    """
    folder = seal_dir(state_dir)
    mode, group = file_access(state_dir)
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        check_state_dir(folder)
        if group != -1:
            os.chown(folder, -1, group)
            os.chmod(folder, 0o750)
        compressor = zstandard.ZstdCompressor(level=1).compressobj()
        parts = (compressor.compress(b"\n".join((*lines, b""))) for lines in batches)
        _write(folder, _rows_name(number), (part for some in (parts, _end(compressor)) for part in some), mode, group)
        _write(folder, b"next.json", iter((text.encode(),)), mode, group)
    except OSError as error:
        if isinstance(error, HostError):
            raise
        raise HostError(f"cannot write the seal in {render_path(folder)}: {error.strerror}") from error


def _end(compressor: "zstandard.ZstdCompressionObj") -> Iterator[bytes]:
    yield compressor.flush()


def _write(folder: bytes, name: bytes, parts: Iterable[bytes], mode: int, group: int) -> None:
    """Put a whole file in its place, or none."""
    place = os.path.join(folder, name)
    beside = place + b".new"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for part in parts:
            file.write(part)
        if group != -1:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        file.flush()
        os.fsync(descriptor)
    os.replace(beside, place)
    _sync(folder)


def _sync(folder: bytes) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def finish_seal(state_dir: bytes, number: int) -> None:
    """Put the prepared seal in the old one's place, once the store has it, and drop what belonged to older ones.

    Raises:
        HostError: If the host refuses.
    """
    folder = seal_dir(state_dir)
    try:
        os.replace(os.path.join(folder, b"next.json"), os.path.join(folder, b"seal.json"))
        _sync(folder)
        for name in os.listdir(folder):
            if name.startswith(b"rows-") and name != _rows_name(number):
                os.unlink(os.path.join(folder, name))
    except OSError as error:
        raise HostError(f"cannot put the seal in its place in {render_path(folder)}: {error.strerror}") from error


def _read(path: bytes) -> bytes | None:
    """Read a small file; none is none.

    Raises:
        HostError: If it is a link, another's, too long, or cannot be read.
    """
    _check_place(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"cannot read {render_path(path)}: {error.strerror}") from error
    if len(raw) > _MOST_BYTES:
        raise HostError(f"{render_path(path)} has over {_MOST_BYTES} bytes, and is no seal")
    return raw


def _check_place(path: bytes) -> None:
    """Refuse a file, or a folder around it, that somebody else may have put there; none of either is fine."""
    folder = os.path.dirname(path)
    if os.path.lexists(folder):
        check_state_dir(folder, owners=readers_trust())
    check_private_file(path, owners=readers_trust())


def load_seal_texts(state_dir: bytes) -> tuple[str | None, str | None]:
    """Read the seal, and the one that was being taken when its process ended; ``None`` where there is none.

    Raises:
        HostError: If one is a symbolic link, another user's, or cannot be read.
    """
    present, coming = (_read(os.path.join(seal_dir(state_dir), name)) for name in (b"seal.json", b"next.json"))
    return _decoded(present), _decoded(coming)


def _decoded(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def digest_copy(state_dir: bytes, number: int) -> tuple[str, int]:
    """Hash the copy of the sealed rows, and count its lines.

    Raises:
        SealError: If it is not there, or damaged.
        HostError: If it is a symbolic link, another user's, or cannot be read.
    """
    digest, count = hashlib.sha256(), 0
    for part in _copy_parts(state_dir, number):
        digest.update(part)
        count += part.count(b"\n")
    return digest.hexdigest(), count


def load_copy(state_dir: bytes, number: int) -> Iterator[list[bytes]]:
    """Read the copy, some lines at a time; what follows the last newline is none. For a copy whose digest is right.

    Raises:
        SealError: If it is not there, or damaged.
        HostError: If it is a symbolic link, another user's, or cannot be read.
    """
    rest = b""
    for part in _copy_parts(state_dir, number):
        *lines, rest = (rest + part).split(b"\n")
        yield lines


def _copy_parts(state_dir: bytes, number: int) -> Iterator[bytes]:
    path = os.path.join(seal_dir(state_dir), _rows_name(number))
    _check_place(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            while part := reader.read(_CHUNK):
                yield part
    except FileNotFoundError:
        raise SealError(f"the copy of the sealed rows, {render_path(path)}, is not there") from None
    except zstandard.ZstdError as error:
        raise SealError(f"the copy of the sealed rows, {render_path(path)}, is damaged ({error})") from None
    except OSError as error:
        raise HostError(f"cannot read {render_path(path)}: {error.strerror}") from error


def keep_first_key(state_dir: bytes, pem: bytes) -> bool:
    """Keep the public key of a first seal, unless one is kept already; tells whether it is kept now for the first time.

    Raises:
        HostError: If the host refuses.
    """
    if load_first_key(state_dir) is not None:
        return False
    mode, group = file_access(state_dir)
    try:
        _write(seal_dir(state_dir), b"key.pub", iter((pem,)), mode, group)
    except OSError as error:
        raise HostError(f"cannot keep the public key in {render_path(seal_dir(state_dir))}: {error.strerror}") from error
    return True


def load_first_key(state_dir: bytes) -> bytes | None:
    """Read the public key of the first seal; ``None`` where there is none.

    Raises:
        HostError: If it cannot be read, or could be another's.
    """
    return _read(os.path.join(seal_dir(state_dir), b"key.pub"))
