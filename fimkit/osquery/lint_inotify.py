"""The linter on what the kernel must give: inotify watches, instances, the queue; and on files too big to hash. Pure."""

from collections.abc import Iterator

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import render_path
from fimkit.osquery.lint_facts import LintFacts
from fimkit.osquery.lint_words import RESTART, flag_remedy, flag_where
from fimkit.osquery.osquery_config import OsqueryConfig

__all__ = ["DEFAULT_READ_MAX", "lint_inotify", "read_max_of"]

DEFAULT_READ_MAX = 52_428_800
_USUAL_QUEUE = 16_384
_NEARLY = 0.8


def read_max_of(config: OsqueryConfig) -> int:
    """Give the size above which osquery does not read a file."""
    value = config.value("read_max", "")
    return int(value) if value.isdecimal() else DEFAULT_READ_MAX


def lint_inotify(config: OsqueryConfig, facts: LintFacts) -> list[Advice]:
    """Compare what the watched trees need with what the kernel gives."""
    return [*_watches(facts), *_instances(facts), *_queue(facts), *_big(config, facts)]


def _raise(name: str, value: int) -> str:
    return f"echo 'fs.inotify.{name} = {value}' >> /etc/sysctl.d/60-osquery.conf && sysctl --system; then {RESTART}"


def _room(needed: int) -> int:
    """Twice what is needed, as a power of two: trees grow."""
    return max(65_536, 1 << (2 * needed - 1).bit_length())


def _watches(facts: LintFacts) -> Iterator[Advice]:
    limit, folders = facts.limits.max_user_watches, facts.count.folders
    if limit is None or not folders:
        return
    others = facts.limits.other_watches or 0
    needed = folders + others
    at_least = "" if facts.count.is_whole else "at least "
    shared = (
        f"root's other processes hold {others} now"
        if facts.limits.other_watches is not None
        else "what root's other processes hold could not be seen, and counts too"
    )
    needs = f"osqueryd needs {at_least}{folders} inotify watches, one a folder, excluded ones included"
    counted = f"{needs}; {shared}; the limit is {limit}"
    where = "/proc/sys/fs/inotify/max_user_watches"
    remedy = _raise("max_user_watches", _room(needed))
    if needed > limit:
        problem = f"{counted}: {needed - limit} folders go unwatched, and osquery_events says active=1."
        yield Advice(code="osquery-inotify-watches", level=Level.TRAP, where=where, problem=problem, remedy=remedy)
    elif needed > limit * _NEARLY:
        problem = f"{counted}: few are left, and what comes beyond goes unwatched."
        yield Advice(code="osquery-inotify-watches", level=Level.WARNING, where=where, problem=problem, remedy=remedy)
    elif not facts.count.is_whole:
        problem = f"{counted}; the count was broken off, since it took too long."
        yield Advice(code="osquery-inotify-watches", level=Level.NOTE, where=where, problem=problem, remedy=remedy)


def _instances(facts: LintFacts) -> Iterator[Advice]:
    limit, held = facts.limits.max_user_instances, facts.limits.other_instances
    if limit is not None and (limit < 1 or (held is not None and held >= limit)):
        yield Advice(
            code="osquery-inotify-instances",
            level=Level.TRAP,
            where="/proc/sys/fs/inotify/max_user_instances",
            problem=f"root's other processes hold {held or 0} inotify instances and the limit is {limit}: osqueryd gets none, "
            "watches nothing, and only an Info line says so.",
            remedy=_raise("max_user_instances", max(256, 2 * (held or 0))),
        )


def _queue(facts: LintFacts) -> Iterator[Advice]:
    limit = facts.limits.max_queued_events
    if limit is not None and limit < _USUAL_QUEUE:
        yield Advice(
            code="osquery-inotify-queue",
            level=Level.WARNING,
            where="/proc/sys/fs/inotify/max_queued_events",
            problem=f"the kernel keeps {limit} events for osqueryd: a burst beyond is lost, and logged only when verbose.",
            remedy=_raise("max_queued_events", 2 * _USUAL_QUEUE),
        )


def _big(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    count = facts.count
    if count.big and count.biggest is not None:
        yield Advice(
            code="osquery-read-max",
            level=Level.WARNING,
            where=flag_where(config, "read_max"),
            path=count.biggest,
            problem=f"{count.big} of the watched files are bigger than read_max ({read_max_of(config)} bytes), the biggest is "
            f"{render_path(count.biggest)} ({count.biggest_size} bytes): osquery reports them without a hash (hashed=-1).",
            remedy=flag_remedy(config, "read_max", str(_room(count.biggest_size))),
        )
