"""What the doctor finds of the seal: no key, one that others can write, a private key on this host, a seal that is behind."""

import os
from collections.abc import Iterator

from fimkit.evidence.seal_folder import seal_dir
from fimkit.evidence.seal_keys import load_private_key
from fimkit.evidence.store import open_shared_store
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.errors import HostError, SealError, StoreError
from fimkit.model.paths import render_path
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.evidence_key import own_key_path
from fimkit.verbs.seal_rights import refuse_stranger
from fimkit.verbs.seal_view import FaultKind, SealReport, verify_seal

__all__ = ["check_seal", "find_private_keys"]

_MOST_FILES = 1000
_MOST_BYTES = 1 << 16
_SEAL = "fimkit baseline seal --key FILE"


def check_seal(config: Config, _host: DoctorHost) -> Iterator[Advice]:
    """The seal of the baseline, and the keys.

    Args:
        config: The configuration.
        _host: Nothing of it is needed here.
    """
    state_dir = config.host.state_dir
    for path in find_private_keys((os.path.dirname(config.seal.public_key), state_dir, seal_dir(state_dir))):
        if path == own_key_path(state_dir):
            continue  # it signs bundles, has to be here, and seals nothing
        yield Advice(
            code="seal-private-key", level=Level.WARNING, where=render_path(path),
            problem="a private key lies on this host: who has it can seal whatever he makes of the baseline.",
            remedy="keep it on another machine or a stick, and shred it here; the host needs its .pub alone",
        )  # fmt: skip
    try:
        with open_shared_store(state_dir) as store:
            if store.baseline_meta() is None:
                return
            try:
                refuse_stranger(state_dir)
            except HostError as error:
                yield Advice(
                    code="store-unseen", level=Level.NOTE, where=render_path(seal_dir(state_dir)), problem=f"{error}.",
                    remedy="run fimkit doctor as root",
                )  # fmt: skip
                return
            report = verify_seal(config, store)
    except (StoreError, HostError):
        return  # what is the matter with the store is said there
    yield from _seal_advice(config, report)


def _seal_advice(config: Config, report: SealReport) -> Iterator[Advice]:
    where, needed = render_path(config.seal.public_key), Level.WARNING if config.seal.require else Level.NOTE
    if report.key.problem:
        yield Advice(
            code="seal-key", level=Level.WARNING, where=where, problem=f"{report.key.problem}.",
            remedy=f"put the .pub of the key that seals there; then chown root: {where}; chmod 644 {where}",
        )  # fmt: skip
    elif report.key.raw is None:
        yield Advice(
            code="seal-no-key", level=needed, where=where,
            problem="there is no key that a seal of the baseline could be believed by"
            + (", and [seal] require is set." if config.seal.require else ": who is root can alter what is compared with."),
            remedy="on another machine: fimkit baseline keygen --output FILE; then put FILE.pub there",
        )  # fmt: skip
    elif report.key.is_first:
        yield Advice(
            code="seal-first-key", level=Level.NOTE, where=report.key.where,
            problem="the key of the seal was trusted as the first that came, and not put here by hand.",
            remedy=f"put its .pub at {where}",
        )  # fmt: skip
    for fault in report.faults:
        if fault.kind is FaultKind.UNSEALED and report.key.raw is not None:
            yield Advice(code="seal-none", level=needed, where=where, problem=f"{fault.words}.", remedy=_SEAL)
        elif fault.kind is FaultKind.ACCEPTED:
            yield Advice(code="seal-behind", level=needed, where=where, problem=f"{fault.words}.", remedy=_SEAL)
        elif fault.kind not in (FaultKind.UNSEALED, FaultKind.KEY_FILE):
            yield Advice(
                code="seal-broken", level=Level.TRAP, where=where, problem=f"{fault.words}.", remedy="fimkit baseline verify"
            )


def find_private_keys(folders: tuple[bytes, ...]) -> list[bytes]:
    """Find the files directly in some folders that hold a private key in PEM that could seal.

    The first so many files of each folder are looked at.
    """
    found = []
    for folder in dict.fromkeys(folders):
        try:
            with os.scandir(folder) as entries:
                files = [entry.path for entry, _ in zip(entries, range(_MOST_FILES), strict=False) if _is_small(entry)]
        except OSError:
            continue
        found += [path for path in files if _is_private(path)]
    return sorted(found)


def _is_small(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size <= _MOST_BYTES
    except OSError:
        return False


def _is_private(path: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(_MOST_BYTES)
    except OSError:
        return False
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in text:
        return True  # of what kind it is, only who has the passphrase can tell
    return b"-----BEGIN PRIVATE KEY-----" in text and _can_seal(text)


def _can_seal(pem: bytes) -> bool:
    try:
        load_private_key(pem, bytes)
    except SealError:
        return False  # a key of a mail client or a web server, as they lie on every host
    return True
