"""Keeps what text files say, below paths with ``keep_content``: of the baseline, and of each finding when it is seen.

A file is read again for that: what was not hashed with just these bytes is not kept, so a diff never shows what nobody judged.
Nothing here ends a check or a watch: what goes wrong is words.
"""

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from fimkit.baseline.entry import Place, open_unfollowed
from fimkit.evidence.contents import Contents, SeenText, contents_path, open_contents
from fimkit.evidence.limiting import Limiting
from fimkit.evidence.store import Store
from fimkit.model.config import Config
from fimkit.model.errors import HostError, StoreError
from fimkit.model.findings import Finding
from fimkit.model.paths import is_below, render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.own_files import scanned_watches

__all__ = ["ContentKeeper", "apply_limits", "begin_limits", "is_too_big", "read_as_seen"]

_ACL = "system.posix_acl_access"
_AT_ONCE = 64
_MIB = 1024 * 1024
_SHARE = 4  # of store.max_mb, one part in so many is for contents


def read_as_seen(path: bytes, sha256: str, most_bytes: int) -> bytes | None:
    """Read a regular file that is no longer than so many bytes and has a hash; nothing where it is any other by now."""
    try:
        file = open_unfollowed(Place(None, path, path))
    except OSError:
        return None
    try:
        seen = os.fstat(file)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > most_bytes:
            return None
        with os.fdopen(os.dup(file), "rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError:
        return None
    finally:
        os.close(file)
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


class _Openness:
    """Tells whether everyone may read a file: by its own mode, and by that of each folder above. An access list is a no."""

    def __init__(self) -> None:
        self._folders: dict[bytes, bool] = {b"/": True}

    def is_public(self, state: FileState) -> bool:
        has_list = state.xattrs is None or _ACL in state.xattrs
        return bool((state.mode or 0) & stat.S_IROTH) and not has_list and self._enters(os.path.dirname(state.path))

    def _enters(self, folder: bytes) -> bool:
        if folder not in self._folders:
            try:
                mode = os.stat(folder).st_mode
                has_list = _ACL in os.listxattr(folder)
            except OSError:
                mode, has_list = 0, True
            self._folders[folder] = bool(mode & stat.S_IXOTH) and not has_list and self._enters(os.path.dirname(folder))
        return self._folders[folder]


class ContentKeeper:
    """Keeps contents by one configuration; where no path has ``keep_content`` it does nothing, and makes no file."""

    def __init__(self, config: Config) -> None:
        """Take the configuration; nothing is opened yet."""
        self._config = config
        watches = scanned_watches(config) if any(watch.keep_content for watch in config.paths) else ()
        self._watches = WatchSet(watches)
        self._roots = tuple(watch.path for watch in watches if watch.keep_content)
        self._most_bytes = config.store.keep_content_kb * 1024

    @property
    def is_active(self) -> bool:
        """Whether any path's contents are kept."""
        return bool(self._roots)

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The paths whose contents are kept, those behind links too."""
        return self._roots

    def wants(self, path: bytes) -> bool:
        """Tell whether a path's content is kept, as far as its size allows."""
        if not any(is_below(path, root) for root in self._roots):
            return False
        watch = self._watches.watch_of(path)
        return watch is not None and watch.keep_content

    def why_not(self, finding: Finding) -> str | None:
        """Say why a finding's file is not of those that are kept: it is too large."""
        for state in (finding.before, finding.after):
            if state is not None and state.type is FileType.FILE and (state.size or 0) > self._most_bytes:
                return f"the file is larger than the {self._config.store.keep_content_kb} KB of store.keep_content_kb"
        return None

    def keep_baseline(self, store: Store) -> list[str]:
        """Keep what the baseline's files say, which was just taken; what another one had is its no more."""
        if not self.is_active:
            return []
        with self._trouble() as words, self._open() as contents:
            contents.forget_accepted()
            states = (state for root in self._roots for state in store.baseline_below(root).values())
            missed = self._keep(contents, states, accepted=True)
            words += _missed_words(missed, "changed again before what they say could be kept")
        return words

    def keep_accepted(self, pairs: Sequence[tuple[bytes, FileState | None]]) -> list[str]:
        """Keep what was taken into the baseline."""
        if not any(self.wants(path) for path, _ in pairs):
            return []
        with self._trouble() as words, self._open() as contents:
            missed = self._keep(contents, (state for _, state in pairs if state is not None), accepted=True)
            contents.accept((path, None if state is None else state.sha256) for path, state in pairs)
            words += _missed_words(missed, "changed again before what they say could be kept")
        return words

    def keep_findings(self, findings: Iterable[Finding], *, budget_s: float | None = None) -> list[str]:
        """Keep what the files of findings say now.

        Args:
            findings: As they were stored.
            budget_s: How long it may take; what is left is kept by the next check, if the file is still the same then.
        """
        found = [finding for finding in findings if finding.after is not None and self.wants(finding.after.path)]
        if not found:
            return []
        with self._trouble() as words, self._open() as contents:
            states = (finding.after for finding in found if finding.after is not None)
            until = None if budget_s is None else time.monotonic() + budget_s
            missed = self._keep(contents, states, accepted=False, until=until)
            words += _missed_words(missed, "could not be read as they were seen, or not in time: they have no text diff yet")
        return words

    def keep_unchanged(self, before: Mapping[bytes, FileState], after: Mapping[bytes, FileState]) -> list[str]:
        """Keep what files say that are as in the baseline: of a path that has ``keep_content`` only since."""
        if not self.is_active:
            return []
        same = (
            state for path, state in after.items()
            if any(is_below(path, root) for root in self._roots)
            and (known := before.get(path)) is not None and known.sha256 is not None and known.sha256 == state.sha256
        )  # fmt: skip
        with self._trouble() as words, self._open() as contents:
            self._keep(contents, same, accepted=True)
        return words

    def _keep(
        self, contents: Contents, states: Iterable[FileState], *, accepted: bool, until: float | None = None
    ) -> list[bytes]:
        """Keep each that is wanted and not yet kept; give those that are other files by now."""
        missed: list[bytes] = []
        seen: list[SeenText] = []
        openness, now_ns = _Openness(), time.time_ns()
        for state in states:
            sha256 = state.sha256
            if state.type is not FileType.FILE or sha256 is None or (state.size or 0) > self._most_bytes:
                continue
            if not self.wants(state.path) or contents.has(state.path, sha256, accepted=accepted):
                continue
            in_time = until is None or time.monotonic() < until
            content = read_as_seen(state.path, sha256, self._most_bytes) if in_time else None
            if content is None:
                missed.append(state.path)
                continue
            seen.append(SeenText(state, content, openness.is_public(state)))
            if len(seen) >= _AT_ONCE or sum(len(one.content) for one in seen) > _MIB:
                contents.keep(seen, accepted=accepted, seen_ns=now_ns)
                seen = []
        contents.keep(seen, accepted=accepted, seen_ns=now_ns)
        return missed

    @contextmanager
    def _open(self) -> Iterator[Contents]:
        with open_contents(self._config.host.state_dir, patterns=self._config.store.mask) as contents:
            yield contents

    @contextmanager
    def _trouble(self) -> Iterator[list[str]]:
        words: list[str] = []
        try:
            yield words
        except (HostError, StoreError) as error:
            words.append(f"what files say is not kept: {error}")


def _missed_words(missed: Sequence[bytes], what: str) -> list[str]:
    if not missed:
        return []
    more = f" and {len(missed) - 1} more" if len(missed) > 1 else ""
    return [f"{render_path(missed[0])}{more}: {what}"]


def apply_limits(config: Config, store: Store, *, now_ns: int) -> list[str]:
    """Drop what is too old or too much of evidence and of contents, which have a quarter of the room at most.

    Returns:
        Words for all that was dropped.
    """
    words, left_mb = _limit_contents(config, store, now_ns)
    return [*words, *store.apply_limits(keep_days=config.store.keep_days, max_mb=left_mb, now_ns=now_ns)]


def begin_limits(config: Config, store: Store, *, now_ns: int, rows: int) -> tuple[list[str], Limiting]:
    """Do the same for the contents, and begin it for the evidence, some rows at a time.

    Returns:
        Words for what was dropped of the contents, and the round for the rest.
    """
    words, left_mb = _limit_contents(config, store, now_ns)
    return words, store.limiting(keep_days=config.store.keep_days, max_mb=left_mb, now_ns=now_ns, rows=rows)


def _limit_contents(config: Config, store: Store, now_ns: int) -> tuple[list[str], int]:
    """Drop what is too old or too much of the contents, and give the room that is left for the rest, in MiB."""
    keeper, limits = ContentKeeper(config), config.store
    words: list[str] = []
    used_mb = 0
    if os.path.lexists(contents_path(config.host.state_dir)):
        live = {pair for finding in store.findings() for pair in _pairs(finding)}
        with keeper._trouble() as words, open_contents(config.host.state_dir, patterns=limits.mask) as contents:
            if not keeper.is_active:  # any more: what was kept grows old
                contents.forget_accepted()
            most_bytes = limits.max_mb * _MIB // _SHARE
            words += contents.apply_limits(keep_days=limits.keep_days, most_bytes=most_bytes, now_ns=now_ns, live=live)
            used_mb = -(-contents.used_bytes() // _MIB)
    return words, max(1, limits.max_mb - used_mb)


def is_too_big(config: Config, store: Store, *, by: float = 1.0) -> bool:
    """Tell, at the cost of a look, whether evidence and contents take more than they may, or ``by`` so many times as much."""
    contents_bytes = 0
    with suppress(OSError):
        contents_bytes = os.stat(contents_path(config.host.state_dir), follow_symlinks=False).st_size
    return store.used_bytes() + contents_bytes > config.store.max_mb * _MIB * by


def _pairs(finding: Finding) -> Iterator[tuple[bytes, str]]:
    for state in (finding.before, finding.after):
        if state is not None and state.sha256 is not None:
            yield state.path, state.sha256


