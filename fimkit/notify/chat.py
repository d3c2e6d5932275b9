"""What a chat or a pager is told: a title and a few lines, in which nothing that others chose calls, links or marks up. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fimkit.model.findings import Finding, Severity
from fimkit.model.paths import render_path
from fimkit.notify.compose import PanicNews, render_counts, weigh
from fimkit.notify.digest_text import Beside, render_beside, render_place, render_subject
from fimkit.notify.groups import group_findings, render_writer
from fimkit.notify.message import render_word

__all__ = [
    "ChatText", "compose_chat", "compose_chat_panic", "parse_chat", "render_chat", "render_chat_word", "with_chat_head",
]  # fmt: skip

_GROUPS, _WORD_CHARS, _MOST_CHARS = 5, 240, 1800  # the narrowest of the common ones, Discord, takes 2,000
# What calls people or makes links and markup somewhere: @everyone, <!channel>, [x](url), `code`, *bold*, |table|, ://
_LIVE = str.maketrans({char: f"%{ord(char):02X}" for char in "@<>[]`*|\\&"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatText:
    """What one channel is told; ``kind`` is info, warning or failure, which many of them show by a colour."""

    title: str
    body: str
    kind: str


def render_chat_word(text: str) -> str:
    """Make text that others chose lifeless for a chat: reversible as every path is, and cut.

    >>> render_chat_word("/srv/@everyone/[x](http://e.example)")
    '/srv/%40everyone/%5Bx%5D(http%3A//e.example)'
    """
    shown = render_word(text).translate(_LIVE).replace("://", "%3A//")
    return shown if len(shown) <= _WORD_CHARS else f"…{shown[1 - _WORD_CHARS:]}"


def _cut(text: str, most: int = _MOST_CHARS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def with_chat_head(text: ChatText, heads: Sequence[str]) -> ChatText:
    """Put the head of the evidence chain, the first of the lines on it, at the end: it stays where the rest is cut."""
    if not heads:
        return text
    line = render_chat_word(heads[0])
    return replace(text, body=f"{_cut(text.body, _MOST_CHARS - len(line) - 1)}\n{line}")


def compose_chat(host: str, addresses: Sequence[str], findings: Sequence[Finding], beside: Beside | None = None) -> ChatText:
    """Write what a channel is told of findings; the arguments are those of a digest."""
    ordered = weigh(findings)
    lines = [render_counts(ordered), *(render_chat_word(line) for line in render_beside(beside or Beside()))]
    groups = group_findings(ordered, most=_GROUPS)
    for group in groups[:_GROUPS]:
        first = group.findings[0]
        where = f"{'below' if group.deep else 'in'} {render_chat_word(render_path(group.folder))}"
        more = f" and {len(group.findings) - 1} more {where}"
        rules = f", rule {render_chat_word(', '.join(group.rules))}" if group.rules else ""
        path, writer = render_chat_word(render_path(first.path)), render_chat_word(render_writer(first))
        lines.append(f"{group.severity} {group.kind} {path}{more if len(group.findings) > 1 else ''} by {writer}{rules}")
    if len(groups) > _GROUPS:
        lines.append(f"and {sum(len(group.findings) for group in groups[_GROUPS:])} more elsewhere")
    grave = any(one.severity is Severity.CRITICAL for one in ordered)
    title = f"[fimkit] {render_word(render_place(host, addresses))} {render_subject(ordered)}"
    return ChatText(title=title, body=_cut("\n".join(lines)), kind="failure" if grave else "warning")


def compose_chat_panic(news: PanicNews) -> ChatText:
    """Write what a channel is told of a panic."""
    ordered = weigh(news.findings)
    lines = [
        render_chat_word(news.cause),
        f"incident {render_chat_word(news.incident)}",
        *(f"{one.severity.value} {one.kind.value} {render_chat_word(render_path(one.path))}" for one in ordered[:_GROUPS]),
        *([f"and {len(ordered) - _GROUPS} more"] if len(ordered) > _GROUPS else []),
        *map(render_chat_word, (*news.done, *news.next_steps)),
    ]
    title = f"[fimkit] {render_word(render_place(news.host, news.addresses))} PANIC {render_counts(ordered)}"
    return with_chat_head(ChatText(title=title, body=_cut("\n".join(lines)), kind="failure"), news.heads)


def render_chat(text: ChatText) -> bytes:
    """Write it as JSON, for the queue."""
    return json.dumps({"title": text.title, "body": text.body, "kind": text.kind}).encode("ascii")


def parse_chat(raw: bytes) -> ChatText:
    """Read what :func:`render_chat` gave."""
    row = json.loads(raw)
    return ChatText(title=row["title"], body=row["body"], kind=row["kind"])
