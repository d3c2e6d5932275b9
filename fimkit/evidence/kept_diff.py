"""The text diffs of findings, from what was kept of their files."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from fimkit.evidence.contents import Contents, KeptText, open_contents_reading
from fimkit.evidence.text_diff import MOST_LINES, render_diff
from fimkit.model.errors import HostError, StoreError
from fimkit.model.findings import Finding
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.states import FileState, FileType

__all__ = ["KeptDiff", "KeptDiffs", "diff_of", "load_diffs", "said_differently"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDiff:
    """A finding's unified diff, or ``None`` and ``why`` there is none. ``public``: all that it shows everyone could read."""

    text: str | None
    why: str | None
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDiffs:
    """Diffs by the finding's id, and words on what is not among them."""

    texts: dict[str, str]
    words: tuple[str, ...] = ()


def said_differently(finding: Finding) -> bool:
    """Tell whether a finding is one of a file whose bytes are others now, came, or went."""
    if not finding.kind.lasts:
        return False
    before, after = _file(finding.before), _file(finding.after)
    if before is None and after is None:
        return False
    return before is None or after is None or before.sha256 is None or before.sha256 != after.sha256


def _file(state: FileState | None) -> FileState | None:
    return state if state is not None and state.type is FileType.FILE else None


def _side(contents: Contents, path: bytes, state: FileState | None, words: tuple[str, str]) -> tuple[KeptText, str | None]:
    """Give what one side said (nothing where there was no file), and why that is not known."""
    if state is None:
        return KeptText(text="", why=None, public=True), None
    kept = None if state.sha256 is None else contents.load(path, state.sha256)
    if kept is None:
        return KeptText(text=None, why=None, public=False), f"what it {words[1]} was not kept"
    return kept, None if kept.why is None else f"it {words[0]} {kept.why}"


def diff_of(contents: Contents, finding: Finding, *, most_lines: int = MOST_LINES) -> KeptDiff | None:
    """Make a finding's diff of what was kept.

    Args:
        contents: Open.
        finding: Any.
        most_lines: Of the diff.

    Returns:
        Nothing for a finding whose file says the same as before, or is no file.
    """
    if not said_differently(finding):
        return None
    before, after, new_path = _file(finding.before), _file(finding.after), finding.moved_to or finding.path
    old, old_why = _side(contents, finding.path, before, ("was", "said before"))
    new, new_why = _side(contents, new_path, after, ("is now", "says now"))
    public = old.public and new.public
    if old.text is None or new.text is None:
        return KeptDiff(text=None, why="; ".join(why for why in (old_why, new_why) if why), public=public)
    body = render_diff(old.text, new.text, most_lines=most_lines)
    if not body:
        return KeptDiff(text=None, why="no line differs: only what is no text does, as a mark of the encoding", public=public)
    head = f"--- {_name(finding.path, before)}\n+++ {_name(new_path, after)}\n"
    return KeptDiff(text=head + body, why=None, public=public)


def _name(path: bytes, state: FileState | None) -> str:
    return "/dev/null" if state is None else render_terminal(render_path(path))


def load_diffs(
    state_dir: bytes,
    findings: Iterable[Finding],
    *,
    public_only: bool = False,
    most: int = 500,
    most_lines: int = MOST_LINES,
    budget_s: float = 10.0,
) -> KeptDiffs:
    """Make the diffs of findings, as many as fit.

    Args:
        state_dir: Where the contents are.
        findings: In the order in which they matter.
        public_only: Those alone whose files everyone may read.
        most: How many.
        most_lines: Of each.
        budget_s: How long it may take.

    Returns:
        The diffs. Where nothing was ever kept, none and no words; where it cannot be read, words.
    """
    wanted = [finding for finding in findings if said_differently(finding)]
    texts: dict[str, str] = {}
    try:
        contents = open_contents_reading(state_dir) if wanted else None
        if contents is None:
            return KeptDiffs(texts=texts)
        left, until = 0, time.monotonic() + budget_s
        with contents:
            for finding in wanted:
                if len(texts) >= most or time.monotonic() > until:
                    left += 1
                    continue
                diff = diff_of(contents, finding, most_lines=most_lines)
                if diff is not None and diff.text is not None and (diff.public or not public_only):
                    texts[finding.id] = diff.text
    except (HostError, StoreError) as error:
        return KeptDiffs(texts=texts, words=(f"text diffs are left out: {error}",))
    words = (f"the text diffs of {left} findings are left out: `fimkit show ID` has each",) if left else ()
    return KeptDiffs(texts=texts, words=words)
