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
from fimkit.model.paths import is_below, render_path
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.accept import Item, accept, plan_acceptance
from fimkit.verbs.baseline import open_baseline
from fimkit.verbs.caller import load_caller, load_login
from fimkit.verbs.effective import effective_watches

__all__ = ["Becoming", "OwnChanges", "announce", "announcing", "end_announcement", "find_own_actor", "take_changes", "watched_of"]

_LONGEST_NS = 600 * 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Becoming:
    """What a path is about to be: a file of these bytes, a link to this target, a folder, or (with no type) gone."""

    type: FileType | None
    sha256: str | None = None
    target: bytes | None = None

    def is_now(self, state: FileState | None) -> bool:
        """Tell whether a path has become just that.

        >>> Becoming(type=None).is_now(None), Becoming(type=FileType.DIRECTORY).is_now(None)
        (True, False)
        """
        if state is None or self.type is None:
            return state is None and self.type is None
        return (state.type, state.sha256, state.target) == (self.type, self.sha256, self.target)


@dataclass
class OwnChanges:
    """What is about to be, by path; ``whole`` are folders that stand for all in them in the announcement.

    ``words`` say what was not taken, and why.
    """

    planned: Mapping[bytes, Becoming]
    whole: Sequence[bytes] = ()
    words: list[str] = field(default_factory=list)
    tickets: list[int] = field(default_factory=list)

    def takes(self, item: Item) -> bool:
        """Tell whether a difference is what was planned, to the byte."""
        return all(path in self.planned and self.planned[path].is_now(after) for path, after in item.pairs)

    def names(self, *types: FileType | None) -> list[bytes]:
        """Name what is to be of some types."""
        return [path for path, one in self.planned.items() if one.type in types]

    def places(self, *types: FileType | None) -> list[bytes]:
        """Name what is to be of some types, by the folder that stands for it where there is one."""
        found: dict[bytes, None] = {}
        for path in self.names(*types):
            found[next((folder for folder in self.whole if is_below(path, folder)), path)] = None
        return list(found)


def find_own_actor() -> AnnouncedActor:
    """Name the program that this process is."""
    program = os.readlink(b"/proc/self/exe")
    return AnnouncedActor(text=render_path(program), exe=program)


def watched_of(config: Config, planned: Mapping[bytes, Becoming]) -> dict[bytes, Becoming]:
    """Leave out what nobody watches; without ``[self] watch`` that is everything."""
    every = WatchSet(effective_watches(config.paths) if config.self.watch else ())
    return {
        path: one for path, one in planned.items() if every.watch_of(path, is_folder=one.type is FileType.DIRECTORY) is not None
    }


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
    becoming = {path: _becoming(content) for path, content in planned.items()}
    folders = dict.fromkeys(_new_folders(watched_of(config, becoming)), Becoming(type=FileType.DIRECTORY))
    own = OwnChanges(watched_of(config, folders | becoming))
    if not own.planned:
        yield own
        return
    announce(config, own, by=(find_own_actor(),), why=why)
    try:
        yield own
        take_changes(config, own, why=why)
    finally:
        end_announcement(config, own)


def _becoming(content: bytes | None) -> Becoming:
    if content is None:
        return Becoming(type=None)
    return Becoming(type=FileType.FILE, sha256=hashlib.sha256(content).hexdigest())


@contextlib.contextmanager
def _noted(own: OwnChanges) -> Iterator[None]:
    """Say what went wrong, but that there is no baseline: then there is nothing to be taken into."""
    try:
        yield
    except UsageError:
        pass
    except FimkitError as error:
        own.words.append(f"what was written stays to be accepted: {error}")


def _new_folders(planned: Mapping[bytes, Becoming]) -> list[bytes]:
    found: dict[bytes, None] = {}
    for path, one in planned.items():
        folder = os.path.dirname(path)
        while one.type is not None and folder != b"/" and not os.path.lexists(folder):
            found[folder] = None
            folder = os.path.dirname(folder)
    return list(found)


def announce(config: Config, own: OwnChanges, *, by: Sequence[AnnouncedActor], why: str) -> None:
    """Announce it: bytes, links and what goes each in a ticket of their own, for a hash explains none of the last two."""
    files = own.places(FileType.DIRECTORY, FileType.FILE)
    hashes = tuple({one.sha256: None for one in own.planned.values() if one.sha256 is not None})
    links, gone = own.names(FileType.SYMLINK), own.places(None)
    with _noted(own):
        store, _ = open_baseline(config)
        with store:
            for paths, sha256, kinds in ((files, hashes, ()), (links, (), ()), (gone, (), (Kind.DELETED,))):
                if paths:
                    own.tickets.append(store.add_ticket(_ticket(paths, by, why, sha256, kinds)))


def _ticket(
    paths: Sequence[bytes], by: Sequence[AnnouncedActor], why: str, hashes: tuple[str, ...], kinds: tuple[Kind, ...]
) -> Ticket:
    now_ns = time.time_ns()
    return Ticket(
        number=0, paths=tuple(glob.escape(os.fsdecode(path)) for path in paths), by=tuple(by), from_ns=now_ns,
        until_ns=now_ns + _LONGEST_NS, sha256=hashes, kinds=kinds, reason=why, who=load_caller(), auid=load_login(),
        announced_ns=now_ns,
    )  # fmt: skip


def take_changes(config: Config, own: OwnChanges, *, why: str) -> None:
    """Take into the baseline what has become just what was planned."""
    with _noted(own):
        paths = own.places(*FileType, None)
        plan = plan_acceptance(config, paths)
        ours = tuple(item for item in plan.items if own.takes(item))
        if ours:
            agreed = type(plan)(items=ours, refused=())
            done = accept(config, paths, who=load_caller(), why=why, agreed=agreed)
            own.words += [*done.refused, *([f"this host is armed: {done.notice}"] if done.notice is not None else [])]


def end_announcement(config: Config, own: OwnChanges) -> None:
    """What was announced is done, or will not be: nobody waits for it, and nobody else may do it in its name."""
    if own.tickets:
        with _noted(own):
            store, _ = open_baseline(config)
            with store:
                for number in own.tickets:
                    store.cancel_ticket(number, who=load_caller(), time_ns=time.time_ns())
