"""Findings as a table, one line each, within the terminal's width: for looking through many. Pure."""

from collections.abc import Iterator, Sequence

from fimkit.model.findings import Attribution, Finding
from fimkit.model.paths import render_path, render_terminal
from fimkit.report.color import Palette
from fimkit.report.export_rows import ExportRow, made_ns, safe_time
from fimkit.report.text import display_width, fit

__all__ = ["render_table", "short_ids", "who_word"]

_LEAST_ID = 8
_TIME = len("2026-11-22T03:49:01Z")
_WHO, _LEAST_WHO = 16, 8
_PATH, _LEAST_PATH = 16, 10
_WIDE = 120  # from here on there is room for the verdict


def short_ids(ids: Sequence[str], least: int = _LEAST_ID) -> int:
    """Give how many characters tell the ids apart, at least so many.

    >>> short_ids(["aaaaaaaa1", "aaaaaaaa2", "b"]), short_ids([])
    (9, 8)
    """
    several, length = set(ids), least
    while len({number[:length] for number in several}) < len(several):
        length += 1
    return length


def render_table(rows: Sequence[ExportRow], *, width: int | None, palette: Palette, with_status: bool = False) -> Iterator[str]:
    """Write findings as lines.

    Args:
        rows: In the order in which they are to be shown.
        width: Columns of the terminal, at least 80; ``None`` shortens no path.
        palette: Paints severities.
        with_status: Say which are open, and what became of the others.

    Yields:
        A heading and a line each: id (as much of it as `fimkit show` needs), severity, the verdict where there is room, kind, when,
        who, path. ``?`` behind who says that it is not sure. What is too long is shortened in its middle.
    """
    if not rows:
        return
    with_verdict = width is None or width >= _WIDE
    heads = _heads(rows, width, with_verdict=with_verdict, with_status=with_status)
    length = heads[0][1]
    room = None if width is None else max(width - _taken(heads), _LEAST_PATH)
    yield palette.bold(" ".join(_pad(name, size) for name, size in heads) + " PATH")
    for row in rows:
        finding = row.finding
        cells = [
            finding.id[:length], finding.severity.value, *([finding.verdict.value] if with_verdict else []), finding.kind.value,
            _when(finding), who_word(finding),
            *([row.status] if with_status else []),
        ]  # fmt: skip
        texts = [_pad(fit(cell, size), size) for cell, (_, size) in zip(cells, heads, strict=True)]
        texts[1] = palette.severity(finding.severity, texts[1])
        yield " ".join([*texts, _path(finding) if room is None else fit(_path(finding), room)])


def _taken(heads: Sequence[tuple[str, int]]) -> int:
    return sum(size + 1 for _, size in heads)


def _heads(rows: Sequence[ExportRow], width: int | None, *, with_verdict: bool, with_status: bool) -> list[tuple[str, int]]:
    """Give the columns before the path, each with its width; where it is narrow, the name gives way to the path."""
    who = max(3, *(display_width(who_word(row.finding)) for row in rows))
    heads = [("ID", short_ids([row.finding.id for row in rows])), ("SEVERITY", 8)]
    heads += [("VERDICT", len("unexplained"))] if with_verdict else []
    heads += [("KIND", 10), ("WHEN", _TIME), ("WHO", min(who, _WHO))]
    heads += [("STATUS", len("superseded"))] if with_status else []
    lacking = 0 if width is None else max(_PATH - width + _taken(heads), 0)
    return [(name, min(size, max(size - lacking, _LEAST_WHO)) if name == "WHO" else size) for name, size in heads]


def who_word(finding: Finding) -> str:
    """Name who did it in a word: the login user, else the user of the process; empty where nobody is known."""
    if not finding.actors:
        return "-"
    actor = finding.actors[0]
    service = "?" if actor.uid is None else f"uid {actor.uid}"
    name = service if actor.auid is None else actor.user or str(actor.auid)
    return render_terminal(name) + ("" if finding.attribution is Attribution.EXACT else " ?")


def _when(finding: Finding) -> str:
    text = safe_time(made_ns(finding))
    return "" if text is None else text[:19] + "Z"


def _path(finding: Finding) -> str:
    path = render_terminal(render_path(finding.path))
    return path if finding.moved_to is None else f"{path} → {render_terminal(render_path(finding.moved_to))}"


def _pad(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))
