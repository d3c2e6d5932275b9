"""The report for people: one HTML file with everything in it, that asks nothing of the network.

Nothing of the host becomes markup. What the page's script shows is JSON in a block that is no script, and goes into the page as
text nodes; the few words that are written into the markup itself are escaped here. A policy in the head allows the one script and
the one style sheet of this module, by their hashes, and nothing else: no request, no form, no other script, and no making of markup
out of text (Trusted Types). So a name that got past the escaping would still not run.

The drawing is our own, some 400 lines: charting libraries write tooltips by ``innerHTML`` or set inline styles, and would need a
weaker policy than this; and their charts are pictures to a keyboard and a screen reader, where these are buttons with words.
"""

import base64
import contextlib
import hashlib
import html
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO

from fimkit.model.beside import make_beside
from fimkit.model.errors import HostError
from fimkit.model.findings import Severity
from fimkit.model.paths import render_path, render_terminal
from fimkit.report.html_data import Blind, Incident, ReportData
from fimkit.report.html_next import render_next
from fimkit.report.html_rows import render_columns
from fimkit.report.html_verdict import (
    blind_seconds,
    event_ns,
    open_findings,
    render_duration,
    render_login,
    render_verdict,
    render_when,
)

__all__ = ["Blind", "Incident", "ReportData", "render_report", "write_report"]

_PAGE = files("fimkit.report") / "html_page"
_SCRIPTS = ("core.js", "timeline.js", "charts.js", "table.js", "detail.js", "main.js")
_MOST_PLAIN = 200  # findings for a reader without scripts
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_JSON_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@cache
def _read(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return '"use strict";\n(() => {\n' + "".join(_read(name) for name in _SCRIPTS) + "})();\n"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(words: str) -> str:
    """Make text safe to stand in markup, and readable as what it is."""
    return html.escape(render_terminal(words.encode("utf-8", "backslashreplace").decode()))


def _json(row: object) -> str:
    """Write JSON that can stand in markup: nothing in it begins or ends an element."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).translate(_JSON_ESCAPES)
    return text.encode("utf-8", "backslashreplace").decode()


def render_report(report: ReportData) -> Iterator[str]:
    """Write the page, a part at a time: a hundred thousand findings are not joined to one text.

    Args:
        report: What is to be shown.
    """
    style, script = _read("page.css"), _script()
    parts = {
        "title": _text(f"fimkit: {report.host}, {render_when(report.made_ns)}"),
        "policy": "; ".join((
            "default-src 'none'", f"script-src 'sha256-{_hash(script)}'", f"style-src 'sha256-{_hash(style)}'", "base-uri 'none'",
            "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
        )),
        "style": style,
        "script": script,
        "host": _text(report.host),
        "span": _text(_span(report)),
        "verdict": _text(render_verdict(report)),
        "grade": _grade(report),
        "cards": _cards(report),
        "plain": _plain(report),
        "incidents": _incidents(report),
        "next": _next(report),
        "watched": _list(report.watched, "Nothing is said of what was watched."),
        "coverage": _list(report.coverage, "Nothing is known to have been missed."),
        "blind": _blind(report),
    }  # fmt: skip
    for number, part in enumerate(_PLACE.split(_read("page.html"))):
        if not number % 2:
            yield part
        elif part == "data":
            yield _json(_page_data(report))
        else:
            yield parts[part]


def _page_data(report: ReportData) -> dict[str, object]:
    return {
        "host": render_terminal(report.host),
        "made": report.made_ns / 1e6,
        "since": None if report.since_ns is None else report.since_ns / 1e6,
        "blind": [{"from": one.from_ns / 1e6, "to": one.to_ns / 1e6, "why": render_terminal(one.why)} for one in report.blind],
        **render_columns(report),
    }


def _span(report: ReportData) -> str:
    since = "" if report.since_ns is None else f"from {render_when(report.since_ns)}; "
    head = "" if report.head is None else f" Evidence head {report.head}."
    return f"{since}made {render_when(report.made_ns)}. All times are UTC.{head}"


def _grade(report: ReportData) -> str:
    found = open_findings(report)
    return found[0].severity.value if found else "clean"


def _cards(report: ReportData) -> str:
    counts = Counter(finding.severity for finding in open_findings(report))
    return "".join(
        f'<button type="button" class="card {one.value}" data-severity="{one.rank}" aria-pressed="false"'
        f'{"" if counts[one] else " disabled"}><b>{counts[one]:,}</b> <span>{one.value}</span></button>'
        for one in reversed(Severity)
    )


def _list(lines: tuple[str, ...], otherwise: str) -> str:
    if not lines:
        return f"<p>{_text(otherwise)}</p>"
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>"


def _blind(report: ReportData) -> str:
    if not report.blind:
        return "<p>No gap in the records is known.</p>"
    lasted = blind_seconds(report.blind)
    rows = "".join(
        f"<li><time>{render_when(one.from_ns)}</time> to <time>{render_when(one.to_ns)}</time>"
        f" ({render_duration((one.to_ns - one.from_ns) / 1e9)}): {_text(one.why)}</li>"
        for one in sorted(report.blind, key=lambda each: each.from_ns)
    )
    return f"<p>{render_duration(lasted)} in all; hatched in the timeline.</p><ul>{rows}</ul>"


def _next(report: ReportData) -> str:
    steps = render_next(report)
    if not steps:
        return ""
    head = '<section class="box next" aria-labelledby="h-next"><h2 id="h-next">What to do</h2><ol>'
    return head + "".join(f"<li>{_text(step)}</li>" for step in steps) + "</ol></section>"


def _incidents(report: ReportData) -> str:
    if not report.incidents:
        return ""
    rows = "".join(
        f"<li><time>{render_when(one.triggered_ns)}</time> <b>{_text(one.phase)}</b>: {_text(one.cause)}."
        f" Evidence in <code>{_text(render_path(one.folder))}</code></li>"
        for one in report.incidents
    )
    head = '<section class="box incidents" aria-labelledby="h-panic"><h2 id="h-panic">Panics of this host</h2>'
    return f"{head}<ul>{rows}</ul></section>"


def _plain(report: ReportData) -> str:
    """Write the most severe findings as markup, for who reads it where scripts are off (a mail gateway's view, a text browser)."""
    found = open_findings(report)
    rows = "".join(
        f"<tr><td>{one.severity.value}</td><td>{render_when(event_ns(one))}</td><td>{one.kind.value}</td>"
        f"<td>{_text(render_path(one.path))}</td><td>{_text(render_login(one.actors[0]) if one.actors else 'nobody is named')}</td>"
        f"<td>{_text(one.actors[0].cmdline or '') if one.actors else ''}</td></tr>"
        for one in found[:_MOST_PLAIN]
    )
    more = f"<p>And {len(found) - _MOST_PLAIN:,} more.</p>" if len(found) > _MOST_PLAIN else ""
    head = "".join(f"<th>{name}</th>" for name in ("Severity", "Time, UTC", "Kind", "Path", "Who", "Command"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def write_report(file: str | os.PathLike[str] | IO[bytes], data: ReportData) -> None:
    """Write the page to a file, which is there as a whole or not at all, and is its owner's alone: it names users and commands.

    Args:
        file: Where to; a stream of bytes is written to as it is.
        data: What is to be shown.

    Raises:
        HostError: If the file cannot be written, or something that is no file is in its place.
    """
    if not isinstance(file, str | os.PathLike):
        for part in render_report(data):
            file.write(part.encode())
        return
    path = Path(file)
    if path.exists() and not path.is_file():
        raise HostError(f"{path}: it is there and is no file; the report is not written")
    try:
        _write_whole(path, data)
    except OSError as error:
        raise HostError(f"{path}: the report cannot be written: {error.strerror}") from error


def _write_whole(path: Path, data: ReportData) -> None:
    handle, name = make_beside(os.fspath(path))  # 0600
    try:
        with open(handle, "wb") as stream:
            for part in render_report(data):
                stream.write(part.encode())
            stream.flush()
            os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
