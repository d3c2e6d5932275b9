"""What is made of a file's search: its hits as marks, what is to be said beside them, and the story of how it came."""

import pwd
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fimkit.correlate.ledger import ChangeLedger
from fimkit.evidence.store import Store
from fimkit.model.changes import Change
from fimkit.model.config import Config
from fimkit.model.findings import ContentMark, Finding, judge_content
from fimkit.verbs.content_cases import hidden_marks, is_other, tell_marks
from fimkit.verbs.web_story import NEAR_NS, STORY_NS, tell_others, tell_writer

__all__ = ["ChangesOf", "ContentJudge", "recorded_among", "recorded_in"]

_NO_TALE = "story: what else was done is not told, for many came at once: `fimkit show` has what is recorded"
_CHARS = 300

ChangesOf = Callable[[int, int, int | None], Iterable[Change]]
"""Gives what was recorded between two times, by one user where a uid is given."""


class ContentJudge:
    """Judges findings by what was found in their files."""

    def __init__(self, config: Config) -> None:
        """Take the configuration: who writes for the web, and how much of a file is read."""
        self._most_bytes = config.content.most_mb << 20
        self._web_users = _web_users(config.content.web_users)

    def answer(self, finding: Finding, row: Mapping[str, Any], changes_of: ChangesOf | None) -> Finding:
        """Judge a finding by what the search of its file answered.

        Args:
            finding: The finding.
            row: The answer.
            changes_of: What was recorded; ``None`` where there is no time to ask.
        """
        marks = tuple(
            ContentMark(rule=str(rule), severity=str(severity), line=int(line), text=str(text)[:_CHARS], attack=str(attack))
            for rule, severity, line, text, attack in row.get("marks", ())
        )
        marks += hidden_marks(
            finding.moved_to or finding.path, (finding.after and finding.after.size) or 0,
            most_bytes=self._most_bytes, problem=row.get("problem"),
        )  # fmt: skip
        words = [f"content: {note}" for note in row.get("notes", ())]
        content: tuple[ContentMark, ...] | None = marks
        if row.get("problem"):
            words.append(f"content: not searched to the end: {row['problem']}"[: _CHARS * 2])
            content = marks or None
        elif is_other(finding, row.get("seen")):
            words.append("content: the file had changed again when it was searched")
            content = marks or None
        if row.get("more", 0) > 0:
            words.append(f"content: {row['more']} more hits")
        story = list(map(str, row.get("story", ())))
        if marks and finding.actors:
            maker = finding.actors[0]
            near = None if changes_of is None else changes_of(maker.time_ns - NEAR_NS, maker.time_ns + STORY_NS, maker.uid)
            story += [_NO_TALE] if near is None else tell_others(finding, near)
        return self._judge(finding, content, [*tell_marks(marks), *words], story)

    def unsearched(self, finding: Finding, words: Sequence[str]) -> Finding:
        """Judge a finding whose file was not searched, and say why."""
        return self._judge(finding, None, words, [])

    def _judge(
        self, finding: Finding, content: tuple[ContentMark, ...] | None, words: Sequence[str], story: Sequence[str]
    ) -> Finding:
        return judge_content(finding, content, [*words, *tell_writer(finding, self._web_users), *story])


def _web_users(names: Iterable[str]) -> dict[int, str]:
    found = {}
    for name in names:
        try:
            found[pwd.getpwnam(name).pw_uid] = name
        except KeyError:
            continue
    return found


def recorded_in(store: Store) -> ChangesOf:
    """Have it from the store."""
    return lambda since_ns, until_ns, uid: store.changes_by(uid, since_ns=since_ns, until_ns=until_ns)


def recorded_among(changes: Sequence[Change]) -> ChangesOf:
    """Have it from what is at hand."""

    def give(since_ns: int, until_ns: int, uid: int | None) -> Iterable[Change]:
        near = changes.between(since_ns, until_ns) if isinstance(changes, ChangeLedger) else changes
        return [
            one for one in near
            if since_ns <= one.time_ns <= until_ns and one.actor is not None and one.actor.uid == uid
        ]  # fmt: skip

    return give
