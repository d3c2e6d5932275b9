"""Judges a draft: verdict, severity, identity. Pure."""

import stat
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, zip_longest
from operator import attrgetter

from fimkit.correlate.causes import thin_openings
from fimkit.correlate.draft import Draft
from fimkit.correlate.identity import identify
from fimkit.correlate.lives import Step
from fimkit.correlate.passing import who_of
from fimkit.model.changes import Actor, Source
from fimkit.model.config import Watch
from fimkit.model.findings import Attribution, Finding, Kind, Verdict, severity_of
from fimkit.model.states import FileState, FileType

__all__ = ["MOST_NAMED", "DataFolders", "judge"]

MOST_NAMED = 32
"""So many processes are named where it is not sure which of them did it."""
_CAPABILITY = "security.capability"
_ENOUGH_FILES = 3
_source_of = attrgetter("change.source")
_order_of = attrgetter("order")
_program_of = attrgetter("pid", "auid", "ses", "exe")
_parent_of = attrgetter("pid", "auid", "ses", "ppid")


class DataFolders:
    """Folders whose files, in the baseline, are all data: an executable there is out of place."""

    def __init__(self, before: Mapping[bytes, FileState]) -> None:
        """Count the files and executables of every folder."""
        files: dict[bytes, int] = {}
        programs: set[bytes] = set()
        for path, state in before.items():
            if state.type is FileType.FILE and state.mode is not None:
                folder = path.rpartition(b"/")[0]
                files[folder] = files.get(folder, 0) + 1
                if state.mode & 0o111:
                    programs.add(folder)
        self._folders = {folder for folder, count in files.items() if count >= _ENOUGH_FILES and folder not in programs}

    def __contains__(self, folder: bytes) -> bool:
        """Tell whether a folder holds data alone."""
        return folder in self._folders


def _suspicions(draft: Draft, watch: Watch, data_folders: DataFolders) -> list[str]:
    before, after = draft.before, draft.after
    words = []
    if draft.denied:
        words.append("a denied try")
    if after is None or after.type is not FileType.FILE or draft.kind in (Kind.ATTEMPTED, Kind.DELETED):
        return words
    old_mode = before.mode if before is not None and before.mode is not None else 0
    mode = after.mode or 0
    for bit, name in ((stat.S_ISUID, "set-user-id"), (stat.S_ISGID, "set-group-id")):
        if mode & bit and not old_mode & bit:
            words.append(f"it gained the {name} bit")
    if _CAPABILITY in (after.xattrs or {}) and (after.xattrs or {}).get(_CAPABILITY) != (
        (before.xattrs if before else None) or {}
    ).get(_CAPABILITY):
        words.append("it gained file capabilities")
    if mode & 0o111 and not old_mode & 0o111:
        if watch.scan_content:
            words.append("an executable among web content")
        elif after.path.rpartition(b"/")[0] in data_folders:
            words.append("an executable in a folder of data alone")
    return words


class _Whose:
    """Which of the processes a step is by: told apart as ``distinct_processes`` does, by program or parent."""

    def __init__(self, actors: Sequence[Actor]) -> None:
        """Number the processes as they come."""
        self._programs = {_program_of(actor): number for number, actor in enumerate(actors)}
        self._parents = {_parent_of(actor): number for number, actor in enumerate(actors)}

    def __call__(self, step: Step) -> set[int]:
        """Give the numbers: two of them where it has one's program and another one's parent, none where nobody is named."""
        actor = step.change.actor
        if actor is None:
            return set()
        found = (self._programs.get(_program_of(actor)), self._parents.get(_parent_of(actor)))
        return {number for number in found if number is not None}

    def last_first(self, steps: Iterable[Step]) -> list[int]:
        """Number the processes of some steps, those first that did something last."""
        backwards = sorted(steps, key=_order_of, reverse=True)
        return list(dict.fromkeys(number for step in backwards for number in sorted(self(step))))


def _name_some(draft: Draft, steps: Sequence[Step]) -> tuple[tuple[Actor, ...], list[Step], list[str]]:
    """Choose whom a finding names, and the steps that it names them by; where not all are named, words on that.

    Where any of very many may have done it (a file that another short program writes each minute), a list of all of them says no
    more, and each new finding of the path would have a longer one. Those go first that can explain it, each attribute's last ones
    by turns: neither tries that were denied nor another attribute's many crowd them out. Where it is sure who did it, all who had
    a part in it are named.
    """
    actors = draft.actors(steps)
    if draft.attribution is not Attribution.AMBIGUOUS or len(actors) <= MOST_NAMED:
        return actors, thin_openings(steps), []
    whose = _Whose(actors)
    turns = zip_longest(*map(whose.last_first, (draft.makers, *(cause.steps for cause in draft.causes.values()))))
    able = dict.fromkeys([0, *(number for turn in turns for number in turn if number is not None)])
    named = set(islice(dict.fromkeys([*able, *whose.last_first(steps)]), MOST_NAMED))
    shown = thin_openings([step for step in steps if not named.isdisjoint(whose(step))])
    return tuple(actors[number] for number in sorted(named)), shown, [_words_on_unnamed(len(actors), len(able))]


def _words_on_unnamed(count: int, able: int) -> str:
    left_out = count - MOST_NAMED
    who = f"of the {able} that can explain it the likeliest one and {MOST_NAMED - 1} of the last"
    if able <= MOST_NAMED:
        who = "the one that can explain it" if able == 1 else f"the {able} that can explain it"
        who += f" and the last {MOST_NAMED - able} of the others" if able < MOST_NAMED else ""
    return f"{count} processes may have had a part in it: {who} are named, {left_out} {'is' if left_out == 1 else 'are'} left out"


def judge(draft: Draft, *, host: str, watch: Watch, data_folders: DataFolders, seen_ns: int, gaps: list[str]) -> Finding:
    """Make a finding of a draft.

    Args:
        draft: The explained change.
        host: The host's name.
        watch: The watch that the path belongs to.
        data_folders: Where executables are out of place.
        seen_ns: When this look was taken.
        gaps: Why there may be no record.
    """
    suspicions = _suspicions(draft, watch, data_folders)
    verdict = Verdict.SUSPECT if suspicions else Verdict.UNEXPLAINED
    severity = severity_of(watch.tier, draft.kind, verdict, draft.changed)
    if draft.denied and draft.kind is not Kind.ATTEMPTED:
        # what is folded in keeps its own weight: neither less than a denied try, nor more than the change itself
        own = [words for words in suspicions if words != "a denied try"]
        severity = max(
            severity_of(watch.tier, draft.kind, Verdict.SUSPECT if own else Verdict.UNEXPLAINED, draft.changed),
            severity_of(watch.tier, Kind.ATTEMPTED, verdict, ()),
            key=lambda one: one.rank,
        )
    steps = draft.steps()
    told_by = list(map(_source_of, steps))
    draft.sources.update(source for source in Source if source in told_by)
    actors, shown, unnamed = _name_some(draft, steps)
    tries = _first_tries(draft)
    first_ns = steps[0].change.time_ns if steps else _known_time(draft, seen_ns)
    who = (
        tries
        if draft.kind is not Kind.TRANSIENT
        else [step.change.actor for step in (draft.makers or steps)[:1] if step.change.actor]
    )
    return Finding(
        id=identify(host, draft.path, draft.kind, (draft.before, draft.after), who),
        host=host,
        path=draft.path,
        kind=draft.kind,
        tier=watch.tier,
        severity=severity,
        verdict=verdict,
        changed=draft.changed,
        before=draft.before,
        after=draft.after,
        moved_to=draft.moved_to,
        actors=actors,
        attribution=draft.attribution,
        reasons=tuple(dict.fromkeys([*suspicions, *draft.reasons, *unnamed, *gaps])),
        sources=tuple(source for source in Source if source in draft.sources),
        first_seen_ns=first_ns,
        # what left no difference was last seen when it last happened
        last_seen_ns=steps[-1].change.time_ns if steps and draft.kind in (Kind.ATTEMPTED, Kind.TRANSIENT) else seen_ns,
        evidence=tuple(dict.fromkeys(step.change.actor.event for step in shown if step.change.actor is not None)),
    )


def _first_tries(draft: Draft) -> list[Actor]:
    first: dict[tuple[object, ...], Actor] = {}
    for step in draft.denied:
        if step.change.actor is not None:
            first.setdefault(who_of(step.change.actor), step.change.actor)
    return list(first.values())


def _known_time(draft: Draft, seen_ns: int) -> int:
    if draft.after is not None and draft.after.ctime_ns is not None:
        return min(draft.after.ctime_ns, seen_ns)
    return seen_ns
