"""Which findings have a file to be searched, which have none and say so, and what the search of one says. Pure."""

from collections.abc import Sequence
from typing import Any

from fimkit.model.config import Watch
from fimkit.model.findings import ContentMark, Finding, Kind
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.states import FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.web_story import hides_script

__all__ = ["blind_words", "hidden_marks", "is_other", "searched_watch", "tell_marks"]

_CHARS = 300
_KINDS = (Kind.CREATED, Kind.MODIFIED, Kind.MOVED)
_OUTLASTED = ("given up after", "took longer than", "more memory than", "the process that read it ended with")


def searched_watch(finding: Finding, watches: WatchSet) -> Watch | None:
    """Give the watch that wants a finding's file searched.

    Args:
        finding: New or changed bytes are searched, what came from where nothing is, and what was given another ending.
        watches: Those that are scanned.

    Returns:
        ``None`` where there is nothing to be searched.
    """
    after, path = finding.after, finding.moved_to or finding.path
    if after is None or after.type is not FileType.FILE or finding.kind not in _KINDS:
        return None
    watch = watches.watch_of(path)
    if watch is None or not watch.scan_content:
        return None
    if finding.kind is Kind.MOVED and "sha256" not in finding.changed:
        before = watches.watch_of(finding.path)
        is_known = before is not None and before.scan_content and _ending(finding.path) == _ending(path)
        return None if is_known else watch
    return watch


def _ending(path: bytes) -> bytes:
    """Give what of a name decides how it is taken: ``.jpg`` that becomes ``.php``, and a text that becomes ``.htaccess``.

    >>> _ending(b"/www/A.tar.GZ"), _ending(b"/www/.htaccess"), _ending(b"/www.x/readme")
    (b'tar.gz', b'htaccess', b'')
    """
    return path.rpartition(b"/")[2].partition(b".")[2].lower()


def blind_words(finding: Finding, watches: WatchSet) -> str:
    """Say it of what came where contents are searched, and is no file: a link, a fifo; a folder that came with all that is in it.

    Args:
        finding: Any.
        watches: Those that are scanned.

    Returns:
        A reason; empty where there is none to give.
    """
    after, path = finding.after, finding.moved_to or finding.path
    if after is None or finding.kind not in _KINDS or after.type is FileType.FILE:
        return ""
    is_folder = after.type is FileType.DIRECTORY
    watch = watches.watch_of(path, is_folder=is_folder)
    if watch is None or not watch.scan_content:
        return ""
    if is_folder:
        before = watches.watch_of(finding.path, is_folder=True)
        is_known = finding.kind is not Kind.MOVED or (before is not None and before.scan_content)
        return "" if is_known else "content: not searched: a folder that came with what lies in it: `fimkit scan` searches it"
    if after.type is FileType.SYMLINK:
        return f"content: not searched: a link to {render_terminal(render_path(after.target or b'?'))[:_CHARS]}, not followed"
    return f"content: not searched: a {after.type.value}"


def hidden_marks(path: bytes, size_bytes: int, *, most_bytes: int, problem: str | None) -> tuple[ContentMark, ...]:
    """Give hits for a page's script that cannot be searched whole: nobody writes such, and a web shell may be what it hides.

    Args:
        path: The file; of others than a page's scripts (an archive, an installer) it is usual.
        size_bytes: Its size; 0 where that is not known.
        most_bytes: What is read of a file.
        problem: Why it was not searched to the end, in the words of :mod:`fimkit.content`.

    >>> [mark.rule for mark in hidden_marks(b"/www/x.php", 9, most_bytes=99, problem="the YARA rules were given up after 15 s")]
    ['script_outlasts_search']
    >>> hidden_marks(b"/www/x.css", 999, most_bytes=99, problem="took longer than 15 s"), hidden_marks(
    ...     b"/www/x.php", 9, most_bytes=99, problem="a fifo")
    ((), ())
    """
    if not hides_script(path):
        return ()
    marks = []
    if size_bytes > most_bytes:
        text = f"a script of {size_bytes} bytes, of which only the first and the last {most_bytes // 2} are searched"
        marks.append(ContentMark(rule="script_beyond_reading", severity="suspect", line=0, text=text, attack="T1027.001"))
    if problem is not None and any(words in problem for words in _OUTLASTED):
        text = f"a script made so that it is not searched to the end: {problem}"
        marks.append(ContentMark(rule="script_outlasts_search", severity="suspect", line=0, text=text, attack="T1027"))
    return tuple(marks)


def is_other(finding: Finding, seen: Any) -> bool:
    """Tell whether what was opened was another file, or another version of it, than the finding is of."""
    after = finding.after
    if after is None or seen is None:
        return False
    known = (after.inode, after.size, after.mtime_ns, after.ctime_ns)
    return any(one is not None and one != other for one, other in zip(known, seen, strict=True))


def tell_marks(marks: Sequence[ContentMark]) -> list[str]:
    """Say each rule once, by its first hit: mutes and digests go by the name that such a reason begins with."""
    firsts: dict[str, ContentMark] = {}
    for mark in marks:
        firsts.setdefault(mark.rule, mark)
    return [f"rule {mark.rule}: {f'line {mark.line}: ' if mark.line else ''}{mark.text}" for mark in firsts.values()]
