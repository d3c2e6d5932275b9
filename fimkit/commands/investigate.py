"""`fimkit investigate`: the same judgement on files collected elsewhere."""

import argparse
import sys
from pathlib import Path

from fimkit.commands.export_format import add_format, refuse_terminal
from fimkit.commands.printing import add_json, print_findings, print_words
from fimkit.model.config_text import load_foreign_config
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_terminal
from fimkit.report.export_formats import Format

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files."""
    parser.add_argument("--baseline", metavar="FILE", type=Path, required=True, help="the earlier snapshot, JSON lines")
    parser.add_argument("--after", metavar="FILE", type=Path, required=True, help="the later snapshot")
    parser.add_argument("--audit-log", metavar="FILE", type=Path, action="append", default=[], help="an audit log; may be repeated")
    parser.add_argument(
        "--osquery-log", metavar="FILE", type=Path, action="append", default=[], help="an osquery result log; may be repeated"
    )
    add_json(parser)
    add_format(parser, required=False)
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a report for people instead: one HTML file")


def run(arguments: argparse.Namespace) -> int:
    """Judge and print.

    Returns:
        1 if anything was found, else 0.
    """
    missing = [
        f"{path}: no such file"
        for path in (arguments.baseline, arguments.after, *arguments.audit_log, *arguments.osquery_log)
        if not path.is_file()
    ]
    if missing:
        raise UsageError("; ".join(missing))
    if sum((arguments.json, arguments.format is not None, arguments.html is not None)) > 1:
        raise UsageError("--json, --format and --html are ways to show the same; give one")
    format = None if arguments.format is None else Format(arguments.format)
    if format is not None:
        refuse_terminal(format)
    config = load_foreign_config(arguments.config)
    from fimkit.report.text import render_summary
    from fimkit.verbs.investigate import investigate  # pandas: only when it is needed

    found = investigate(
        config,
        baseline=arguments.baseline,
        after=arguments.after,
        audit_logs=arguments.audit_log,
        osquery_logs=arguments.osquery_log,
    )
    if format is not None:
        from fimkit.report.export_rows import ExportRow
        from fimkit.verbs.export import write_rows

        write_rows(format, [ExportRow(finding=finding) for finding in found.findings], sys.stdout.buffer)
    elif arguments.html is None:
        print_findings(found.findings, as_json=arguments.json)
    else:
        from fimkit.verbs.report import report_investigation

        report_investigation(config, found, arguments.html)
        print(f"written: {render_terminal(str(arguments.html))}")
    print_words(found.problems)
    print_words([render_summary(found.findings)])  # for itself: very many problems are cut short
    return 1 if found.findings else 0
