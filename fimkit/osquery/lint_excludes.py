"""The linter on ``exclude_paths``: what does not exclude, and what excludes too much. Pure."""

from collections.abc import Iterator

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import is_below, join_path, render_path
from fimkit.model.watches import WatchSet
from fimkit.osquery.coverage import Exclude, Reach, parse_exclude
from fimkit.osquery.lint_facts import LintFacts
from fimkit.osquery.lint_words import plain_part, quote
from fimkit.osquery.osquery_config import FilePattern, OsqueryConfig

__all__ = ["lint_excludes"]

_ANY_NAME = b"any"


def lint_excludes(config: OsqueryConfig, facts: LintFacts) -> list[Advice]:
    """Say what is wrong with ``exclude_paths``."""
    known = {one.category for one in config.file_paths} | {one.category for one in config.path_queries}
    advice: list[Advice] = []
    for found in dict.fromkeys(config.exclude_paths):
        exclude = parse_exclude(found.pattern)
        if found.category not in known:
            advice.append(_unknown(found, sorted(known)))
        if exclude.problem is not None:
            advice.append(_problem(found, exclude))
        advice += _hidden(found, exclude, facts)
    return advice


def _where(found: FilePattern) -> str:
    return f"{render_path(found.file)}: exclude_paths.{found.category}: {quote(found.pattern)}"


def _unknown(found: FilePattern, known: list[str]) -> Advice:
    return Advice(
        code="osquery-exclude-category",
        level=Level.WARNING,
        where=_where(found),
        path=plain_part(found.pattern),
        problem=f"no file_paths have a category {found.category!r}: osquery passes its excludes over.",
        remedy=f"put it under one of the categories of file_paths: {', '.join(known) or '(there is none)'}",
    )


def _problem(found: FilePattern, exclude: Exclude) -> Advice:
    folder = found.pattern.replace(b"*", b"%").rpartition(b"/")[0]
    while b"%" in folder:
        folder = folder.rpartition(b"/")[0]
    level_only = exclude.reach is Reach.LEVEL
    return Advice(
        code="osquery-exclude-level" if level_only else "osquery-exclude-form",
        level=Level.NOTE if level_only else Level.WARNING,
        where=_where(found),
        path=plain_part(found.pattern),
        problem=f"{quote(found.pattern)}: {exclude.problem}.",
        remedy=f"osquery honours whole folders, as {quote(folder + b'/%%')}, and exact files; leave the rest to who reads the "
        "results (fimkit's own excludes do)",
    )


def _hidden(found: FilePattern, exclude: Exclude, facts: LintFacts) -> Iterator[Advice]:
    if exclude.reach is Reach.NONE or b"%" in exclude.base:
        return
    place = facts.look(exclude.base)
    base = place.real
    wanted = WatchSet(facts.watches)
    if exclude.reach is Reach.NAMED and not place.is_folder:
        lost = base if wanted.watch_of(base) is not None else None
    else:
        inside = [watch.path for watch in facts.watches if is_below(watch.path, base) and exclude.reach is Reach.TREE]
        child = join_path(base, _ANY_NAME)
        lost = inside[0] if inside else base if wanted.watch_of(child, is_folder=exclude.reach is Reach.TREE) is not None else None
    if lost is not None:
        yield Advice(
            code="osquery-exclude-hides",
            level=Level.TRAP,
            where=_where(found),
            path=lost,
            problem=f"{quote(found.pattern)} keeps osquery from reporting {render_path(lost)}, which fimkit is to watch; "
            "an exclude holds for all categories together.",
            remedy=f'take {quote(found.pattern)} out of "exclude_paths", or exclude it in fimkit.toml too',
        )
