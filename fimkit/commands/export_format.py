"""The option that names an export's format, in the verbs that have one."""

import argparse
import sys

from fimkit.model.errors import UsageError
from fimkit.report.export_formats import Format

__all__ = ["add_format", "refuse_terminal"]


def add_format(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Declare ``--format``."""
    parser.add_argument(
        "--format", choices=[one.value for one in Format], required=required, help="what each finding is written as"
    )


def refuse_terminal(format: Format) -> None:
    """Keep what is no text away from a terminal.

    Raises:
        UsageError: If it would get there.
    """
    if format is Format.PARQUET and sys.stdout.isatty():
        raise UsageError("Parquet is no text for a terminal; send it into a file")
