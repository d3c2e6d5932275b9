"""Seals the baseline: with the private key at hand for a moment, or by a request that is signed elsewhere."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from fimkit.evidence.lock import lock_state
from fimkit.evidence.seal_folder import finish_seal, keep_first_key, load_seal_texts, prepare_seal
from fimkit.evidence.seal_keys import (
    fingerprint,
    is_signed,
    load_private_key,
    make_key_pair,
    public_of,
    render_public_key,
    sign,
)
from fimkit.evidence.seal_rows import digest_lines
from fimkit.evidence.seal_statement import (
    Seal,
    SealStatement,
    parse_request,
    parse_seal,
    render_request,
    render_seal,
    render_statement,
    signed_bytes,
)
from fimkit.evidence.store import Store
from fimkit.model.config import Config
from fimkit.model.errors import HostError, SealError, UsageError
from fimkit.model.paths import render_path
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.panic_notices import notify_if_armed
from fimkit.verbs.seal_findings import cases_of, make_seal_findings
from fimkit.verbs.seal_rights import refuse_stranger
from fimkit.verbs.seal_view import (
    FaultKind,
    PinnedKey,
    SealReport,
    find_pinned_key,
    last_number,
    render_watches,
    verify_seal,
)

__all__ = ["NewKey", "Sealed", "make_key", "request_seal", "seal_baseline", "sign_request", "take_seal", "verify_baseline"]

Ask = Callable[[], bytes]

# What a new seal settles by itself: rows that were accepted, and a baseline that bore none.
_SETTLED = frozenset({FaultKind.ACCEPTED, FaultKind.UNSEALED, FaultKind.WATCHES, FaultKind.DROPPED})
_LOCK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was made: where it is, where its public half is, and what that is called."""

    private: str
    public: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A seal that was taken. ``before`` is how the one before was; ``first_key`` says that its key is trusted from now on."""

    statement: SealStatement
    before: SealReport
    first_key: bool
    notice: str | None


def make_key(path: str, passphrase: bytes | None) -> NewKey:
    """Make a private key (0600) and, beside it, its public half; neither ever takes an existing file's place.

    Raises:
        UsageError: If one of the files is there already.
        HostError: If one cannot be written.
    """
    public = path + ".pub"
    for name in (path, public):
        if os.path.lexists(name):
            raise UsageError(f"{render_path(os.fsencode(name))} is there already, and is not overwritten")
    pem, raw = make_key_pair(passphrase)
    _write_new(path, pem, 0o600)
    try:
        _write_new(public, render_public_key(raw), 0o644)
    except (UsageError, HostError):
        with suppress(OSError):
            os.unlink(path)
        raise
    return NewKey(private=path, public=public, fingerprint=fingerprint(raw))


def _write_new(path: str, content: bytes, mode: int) -> None:
    name = render_path(os.fsencode(path))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise UsageError(f"{name} is there already, and is not overwritten") from None
    except OSError as error:
        raise HostError(f"cannot make {name}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            os.unlink(path)
        raise HostError(f"cannot write {name}: {error.strerror}") from error


def verify_baseline(config: Config, *, at_least: int = 0, public_key: bytes | None = None) -> SealReport:
    """Verify the seal of the baseline. What looks wrong is looked at again while nobody may be sealing.

    Raises:
        UsageError: If there is no baseline.
        HostError: If another fimkit is at work, or the host refuses.
    """
    with open_baseline(config)[0] as store:
        refuse_stranger(config.host.state_dir)
        report = verify_seal(config, store, at_least=at_least, public_key=public_key)
    if not report.faults or not _is_own(config):
        return report
    with lock_state(config.host.state_dir, wait_s=_LOCK_S, verb="baseline verify"), open_baseline(config)[0] as store:
        return verify_seal(config, store, at_least=at_least, public_key=public_key)


def _is_own(config: Config) -> bool:
    return os.stat(config.host.state_dir).st_uid == os.geteuid()


def seal_baseline(config: Config, pem: bytes, ask: Ask, *, who: str, anyway: bool = False) -> Sealed:
    """Seal the baseline with a private key, which is kept nowhere.

    Args:
        config: The configuration.
        pem: The private key.
        ask: Gives its passphrase, where it has one.
        who: Who seals.
        anyway: Seal although the present seal says that the baseline was tampered with.

    Raises:
        UsageError: If there is no baseline, or it was tampered with.
        SealError: If it is no key, the passphrase is wrong, or another key is pinned.
        HostError: If another fimkit is at work, or the host refuses.
    """
    key = load_private_key(pem, ask)
    raw = public_of(key)
    open_baseline(config)[0].close()  # says what is missing before the lock makes its file
    with lock_state(config.host.state_dir, wait_s=_LOCK_S, verb="baseline seal"), open_baseline(config)[0] as store:
        pinned = _complete(config, store)
        _check_key(pinned, raw, config)
        before = _check_before(config, store, anyway=anyway)
        statement = _statement(config, store, key=fingerprint(raw), who=who)
        signed = render_statement(statement)
        seal = Seal(statement=statement, signed=signed, signature=sign(key, signed_bytes(signed)), public_key=raw)
        first = _put(config, store, seal, before, who=who, pinned=pinned)
    return Sealed(statement=statement, before=before, first_key=first, notice=_tell(config, statement, who))


def request_seal(config: Config, *, who: str, anyway: bool = False) -> str:
    """Write what is to be signed where the private key is. The baseline must still be the same when the seal comes back.

    Raises:
        UsageError: If there is no baseline, or it was tampered with.
        HostError: If another fimkit is at work, or the host refuses.
    """
    open_baseline(config)[0].close()
    with lock_state(config.host.state_dir, wait_s=_LOCK_S, verb="baseline seal"), open_baseline(config)[0] as store:
        pinned = _complete(config, store)
        _check_before(config, store, anyway=anyway)
        key = "" if pinned.raw is None else fingerprint(pinned.raw)
        return render_request(_statement(config, store, key=key, who=who))


def sign_request(text: str, pem: bytes, ask: Ask) -> tuple[str, SealStatement]:
    """Sign a request: gives the seal's text, and what it says. Needs nothing of the host that it is for.

    Raises:
        SealError: If it is no request or no key, the passphrase is wrong, or the request is for another key.
    """
    statement, signed = parse_request(text)
    key = load_private_key(pem, ask)
    raw = public_of(key)
    if statement.key not in ("", fingerprint(raw)):
        raise SealError(f"the request is for the key {statement.key}, and this one is {fingerprint(raw)}")
    seal = Seal(statement=statement, signed=signed, signature=sign(key, signed_bytes(signed)), public_key=raw)
    return render_seal(seal), statement


def take_seal(config: Config, text: str, *, who: str, anyway: bool = False) -> Sealed:
    """Take a seal that was signed elsewhere, if it is of the baseline as it is now.

    Raises:
        UsageError: If there is no baseline, or it was tampered with.
        SealError: If it is no seal, is not signed by the pinned key, is of an earlier number, or is not of this baseline.
        HostError: If another fimkit is at work, or the host refuses.
    """
    seal = parse_seal(text)
    open_baseline(config)[0].close()
    with lock_state(config.host.state_dir, wait_s=_LOCK_S, verb="baseline seal"), open_baseline(config)[0] as store:
        pinned = _complete(config, store)
        _check_key(pinned, seal.public_key, config)
        if not is_signed(seal.public_key, seal.signature, signed_bytes(seal.signed)):
            raise SealError("its signature is wrong: what it says was altered on its way")
        now = _statement(config, store, key=seal.statement.key, who=seal.statement.who)
        _check_taken(seal.statement, now)
        before = _check_before(config, store, anyway=anyway)
        first = _put(config, store, seal, before, who=who, pinned=pinned)
    return Sealed(statement=seal.statement, before=before, first_key=first, notice=_tell(config, seal.statement, who))


def _check_taken(given: SealStatement, now: SealStatement) -> None:
    if given.host != now.host:
        raise SealError(f"it is of the host {given.host!r}, and this one is {now.host!r}")
    if given.number < now.number:
        raise SealError(f"it has the number {given.number}, and the next one here is {now.number}: request a new one")
    if (given.digest, given.rows, given.acceptance, given.watches) != (now.digest, now.rows, now.acceptance, now.watches):
        raise SealError("it is not of the baseline as it is now, which was changed since the request: request a new one")


def _complete(config: Config, store: Store) -> PinnedKey:
    """Finish what a killed seal left undone after its commit, and find the key that counts."""
    seals = store.seals()
    if seals and load_seal_texts(config.host.state_dir)[1] == seals[-1][1]:
        finish_seal(config.host.state_dir, seals[-1][0])
    pinned = find_pinned_key(config, store)
    if pinned.problem:
        raise SealError(f"the key that seals are believed by cannot be read: {pinned.problem}")
    return pinned


def _check_key(pinned: PinnedKey, raw: bytes, config: Config) -> None:
    if pinned.raw is not None and pinned.raw != raw:
        raise SealError(
            f"the key is {fingerprint(raw)}, and seals of this host are believed by {fingerprint(pinned.raw)} ({pinned.where}): to"
            f" change keys, put the new public key at {render_path(config.seal.public_key)}"
        )


def _check_before(config: Config, store: Store, *, anyway: bool) -> SealReport:
    """Refuse to vouch unseen for a baseline that its present seal says was tampered with."""
    report = verify_seal(config, store)
    bad = [fault for fault in report.faults if fault.kind not in _SETTLED | {FaultKind.KEY_CHANGED}]
    if bad and not anyway:
        raise UsageError(
            f"the present seal does not verify: {bad[0].words}; look at it by `fimkit baseline verify`, and seal the baseline as it"
            " is with --anyway only when you know why (you change keys, say)"
        )
    return report


def _statement(config: Config, store: Store, *, key: str, who: str) -> SealStatement:
    digest, rows = digest_lines(store.baseline_lines())
    acceptance = max(one.id for one in store.acceptances())
    return SealStatement(
        host=config.host.name, number=last_number(config, store) + 1, time_ns=time.time_ns(), rows=rows, digest=digest,
        acceptance=acceptance, acceptances=store.acceptances_digest(acceptance), key=key, who=who,
        watches=render_watches(config.paths),
    )  # fmt: skip


def _put(config: Config, store: Store, seal: Seal, before: SealReport, *, who: str, pinned: PinnedKey) -> bool:
    """Put a seal in its place, in steps that each leave the old one or the new one; tells whether its key was trusted by it."""
    statement, text = seal.statement, render_seal(seal)
    written: list[tuple[str, int]] = []
    prepare_seal(config.host.state_dir, statement.number, text, _measured(store, written))
    if written != [(statement.digest, statement.rows)]:
        raise SealError("the baseline was changed while it was sealed: seal it again")
    first = keep_first_key(config.host.state_dir, render_public_key(seal.public_key)) and pinned.raw is None
    settled = replace(before, faults=tuple(fault for fault in before.faults if fault.kind in _SETTLED))
    cases = cases_of(config, settled, require=True)
    ids = {finding.id for finding in make_seal_findings(config, cases, now_ns=statement.time_ns)}
    still = [finding.id for finding in store.findings() if finding.id in ids] if ids else []
    with store.transaction():
        store.add_seal(statement.number, time_ns=statement.time_ns, key=fingerprint(seal.public_key), body=text)
        if still:
            store.accept((), who=who, why=f"sealed, number {statement.number}", time_ns=time.time_ns(), finding_ids=still)
    finish_seal(config.host.state_dir, statement.number)
    return first


def _measured(store: Store, written: list[tuple[str, int]]) -> Iterator[list[bytes]]:
    """Hash what passes by: the copy is of what is signed."""
    digest, count = hashlib.sha256(), 0
    for lines in store.baseline_lines():
        digest.update(b"\n".join((*lines, b"")))
        count += len(lines)
        yield lines
    written.append((digest.hexdigest(), count))


def _tell(config: Config, statement: SealStatement, who: str) -> str | None:
    lines = [
        f"The baseline was sealed: number {statement.number}, {statement.rows} rows, digest {statement.digest}.",
        f"By {who}, with the key {statement.key or 'that it was the first seal of'}.",
        f"`fimkit baseline verify --at-least {statement.number}` on the host says so if an older one is put back.",
    ]
    return notify_if_armed(config, "baseline sealed", lines)
