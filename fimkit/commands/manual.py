r"""The manual page in roff, made of a parser: nothing is said twice that the help says. Pure.

Source: man(7), the classic macros, which groff and mandoc both read. A text line must not begin with ``.`` or ``'``, and ``\`` and
``-`` are escaped.
"""

import argparse
import re
from collections.abc import Iterator

__all__ = ["render_manual"]

_FILES = (
    ("/etc/fimkit/fimkit.toml", "the configuration; `fimkit init` writes one"),
    ("/var/lib/fimkit/fimkit.sqlite", "the evidence: baseline, changes, findings; [host] state_dir names another folder"),
    ("/etc/audit/rules.d/40-fimkit.rules", "the audit rules that `fimkit install` writes"),
)
_ENVIRONMENT = (
    ("FIMKIT_CONFIG", "names the configuration where --config does not"),
    ("NO_COLOR", "set to anything, takes the colours away"),
)
_PAINT = re.compile(r"\x1b\[[0-9;]*m")  # later Pythons colour a usage
_LONG_CHOICE = re.compile(r"(?<=[^\s,|{])([,|])(?=[^\s,|])")  # a line may be broken behind one of many choices
_SEE = ("auditctl(8)", "auditd(8)", "ausearch(8)", "osqueryd(8)")


def _text(words: str) -> str:
    r"""Escape text for roff.

    >>> _text(".x -a\\b")
    '\\&.x \\-a\\eb'
    >>> _text("{low,high}")
    '{low,\\:high}'
    """
    escaped = _LONG_CHOICE.sub(r"\1\\:", words.replace("\\", "\\e").replace("-", "\\-"))
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped


def _bold(words: str) -> str:
    return f"\\fB{_text(words)}\\fR"


def _italic(words: str) -> str:
    return f"\\fI{_text(words)}\\fR"


def render_manual(parser: argparse.ArgumentParser, version: str) -> Iterator[str]:
    """Write the page.

    Args:
        parser: With all verbs.
        version: For the page's foot.
    """
    yield f'.TH FIMKIT 1 "" "fimkit {_text(version)}" "fimkit"'
    yield from (".ad l", ".nh")  # long options are nothing to spread over a line, or to break
    what = (parser.description or "").rstrip(".")
    yield from (".SH NAME", f"fimkit \\- {_text(what[:1].lower() + what[1:])}")
    synopsis = [_bold("fimkit"), f"[{_bold('--config')} {_italic('FILE')}]", _italic("VERB"), f"[{_italic('ARGUMENTS')}]"]
    yield from (".SH SYNOPSIS", " ".join(synopsis))
    yield from (".SH DESCRIPTION", _text("For every change to a file that matters, fimkit tells what changed, who did it, and how"))
    yield _text("surely that is known. It joins a baseline of hashes with the records of the kernel's audit and with osquery.")
    yield ".SH OPTIONS"
    yield from _options(parser)
    yield ".SH VERBS"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from _verbs([], action)
    yield from (".SH EXIT STATUS", _text((parser.epilog or "").removeprefix("Exit status: ")))
    for title, rows in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f".SH {title}"
        for name, words in rows:
            yield from (".TP", _bold(name), _text(words))
    yield from (".SH SEE ALSO", ", ".join(map(_text, _SEE)))


def _verbs(above: list[str], action: "argparse._SubParsersAction[argparse.ArgumentParser]") -> Iterator[str]:
    helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
    for name, inner in action.choices.items():
        yield from _verb([*above, name], inner, helps.get(name, ""))


def _verb(names: list[str], parser: argparse.ArgumentParser, help_words: str) -> Iterator[str]:
    yield f'.SS "{_text("fimkit " + " ".join(names))}"'
    if help_words:
        yield _text(help_words[:1].upper() + help_words[1:].rstrip(".") + ".")
    yield ".PP"
    usage = _PAINT.sub("", parser.format_usage()).removeprefix("usage: ")
    yield f"{_bold('usage:')} {_text(' '.join(usage.split()))}"
    yield from _options(parser)
    if parser.epilog:
        yield from (".PP", _text(parser.epilog))
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from _verbs(names, action)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or action.help == argparse.SUPPRESS:
            continue
        yield from (".TP", _head(action))
        words = action.help or ""
        yield _text(" ".join((words % {**vars(action), "prog": parser.prog}).split())) or "\\&"


def _head(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else None
    if value is None and action.choices is not None:
        value = "|".join(map(str, action.choices))
    if value is None and action.nargs != 0:
        value = action.dest.upper()
    if not action.option_strings:
        return _italic(value or action.dest)
    return ", ".join(_bold(name) for name in action.option_strings) + (f" {_italic(value)}" if value else "")
