"""Judges a draft: verdict, severity, identity. Pure."""

import stat
from collections.abc import Mapping, Sequence
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
_program_of = attrgetter("pid", "auid", "ses", "exe")


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


def _name_some(draft: Draft, steps: Sequence[Step]) -> tuple[tuple[Actor, ...], list[Step], list[str]]:
    """Choose whom a finding names, and the steps that it names them by; where not all are named, words on that.

    Where any of very many may have done it (a file that another short program writes each minute), a list of all of them says no
    more, and each new finding of the path would have a longer one. Where it is sure who did it, all who had a part in it are named.
    """
    actors = draft.actors(steps)
    if draft.attribution is not Attribution.AMBIGUOUS or len(actors) <= MOST_NAMED:
        return actors, thin_openings(steps), []
    named = (actors[0], *actors[1 - MOST_NAMED :])
    programs = set(map(_program_of, named))
    own = [step for step in steps if step.change.actor is not None and _program_of(step.change.actor) in programs]
    words = f"{len(actors)} processes may have had a part in it; the likeliest one and the last {MOST_NAMED - 1} are named"
    return named, thin_openings(own), [words]


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
