"""What fimkit itself changes in watched places: announced before, taken into the baseline after, and nothing else beside it."""

import contextlib
import glob
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fimkit.evidence.ticket_rows import AnnouncedActor, Ticket
from fimkit.model.config import Config
from fimkit.model.errors import FimkitError, UsageError
from fimkit.model.findings import Kind
from fimkit.model.paths import render_path
from fimkit.model.states import FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.accept import Item, accept, plan_acceptance
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.caller import load_caller, load_login
from fimkit.verbs.effective import effective_watches

__all__ = ["OwnChanges", "announcing"]

_LONGEST_NS = 600 * 1_000_000_000


@dataclass
class OwnChanges:
    """What is about to be written: by path what it will hold, ``None`` for what goes; ``words`` say what was not taken, and why."""

    planned: Mapping[bytes, bytes | None]
    folders: Sequence[bytes]
    words: list[str] = field(default_factory=list)
    tickets: list[int] = field(default_factory=list)

    def takes(self, item: Item) -> bool:
        """Tell whether a difference is what was planned, to the byte."""
        for path, after in item.pairs:
            if path in self.folders and after is not None and after.type is FileType.DIRECTORY:
                continue
            if path not in self.planned:
                return False
            content = self.planned[path]
            if (after is None) is not (content is None):
                return False
            if content is not None and (after is None or after.sha256 != hashlib.sha256(content).hexdigest()):
                return False
        return True


@contextlib.contextmanager
def announcing(config: Config, planned: Mapping[bytes, bytes | None], *, why: str) -> Iterator[OwnChanges]:
    """Make changes inside that are fimkit's own: they start no panic, and are in the baseline afterwards, with who and why.

    Only with ``[self] watch`` and where there is a baseline; only what is watched, and only these bytes. An announcement holds for
    the time inside, by this very program. Nothing here keeps the changes from being made: what fails is in the words.

    Args:
        config: The configuration.
        planned: By whole path what a file will hold; ``None`` for one that goes.
        why: The reason that is written down.
    """
    every = WatchSet(effective_watches(config.paths)) if config.self.watch else WatchSet(())
    seen = {path: content for path, content in planned.items() if every.watch_of(path) is not None}
    own = OwnChanges(seen, [folder for folder in _new_folders(seen) if every.watch_of(folder, is_folder=True) is not None])
    if not seen:
        yield own
        return
    with _noted(own):
        _announce(config, own, why)
    try:
        yield own
        with _noted(own):
            _take(config, own, why)
    finally:
        with _noted(own):
            _end(config, own)


@contextlib.contextmanager
def _noted(own: OwnChanges) -> Iterator[None]:
    """Say what went wrong, but that there is no baseline: then there is nothing to be taken into."""
    try:
        yield
    except UsageError:
        pass
    except FimkitError as error:
        own.words.append(f"what was written stays to be accepted: {error}")


def _new_folders(planned: Mapping[bytes, bytes | None]) -> list[bytes]:
    found: dict[bytes, None] = {}
    for path, content in planned.items():
        folder = os.path.dirname(path)
        while content is not None and folder != b"/" and not os.path.lexists(folder):
            found[folder] = None
            folder = os.path.dirname(folder)
    return list(found)


def _announce(config: Config, own: OwnChanges, why: str) -> None:
    """One ticket for the bytes that come, one for what goes: a hash explains nothing that is gone."""
    written = [path for path, content in own.planned.items() if content is not None]
    gone = [path for path, content in own.planned.items() if content is None]
    hashes = tuple({hashlib.sha256(content).hexdigest(): None for content in own.planned.values() if content is not None})
    store, _ = open_baseline(config)
    with store:
        if written:
            own.tickets.append(store.add_ticket(_ticket([*own.folders, *written], why, hashes, ())))
        if gone:
            own.tickets.append(store.add_ticket(_ticket(gone, why, (), (Kind.DELETED,))))


def _ticket(paths: Sequence[bytes], why: str, hashes: tuple[str, ...], kinds: tuple[Kind, ...]) -> Ticket:
    program, now_ns = os.readlink(b"/proc/self/exe"), time.time_ns()
    return Ticket(
        number=0, paths=tuple(glob.escape(os.fsdecode(path)) for path in paths),
        by=(AnnouncedActor(text=render_path(program), exe=program),), from_ns=now_ns, until_ns=now_ns + _LONGEST_NS,
        sha256=hashes, kinds=kinds, reason=why, who=load_caller(), auid=load_login(), announced_ns=now_ns,
    )  # fmt: skip


def _take(config: Config, own: OwnChanges, why: str) -> None:
    paths = [*own.folders, *own.planned]
    plan = plan_acceptance(config, paths)
    ours = tuple(item for item in plan.items if own.takes(item))
    if ours:
        agreed = type(plan)(items=ours, refused=())
        done = accept(config, paths, who=load_caller(), why=why, agreed=agreed)
        own.words += [*done.refused, *([f"this host is armed: {done.notice}"] if done.notice is not None else [])]


def _end(config: Config, own: OwnChanges) -> None:
    """What was announced is done, or will not be: nobody waits for it, and nobody else may do it in its name."""
    if own.tickets:
        store, _ = open_baseline(config)
        with store:
            for number in own.tickets:
                store.cancel_ticket(number, who=load_caller(), time_ns=time.time_ns())
