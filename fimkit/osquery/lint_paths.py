"""The linter on paths: patterns that watch something else than they seem to, and watches that nothing covers. Pure."""

import os
from collections.abc import Iterator
from itertools import combinations

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Watch
from fimkit.model.paths import render_path
from fimkit.model.watches import WatchSet
from fimkit.osquery.coverage import Coverage, Reach, WatchPattern, parse_watch_pattern
from fimkit.osquery.lint_facts import LintFacts
from fimkit.osquery.lint_words import RESTART, is_ours, plain_part, quote
from fimkit.osquery.osquery_config import FilePattern, OsqueryConfig

__all__ = ["lint_paths"]


def lint_paths(config: OsqueryConfig, facts: LintFacts) -> list[Advice]:
    """Say what is wrong with ``file_paths``, ``file_paths_query`` and ``file_accesses``."""
    return [
        *_patterns(config, facts),
        *_queries(config),
        *_overlaps(config, facts),
        *_accesses(config, facts),
        *_uncovered(config, facts),
    ]


def _where(found: FilePattern) -> str:
    return f"{render_path(found.file)}: file_paths.{found.category}: {quote(found.pattern)}"


def _coverage(config: OsqueryConfig, facts: LintFacts, *, category: str | None = None) -> Coverage:
    return Coverage((one.pattern for one in config.file_paths if category in (None, one.category)), facts.bases)


def _patterns(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    wanted = WatchSet(facts.watches)
    whole = _coverage(config, facts)
    for found in dict.fromkeys(config.file_paths):
        pattern = parse_watch_pattern(found.pattern)
        if pattern.reach is Reach.NONE:
            yield _unsure(found, pattern)
            continue
        if pattern.leaf is not None:
            yield _leaf(found, pattern)
        bases = facts.bases.get(found.pattern, ())
        if not bases:
            yield _absent(found, pattern, facts)
        for place in bases:
            if place.real != place.path and b"%" not in pattern.base:
                yield Advice(
                    code="osquery-link",
                    level=Level.NOTE,
                    where=_where(found),
                    path=place.path,
                    problem=f"{render_path(place.path)} leads to {render_path(place.real)}, and osquery reports events there.",
                    remedy=f"write the real path: {quote(found.pattern.replace(place.path, place.real, 1))}",
                )
            if pattern.reach is Reach.NAMED and not place.is_folder and not whole.covers_name(place.real):
                yield _single(found, place.real, wanted)


def _unsure(found: FilePattern, pattern: WatchPattern) -> Advice:
    if not found.pattern.startswith(b"/"):
        return Advice(
            code="osquery-relative-path",
            level=Level.TRAP,
            where=_where(found),
            path=plain_part(found.pattern),
            problem=f"{quote(found.pattern)} is no absolute path: osquery puts its own working directory before it.",
            remedy=f"write the whole path, as in {quote(b'/' + found.pattern)}",
        )
    parts = found.pattern.replace(b"*", b"%").split(b"/")
    one_level = b"/".join(part.replace(b"%%", b"%") for part in (parts[:-1] if parts[-1] == b"%%" else parts))
    above = b"/".join(parts[: next(place for place, part in enumerate(parts) if b"%%" in part)])
    return Advice(
        code="osquery-inner-wildcard",
        level=Level.TRAP,
        where=_where(found),
        path=plain_part(found.pattern),
        problem=f"{quote(found.pattern)} has %% before its end, which osquery does not take: what it watches is not what it says.",
        remedy=(
            f"write {quote(one_level + b'/%%')}, which takes one level where %% stood, or {quote(above + b'/%%')}, "
            "which takes the whole tree"
        ),
    )


def _leaf(found: FilePattern, pattern: WatchPattern) -> Advice:
    like = os.fsdecode(found.pattern).replace("'", "''").replace("*", "%")
    return Advice(
        code="osquery-leaf-pattern",
        level=Level.WARNING,
        where=_where(found),
        path=plain_part(found.pattern),
        problem=f"{quote(found.pattern)} does not filter: osquery reports every file in {render_path(pattern.base)}.",
        remedy=(
            f"write what it does, {quote(pattern.base.rstrip(b'/') + b'/%')}, and filter where the results are read "
            f"(target_path LIKE '{like}')"
        ),
    )


def _absent(found: FilePattern, pattern: WatchPattern, facts: LintFacts) -> Advice:
    above = facts.look(plain_part(found.pattern) or b"/")
    folder = (above.real if above.is_folder else above.nearest).rstrip(b"/")
    install = "fimkit install; then " if is_ours(found.category) else ""
    return Advice(
        code="osquery-absent",
        level=Level.WARNING,
        where=_where(found),
        path=plain_part(found.pattern),
        problem=f"nothing is at {render_path(pattern.base)} now, and osquery does not pick it up when it comes.",
        remedy=f"when it is there: {install}{RESTART}; to see it come, watch the folder above: {quote(folder + b'/%')}",
    )


def _single(found: FilePattern, path: bytes, wanted: WatchSet) -> Advice:
    folder = os.path.dirname(path).rstrip(b"/") + b"/%"
    return Advice(
        code="osquery-single-file",
        level=Level.WARNING if wanted.watch_of(path) is None else Level.TRAP,
        where=_where(found),
        path=path,
        problem=f"{render_path(path)} is watched by itself: when another file takes its place, as editors and package managers do, "
        "osquery loses it in silence.",
        remedy=f"watch its folder: {quote(folder)}",
    )


def _queries(config: OsqueryConfig) -> Iterator[Advice]:
    for query in config.path_queries:
        yield Advice(
            code="osquery-path-query",
            level=Level.NOTE,
            where=f"{render_path(query.file)}: file_paths_query.{query.category}",
            problem="which paths this query gives is known to the running osqueryd alone; its answer is taken when it starts.",
            remedy="where fimkit's paths depend on it, name them in file_paths",
        )


def _overlaps(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    categories = dict.fromkeys(one.category for one in config.file_paths)
    covers = {category: _coverage(config, facts, category=category) for category in categories}
    for one, other in combinations(categories, 2):
        met = covers[one].meets(covers[other])
        if met is None:
            continue
        filtered = [query.scheduled_name for query in config.queries if f"'{one}'" in query.sql or f"'{other}'" in query.sql]
        yield Advice(
            code="osquery-overlap",
            level=Level.TRAP if filtered else Level.WARNING,
            where=f"file_paths.{one} and file_paths.{other}",
            path=met[2],
            problem=(
                f"{quote(met[0])} ({one}) and {quote(met[1])} ({other}) both watch {render_path(met[2])}: one of the categories "
                "gets its events, the other none" + (f"; the query {filtered[0]} asks for one category" if filtered else "") + "."
            ),
            remedy=_overlap_remedy(one, other),
        )


def _overlap_remedy(one: str, other: str) -> str:
    if is_ours(one) != is_ours(other):
        site = other if is_ours(one) else one
        return f"fimkit goes by the path and loses nothing; where the category {site} matters to you, ask by target_path instead"
    return f"keep the path in one of {one} and {other}"


def _accesses(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    for category, file in dict.fromkeys(config.accesses):
        cover = _coverage(config, facts, category=category)
        hit = next((watch.path for watch in facts.watches if cover.covers_level(watch.path) or cover.covers_name(watch.path)), None)
        yield Advice(
            code="osquery-accesses",
            level=Level.TRAP if hit is not None or is_ours(category) else Level.WARNING,
            where=f"{render_path(file)}: file_accesses: {category}",
            path=hit,
            problem="every opening and reading is an event there: a flood that drives changes out of the buffer, and none of these "
            "events has a hash or an owner.",
            remedy=f'take "{category}" out of "file_accesses"',
        )


def _uncovered(config: OsqueryConfig, facts: LintFacts) -> Iterator[Advice]:
    if config.path_queries and not config.file_paths:
        return  # what is watched is not in the files
    cover = _coverage(config, facts)
    for watch in facts.watches:
        if facts.look(watch.path).real != watch.path:
            continue  # where a link leads is a watch of its own
        words = _gap(watch, cover, facts)
        if words is not None:
            pattern, problem = words
            yield Advice(
                code="osquery-uncovered",
                level=Level.TRAP,
                where=render_path(watch.path),
                path=watch.path,
                problem=f"no file_paths of osquery covers {render_path(watch.path)}{problem}.",
                remedy=f'run `fimkit install`, or add {quote(pattern)} to "file_paths"; then {RESTART}',
            )


def _gap(watch: Watch, cover: Coverage, facts: LintFacts) -> tuple[bytes, str] | None:
    """Give the pattern that is missing, and words on what is there."""
    place = facts.look(watch.path)
    if not place.exists:
        if cover.covers_level(place.nearest):
            return None
        return place.nearest.rstrip(b"/") + b"/%", ", which is not there, nor the folder where its coming would be seen"
    if not place.is_folder:
        if cover.covers_name(place.real) or place.real in cover.files:
            return None  # watched by itself alone is another advice
        return os.path.dirname(place.real).rstrip(b"/") + b"/%", ""
    if not watch.recursive:
        return None if cover.covers_level(place.real) else (place.real.rstrip(b"/") + b"/%", "")
    if cover.covers_tree(place.real):
        return None
    part = " below its first level" if cover.covers_level(place.real) else ""
    return place.real.rstrip(b"/") + b"/%%", part
