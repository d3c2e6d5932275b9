"""The linter: every way in which an osquery installation was seen to lose changes, looked for in one. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from fimkit.model.advice import Advice, Level
from fimkit.model.paths import render_path
from fimkit.osquery.lint_excludes import lint_excludes
from fimkit.osquery.lint_facts import LintFacts
from fimkit.osquery.lint_flags import lint_flags
from fimkit.osquery.lint_inotify import lint_inotify
from fimkit.osquery.lint_live import LiveFacts, lint_live, lint_status_log, rows_per_second, with_live_flags
from fimkit.osquery.lint_paths import lint_paths
from fimkit.osquery.lint_schedule import lint_schedule
from fimkit.osquery.osquery_config import OsqueryConfig, Problem

__all__ = ["lint_osquery"]


def lint_osquery(
    config: OsqueryConfig, facts: LintFacts, *, live: LiveFacts | None = None, status_log: Iterable[bytes] = ()
) -> list[Advice]:
    """Look at one installation.

    Args:
        config: What its files say.
        facts: What the host is like, and what fimkit is to watch there.
        live: What the running osqueryd says, where it was asked: its flags go over the files'.
        status_log: The lines of its own log since it started.

    Returns:
        One advice for each thing found, none twice.
    """
    running = config if live is None else with_live_flags(config, live)
    if live is not None:
        facts = replace(facts, rows_per_s=rows_per_second(live) or facts.rows_per_s)
    advice = [_of_problem(problem) for problem in config.problems]
    advice += lint_flags(running, facts)
    if running.config_plugin == "filesystem":
        advice += [*lint_paths(running, facts), *lint_excludes(running, facts), *lint_schedule(running, facts)]
    advice += lint_inotify(running, facts)
    if live is not None:
        known = {one.code for one in advice}
        advice += [one for one in lint_live(config, live) if one.code != "osquery-no-query" or one.code not in known]
    log = f"{render_path(running.logger_path).rstrip('/')}/osqueryd.INFO"
    advice += lint_status_log(status_log, where=log)
    return list(dict.fromkeys(advice))


def _of_problem(problem: Problem) -> Advice:
    place = render_path(problem.file)
    if problem.line is not None:
        place += f":{problem.line}" + (f":{problem.column}" if problem.column is not None else "")
    return Advice(
        code="osquery-config-refused" if problem.refused else "osquery-config-problem",
        level=Level.TRAP if problem.refused else Level.WARNING,
        where=place,
        problem=f"{problem.words[0].upper()}{problem.words[1:]}.",
        remedy=f"mend it, and look with osqueryd --config_check; then restart osqueryd ({render_path(problem.file)})",
    )
