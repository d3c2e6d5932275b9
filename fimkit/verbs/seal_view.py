"""Verifies the seal of a baseline: whose it is, whether it is the last one, and whether the rows are those that were sealed."""

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fimkit.evidence.history_rows import Acceptance
from fimkit.evidence.seal_compare import Explained, RowChange, diff_lines, explain_diffs, parse_row_change, undo_steps
from fimkit.evidence.seal_folder import digest_copy, load_copy, load_first_key, load_seal_texts
from fimkit.evidence.seal_keys import fingerprint, is_signed, load_public_key
from fimkit.evidence.seal_rows import digest_lines
from fimkit.evidence.seal_statement import Seal, SealStatement, parse_seal, signed_bytes
from fimkit.evidence.store import Store
from fimkit.model.config import Config, SealPolicy, Watch
from fimkit.model.errors import HostError, SealError, clip
from fimkit.model.paths import render_path
from fimkit.model.time import render_time

__all__ = [
    "MOST_ROWS", "Fault", "FaultKind", "PinnedKey", "SealReport", "find_pinned_key", "last_number", "render_watches", "verify_seal",
]  # fmt: skip

MOST_ROWS = 100_000
"""So many rows are named; all are counted."""


class FaultKind(StrEnum):
    """What is wrong with a seal."""

    ROWS = "rows"                # a row is not what was sealed, and no acceptance explains it
    ACCEPTANCES = "acceptances"  # who took what as good, up to the seal, reads otherwise
    COPY = "copy"                # the copy of the sealed rows
    FILE = "file"                # the seal itself
    SIGNATURE = "signature"
    UNREAD = "unread"            # a file of the seal is not to be trusted, or the host does not let it be read
    KEY = "key"                  # another key than the pinned one
    KEY_CHANGED = "key changed"  # another key than the seal before, and the pinned one
    KEY_FILE = "key file"        # the pinned key cannot be read
    OLDER = "older"              # an older seal, or an older store, was put back
    HOST = "host"
    WATCHES = "watches"          # what is watched is not what was watched
    ACCEPTED = "accepted"        # rows were accepted since
    DROPPED = "dropped"          # rows differ, and the old states that would explain it were dropped
    UNSEALED = "unsealed"        # there is no seal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is not as it was sealed, in words; ``key`` names the case, whenever it is seen again."""

    kind: FaultKind
    words: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedKey:
    """The key that seals are believed by, raw, and where it is from; ``problem`` says why there is none where one was expected."""

    raw: bytes | None = None
    where: str = ""
    is_first: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReport:
    """What the seal came to: the seal that counts, the key, the faults, the rows (at most :data:`MOST_ROWS`), and their numbers.

    ``accepted`` are the acceptances since, with how many rows each is the last to have changed.
    """

    statement: SealStatement | None = None
    key: PinnedKey = PinnedKey()
    faults: tuple[Fault, ...] = ()
    rows: tuple[RowChange, ...] = ()
    row_count: int = 0
    accepted: tuple[tuple[Acceptance, int], ...] = ()

    @property
    def has_trace(self) -> bool:
        """Whether there is a seal, or something that only a seal leaves."""
        return self.statement is not None or any(
            fault.kind not in (FaultKind.UNSEALED, FaultKind.KEY_FILE) for fault in self.faults
        )


def find_pinned_key(config: Config, store: Store | None, *, public_key: bytes | None = None) -> PinnedKey:
    """Find the key that counts: the one given, else the configured file's, else the first seal's.

    Args:
        config: The configuration.
        store: Open, or ``None`` where there is none.
        public_key: A file that takes the place of the configured one.
    """
    path = public_key or config.seal.public_key
    default = public_key is None and path == SealPolicy().public_key
    if os.path.lexists(path) or not default:
        try:
            return PinnedKey(raw=load_public_key(_read_key(path)), where=render_path(path))
        except (SealError, HostError) as error:
            first = _first_key(config, store)  # better than none: who took the file away gains nothing
            return PinnedKey(raw=first.raw, where=first.where or render_path(path), problem=f"{render_path(path)}: {error}")
    return _first_key(config, store)


def _read_key(path: bytes) -> bytes:
    try:
        seen = os.stat(path)
        if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & 0o022:
            raise HostError(f"it can be written by others (mode {seen.st_mode & 0o7777:04o}, uid {seen.st_uid})")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(1 << 16)
    except HostError:
        raise
    except OSError as error:
        raise HostError(f"cannot be read: {error.strerror}") from error


def _first_key(config: Config, store: Store | None) -> PinnedKey:
    seals = [] if store is None else store.seals()
    where = "the first seal"
    try:
        pem = load_first_key(config.host.state_dir)
        kept = None if pem is None else load_public_key(pem)
    except (SealError, HostError) as error:
        return PinnedKey(where=where, is_first=True, problem=f"the key that the first seal left: {error}")
    stored = [seal.public_key for _, text in seals[:1] if (seal := _parsed(text)) is not None]
    if kept is not None and stored and stored[0] != kept:
        names = [fingerprint(one)[:16] for one in (kept, stored[0])]
        problem = f"the key that the first seal left is {names[0]}…, and that seal is of {names[1]}…"
        return PinnedKey(where=where, is_first=True, problem=problem)
    found = kept if kept is not None else next(iter(stored), None)
    return PinnedKey(raw=found, where=where if found is not None else "", is_first=True)


def _parsed(text: str | None) -> Seal | None:
    try:
        return None if text is None else parse_seal(text)
    except SealError:
        return None


def last_number(config: Config, store: Store) -> int:
    """Give the highest number that the store or the seal's file knows; 0 for none.

    Raises:
        HostError: If the file cannot be read.
    """
    known = [number for number, _ in store.seals()]
    texts = load_seal_texts(config.host.state_dir)
    return max((*known, *(seal.statement.number for text in texts[:1] if (seal := _parsed(text)) is not None)), default=0)


def render_watches(watches: Sequence[Watch]) -> tuple[str, ...]:
    """Give what decides which rows there are, each watch as a text."""
    return tuple(
        json.dumps([
            render_path(one.path), one.tier.value, one.recursive, list(one.include), list(one.exclude), one.cross_mounts,
        ])
        for one in watches
    )


def verify_seal(
    config: Config, store: Store, *, at_least: int = 0, public_key: bytes | None = None, most_rows: int = MOST_ROWS
) -> SealReport:
    """Hold the baseline against its seal.

    Args:
        config: The configuration.
        store: Open.
        at_least: The highest number that is known from elsewhere: a lower seal is an older one.
        public_key: A file with the key that counts, in the place of the configured one.
        most_rows: So many rows are named.
    """
    with store.reading():
        return _Verifier(config, store, find_pinned_key(config, store, public_key=public_key), at_least, most_rows).report()


class _Verifier:
    """One verification; the store is of one moment."""

    def __init__(self, config: Config, store: Store, key: PinnedKey, at_least: int, most_rows: int) -> None:
        self._config, self._store, self._key, self._at_least, self._most = config, store, key, at_least, most_rows
        self._faults: list[Fault] = []

    def _add(self, kind: FaultKind, words: str, key: str = "") -> None:
        self._faults.append(Fault(kind=kind, words=words, key=key or kind.value))

    def report(self) -> SealReport:
        if self._key.problem:
            self._add(FaultKind.KEY_FILE, f"the key that seals are believed by cannot be read: {self._key.problem}")
        seal = self._find_seal()
        if seal is None:
            if not self._faults or all(fault.kind is FaultKind.KEY_FILE for fault in self._faults):
                self._add(FaultKind.UNSEALED, "the baseline bears no seal")
            return SealReport(key=self._key, faults=tuple(self._faults))
        statement = seal.statement
        if not self._check_signature(seal):  # nothing that it says is believed
            return SealReport(statement=statement, key=self._key, faults=tuple(self._faults))
        self._check_words(statement)
        rows, count, accepted = self._check_rows(statement)
        return SealReport(
            statement=statement, key=self._key, faults=tuple(self._faults), rows=rows, row_count=count, accepted=accepted
        )

    # Which seal.

    def _find_seal(self) -> Seal | None:
        """Find the seal that counts, and say what is wrong with how it is kept."""
        seals = self._store.seals()
        last, stored = seals[-1] if seals else (0, None)
        try:
            present, coming = load_seal_texts(self._config.host.state_dir)
        except HostError as error:
            self._add(FaultKind.UNREAD, str(error), f"unread: {last}")
            present = coming = None
        else:
            if stored is not None and coming == stored:
                present = coming  # its process ended between the store's commit and its last step
            self._check_kept(present, stored, last)
        found = [seal for text in dict.fromkeys((stored, present)) if (seal := _parsed(text)) is not None]
        found.sort(key=lambda seal: (self._is_good(seal), seal.statement.number))
        if found:
            highest = max(self._at_least, last, *(seal.statement.number for seal in found if self._is_good(seal)), 0)
            self._check_number(found[-1].statement.number, highest)
        elif self._at_least:
            self._add(FaultKind.OLDER, f"there is no seal, and number {self._at_least} is known: an older state was put back",
                      f"older: {self._at_least}")  # fmt: skip
        return found[-1] if found else None

    def _is_good(self, seal: Seal) -> bool:
        return is_signed(self._key.raw or seal.public_key, seal.signature, signed_bytes(seal.signed))

    def _check_kept(self, present: str | None, stored: str | None, last: int) -> None:
        folder = render_path(self._config.host.state_dir) + "/seal/seal.json"
        if present is None and stored is not None:
            self._add(FaultKind.FILE, f"the seal's file {folder} is gone, and seal {last} was taken", f"file: {last}")
        elif present is not None and _parsed(present) is None:
            self._add(FaultKind.FILE, f"the seal's file {folder} is altered: {clip(present, 60)}", f"file: {last}")
        elif stored is not None and _parsed(stored) is None:
            self._add(FaultKind.FILE, f"seal {last} is altered in the store", f"file: {last}")
        elif present is not None and stored is None:
            self._add(FaultKind.OLDER, f"there is a seal in {folder}, and the store knows of none: an older store was put back",
                      "older: 0")  # fmt: skip
        elif present is not None and stored is not None and present != stored:
            self._check_two(parse_seal(present), parse_seal(stored), last, folder)

    def _check_two(self, present: Seal, stored: Seal, last: int, folder: str) -> None:
        number = present.statement.number
        if number < last:
            words = f"the seal's file {folder} is of seal {number}, and the last is {last}: an older one was put back"
            self._add(FaultKind.OLDER, words, f"older: {number} of {last}")
        elif number > last:
            words = f"the seal's file {folder} is of seal {number}, and the store knows {last}: an older store was put back"
            self._add(FaultKind.OLDER, words, f"older: store {last} of {number}")
        else:
            altered = "the seal's file" if self._is_good(stored) else "the store's row"
            self._add(FaultKind.FILE, f"seal {last} reads otherwise in {folder} and in the store: {altered} was altered",
                      f"file: {last}")  # fmt: skip

    def _check_number(self, number: int, highest: int) -> None:
        if number < highest and not any(fault.kind is FaultKind.OLDER for fault in self._faults):
            self._add(FaultKind.OLDER, f"the seal is number {number}, and number {highest} is known: an older one was put back",
                      f"older: {number} of {highest}")  # fmt: skip

    # Whose seal, and of what.

    def _check_signature(self, seal: Seal) -> bool:
        number, pinned = seal.statement.number, self._key.raw
        message = signed_bytes(seal.signed)
        if pinned is not None and seal.public_key != pinned and not is_signed(pinned, seal.signature, message):
            if self._key.problem:  # it may be of the key whose file cannot be read
                return False
            whose = "it bears" if is_signed(seal.public_key, seal.signature, message) else "it claims, and does not bear,"
            words = f"seal {number} is not of the pinned key {fingerprint(pinned)} ({self._key.where}): {whose} the signature of"
            self._add(FaultKind.KEY, f"{words} {fingerprint(seal.public_key)}", f"key: {number} {fingerprint(pinned)}")
            return False
        if not is_signed(pinned or seal.public_key, seal.signature, message):
            words = f"the signature of seal {number} is wrong: what it says was altered"
            self._add(FaultKind.SIGNATURE, words, f"signature: {number}")
            return False
        if pinned is None:
            return not self._key.problem  # signed by a key that nobody pinned
        self._check_earlier_key(seal, pinned)
        return True

    def _check_earlier_key(self, seal: Seal, pinned: bytes) -> None:
        earlier = [one for _, text in self._store.seals() if (one := _parsed(text)) is not None]
        others = [one for one in earlier if one.public_key != pinned and one.statement.number < seal.statement.number]
        if others:
            last, old, new = others[-1].statement.number, fingerprint(others[-1].public_key), fingerprint(pinned)
            words = f"seal {last} is of the key {old}, what came later of {new}: if none of you changed keys, an intruder did"
            self._add(FaultKind.KEY_CHANGED, words, f"key changed: {last} {new}")

    def _check_words(self, statement: SealStatement) -> None:
        number, host = statement.number, self._config.host.name
        if statement.host != host:
            self._add(FaultKind.HOST, f"seal {number} is of the host {clip(statement.host)}, and this one is {clip(host)}")
        if self._store.acceptances_digest(statement.acceptance) != statement.acceptances:
            self._add(FaultKind.ACCEPTANCES, f"who accepted what, up to seal {number}, reads otherwise than it was sealed",
                      f"acceptances: {number}")  # fmt: skip
        now = render_watches(self._config.paths)
        gone, new = ([one for one in some if one not in others] for some, others in
                     ((statement.watches, now), (now, statement.watches)))  # fmt: skip
        if gone or new:
            parts = [f"{word} {', '.join(clip(one) for one in some[:3])}" + (", …" if len(some) > 3 else "")
                     for word, some in (("no more", gone), ("now", new)) if some]  # fmt: skip
            self._add(FaultKind.WATCHES, f"what is watched is not what it was at seal {number}: {'; '.join(parts)}",
                      f"watches: {number} {now}")  # fmt: skip

    # The rows.

    def _check_rows(self, statement: SealStatement) -> tuple[tuple[RowChange, ...], int, tuple[tuple[Acceptance, int], ...]]:
        copy_fault = self._check_copy(statement)
        if copy_fault is not None:
            self._add(copy_fault[0], copy_fault[1], f"copy: {statement.number}")
        if digest_lines(self._store.baseline_lines()) == (statement.digest, statement.rows):
            return (), 0, ()
        if copy_fault is not None:
            return self._check_without_copy(statement)
        explained = explain_diffs(
            diff_lines(
                itertools.chain.from_iterable(load_copy(self._config.host.state_dir, statement.number)),
                itertools.chain.from_iterable(self._store.baseline_lines()),
            ),
            self._store.passed_lines(statement.acceptance),
        )
        return self._sort_out(statement, explained)

    def _check_copy(self, statement: SealStatement) -> tuple[FaultKind, str] | None:
        try:
            digest, count = digest_copy(self._config.host.state_dir, statement.number)
        except SealError as error:
            return FaultKind.COPY, str(error)
        except HostError as error:
            return FaultKind.UNREAD, str(error)
        if (digest, count) != (statement.digest, statement.rows):
            words = f"the copy of the rows that seal {statement.number} is of was altered: {count} rows of digest {digest[:16]}…"
            return FaultKind.COPY, words
        return None

    def _check_without_copy(
        self, statement: SealStatement
    ) -> tuple[tuple[RowChange, ...], int, tuple[tuple[Acceptance, int], ...]]:
        """Nothing can be named: what the rows were is gone. What acceptances did to them can be taken back, all the same."""
        lines = itertools.chain.from_iterable(self._store.baseline_lines())
        undone = undo_steps(lines, self._store.passed_lines(statement.acceptance))
        if digest_lines([line] for line in undone) == (statement.digest, statement.rows):
            return self._accepted_alone(statement)
        words = f"the baseline is not what seal {statement.number} is of; which rows, nobody can say without the copy"
        self._add(FaultKind.ROWS, words, f"rows: {statement.number} unnamed")
        return (), 0, ()

    def _accepted_alone(
        self, statement: SealStatement
    ) -> tuple[tuple[RowChange, ...], int, tuple[tuple[Acceptance, int], ...]]:
        accepted = tuple((one, one.paths) for one in self._store.acceptances() if one.id > statement.acceptance and one.paths)
        self._add(FaultKind.ACCEPTED, _accepted_words(accepted, statement.number), f"accepted: {statement.number}")
        return (), 0, accepted

    def _sort_out(
        self, statement: SealStatement, explained: Iterator[Explained]
    ) -> tuple[tuple[RowChange, ...], int, tuple[tuple[Acceptance, int], ...]]:
        rows: list[RowChange] = []
        count, by_acceptance = 0, dict[int, int]()
        for diff, acceptances in explained:
            if acceptances:
                by_acceptance[acceptances[-1]] = by_acceptance.get(acceptances[-1], 0) + 1
                continue
            count += 1
            if len(rows) < self._most:
                rows.append(parse_row_change(diff))
        dropped = self._store.dropped_since(statement.acceptance)
        number = statement.number
        if count and dropped:
            words = f"{_rows(count)} not what seal {number} is of; of the acceptances since, {len(dropped)} lost old states to"
            self._add(FaultKind.DROPPED, f"{words} the store's limit, which may explain it: seal again", f"dropped: {number}")
        elif count:
            words = f"{_rows(count)} not what seal {number} is of, and no acceptance explains it"
            self._add(FaultKind.ROWS, words, f"rows: {number}")
        who = {one.id: one for one in self._store.acceptances()}
        accepted = tuple((who[one], rows_of) for one, rows_of in sorted(by_acceptance.items()) if one in who)
        if accepted:
            self._add(FaultKind.ACCEPTED, _accepted_words(accepted, number), f"accepted: {number}")
        return tuple(rows), count, accepted


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count} rows are"


def _accepted_words(accepted: Sequence[tuple[Acceptance, int]], number: int) -> str:
    parts = [
        f"{count} by {one.who}, {render_time(one.time_ns)}" + (f": {clip(one.why, 80)}" if one.why else ", without a reason")
        for one, count in accepted[-3:]
    ]
    total = sum(count for _, count in accepted)
    more = f" (the last 3 of {len(accepted)} acceptances)" if len(accepted) > 3 else ""
    return f"{total} row{'s' if total != 1 else ''} accepted since seal {number}: {'; '.join(parts)}{more}"
