"""What the doctor finds of fimkit's own means: files of its state and program that others can write, a watch that was killed."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fimkit
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, SelfWatch
from fimkit.model.config_trust import find_writers, trusted_owners
from fimkit.model.coverage import STOPPED
from fimkit.model.own_watches import find_own_program, plan_own_watches
from fimkit.model.paths import render_path, render_terminal
from fimkit.verbs.coverage_judge import gaps_of_watch
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.watch_status import load_watch_status

__all__ = ["check_trust"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_FILES = 10_000
_MOST_TOLD = 10
_NAMED = 4


def check_trust(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """What fimkit itself stands on: its configuration, its state, its program, its watch."""
    yield from _writers(host.config_file)
    yield from _own_watches(config, host.config_file)
    yield from _state(config.host.state_dir)
    yield from _program(os.fsencode(Path(fimkit.__file__).parent))
    yield from _watch(config, host)


def _writers(config_file: str) -> Iterator[Advice]:
    """Who else can write the configuration; root is refused such a one before it gets here."""
    for words in find_writers(config_file, owners=trusted_owners() | {os.geteuid()}) if config_file else ():
        problem, _, remedy = render_terminal(words).rpartition(": ")
        yield Advice(
            code="config-writers", level=Level.WARNING, where=render_terminal(render_path(os.fsencode(config_file))),
            problem=f"{problem}: its commands run with the rights of whoever runs fimkit, and root refuses it.", remedy=remedy,
        )  # fmt: skip


def _own_watches(config: Config, config_file: str) -> Iterator[Advice]:
    """What fimkit stands on, where nothing watches it."""
    if config.self.watch:
        return
    asked = replace(config, self=SelfWatch(watch=True))
    unseen = [watch.path for watch in plan_own_watches(asked, os.fsencode(config_file or "/"), program=find_own_program())]
    there = [render_terminal(render_path(path)) for path in unseen if os.path.lexists(path)]
    if there:
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        yield Advice(
            code="self-watch", level=Level.NOTE, where=there[0],
            problem=f"what fimkit itself stands on is not watched: {', '.join(there[:_NAMED])}{more}.",
            remedy="in fimkit.toml, under [self]: watch = true; then fimkit baseline accept on these paths, and fimkit install",
        )  # fmt: skip


def _walk(folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Give what lies in and below a folder, and follow no link."""
    count = 0
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            count += 1
            if count > _MOST_FILES:
                return
            path = os.path.join(above, name)
            try:
                yield path, os.lstat(path)
            except OSError:
                continue  # gone meanwhile


def _state(state_dir: bytes) -> Iterator[Advice]:
    """Files of the state folder that are not its owner's alone."""
    try:
        owner = os.lstat(state_dir).st_uid
    except OSError:
        return  # said elsewhere
    told = 0
    for path, seen in _walk(state_dir):
        problem = _fault(seen, owner)
        if problem and told < _MOST_TOLD:
            told += 1
            shown = render_terminal(render_path(path))
            yield Advice(
                code="state-file", level=Level.WARNING, where=shown,
                problem=f"a file of fimkit's state {problem}: it may be read, altered or put there past fimkit.",
                remedy=f"look at it and at who did it: ls -l {shown}; then put a copy of its own there, chmod 600",
            )  # fmt: skip


def _fault(seen: os.stat_result, owner: int) -> str:
    if stat.S_ISLNK(seen.st_mode):
        return "is a symbolic link"
    if stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1:
        return f"has {seen.st_nlink} names (hard links)"
    if seen.st_uid not in (owner, 0):
        return f"belongs to uid {seen.st_uid}"
    if seen.st_mode & _OTHERS_WRITE and not stat.S_ISSOCK(seen.st_mode):
        return f"can be written by others (mode {stat.S_IMODE(seen.st_mode):04o})"
    return ""


def _program(folder: bytes) -> Iterator[Advice]:
    """Who can write fimkit's program can have it say anything: the first such file is named."""
    trusted = (0, os.geteuid())
    for path, seen in _walk(folder):
        if stat.S_ISLNK(seen.st_mode) or not (seen.st_mode & stat.S_IWOTH or seen.st_uid not in trusted):
            continue
        why = "others can write it" if seen.st_mode & stat.S_IWOTH else f"it belongs to uid {seen.st_uid}"
        yield Advice(
            code="program-files", level=Level.WARNING, where=render_terminal(render_path(path)),
            problem=f"a file of fimkit's own program is not root's alone: {why}.",
            remedy=f"chown -R root: {render_path(folder)}; chmod -R go-w {render_path(folder)}; and compare it with the package",
        )  # fmt: skip
        return


def _watch(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """A watch that was at work, and is not, and was not stopped."""
    status, now_ns, boot_s = load_watch_status(config.host.state_dir), int(host.now_s() * 1e9), host.boot_s()
    for gap in gaps_of_watch(status, now_ns=now_ns):
        if gap.words == STOPPED:
            return
        went = boot_s is not None and gap.from_ns < boot_s * 1e9
        how = "the host went down while a watch was at work" if went else "a watch was killed"
        yield Advice(
            code="watch-down", level=Level.WARNING, where=f"{render_path(config.host.state_dir)}/watch.json",
            problem=f"{how}, and none is at work since: what happens is found by the next check alone.",
            remedy="start fimkit watch again; fimkit findings tells of what was done to it",
        )  # fmt: skip
