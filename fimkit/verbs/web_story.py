"""The story of a file in a web root: who wrote it, by which request it came, what else that process did, who ran what later. Pure.

Each sentence is a reason of the finding that begins with ``story: ``. What names and requests hold is escaped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fimkit.content.access_log import WebRequest
from fimkit.model.changes import Action, Actor, Change, place_of
from fimkit.model.findings import Finding, Kind
from fimkit.model.paths import is_below, render_path, render_terminal
from fimkit.model.states import FileType
from fimkit.model.time import render_time

__all__ = [
    "NEAR_NS", "SCRIPTS", "STORY_NS", "hides_script", "is_sure", "pick_requests", "tell_others", "tell_requests", "tell_writer",
]  # fmt: skip

SCRIPTS = (b".php", b".phtml", b".phar", b".asp", b".aspx", b".jsp", b".cgi", b".py", b".pl", b".sh")
"""What a web server would run. PHP's numbered suffixes (``.php5``) count as ``.php``."""

_PAGES = (b".php", b".phtml", b".asp", b".aspx", b".jsp")

_NS = 1_000_000_000
STORY_NS = 3600 * _NS
"""What a process did, and who ran what, is told within this time."""

NEAR_NS = 60 * _NS
"""And so long before and after: a server's process lives for days."""

_NEAR_NS = 5 * _NS
_UPLOAD_NS = 30 * _NS  # a log has the time at which a request came, and a large upload takes its time
_SHOWN = 3
_CHARS = 160
_UPLOADS = (b"POST", b"PUT", b"PATCH", b"MOVE", b"COPY")
_MADE = frozenset({Action.BORN, Action.OPENED, Action.MOVED_TO, Action.LINKED, Action.UNLINKED, Action.MODE})


def _shown(name: bytes) -> str:
    text = render_terminal(render_path(name))
    return text if len(text) <= _CHARS else f"{text[: _CHARS - 1]}…"


def tell_writer(finding: Finding, web_users: Mapping[int, str]) -> list[str]:
    """Say it where a web server's user wrote what a web server runs.

    Args:
        finding: Of a new or changed file.
        web_users: Names of the users that web servers run as, by uid.
    """
    after = finding.after
    if after is None or after.type is not FileType.FILE or finding.kind not in (Kind.CREATED, Kind.MODIFIED, Kind.MOVED):
        return []
    suffix = _script_suffix(finding.moved_to or finding.path)
    writers = [actor.uid for actor in finding.actors[:1] if actor.uid in web_users]
    owners = [after.uid] if not finding.actors and after.uid in web_users else []
    for uid in writers if suffix else ():
        if uid is not None:
            return [f"story: a web server's user ({web_users[uid]}, uid {uid}) wrote a script ({_shown(suffix)})"]
    for uid in owners if suffix else ():
        if uid is not None:
            return [f"story: a script ({_shown(suffix)}) that belongs to a web server's user ({web_users[uid]}, uid {uid})"]
    return []


def hides_script(path: bytes) -> bool:
    """Tell whether a server would run a file of which only head and tail are read: what lies between could be a web shell.

    Of an archive, or an installer, that is usual; of a page's script it is not.

    >>> hides_script(b"/www/x.php5"), hides_script(b"/www/composer.phar"), hides_script(b"/www/setup.sh")
    (True, False, False)
    """
    return _script_suffix(path) in _PAGES


def _script_suffix(path: bytes) -> bytes:
    """Give the suffix by which a server would run a file, ``.php.jpg`` too: some take any of several.

    >>> _script_suffix(b"/www/a.PHP5"), _script_suffix(b"/www/x.phtml.jpg"), _script_suffix(b"/www/php/readme.txt")
    (b'.php', b'.phtml', b'')
    """
    parts = [b"." + part.lower().rstrip(b"0123456789") for part in path.rpartition(b"/")[2].split(b".")[1:]]
    return next((part for part in reversed(parts) if part in SCRIPTS), b"")


def pick_requests(requests: Iterable[WebRequest], *, path: bytes, root: bytes, time_ns: int) -> list[WebRequest]:
    """Choose the requests that may have brought a file, the likeliest first, and the first one that asked for it since.

    Args:
        requests: Around that time.
        path: Of the file.
        root: The watched folder that it lies in; the server's own root may be above or below it.
        time_ns: When it was written.
    """
    rows = list(requests)
    uploads = [
        one for one in rows
        if one.method.upper() in _UPLOADS and one.status < 400 and time_ns - _UPLOAD_NS <= one.time_ns <= time_ns + _NEAR_NS
    ]  # fmt: skip
    uploads.sort(key=lambda one: (-_kinship(one.target, path, root), abs(one.time_ns - time_ns), one))
    asked = [one for one in rows if one.time_ns >= time_ns - _NS and one not in uploads and _names(one.target, path, root)]
    return [*uploads[:_SHOWN], *asked[:1]]


def is_sure(request: WebRequest, *, path: bytes, root: bytes) -> bool:
    """Tell whether a request is an upload that has to do with the file's folder, and not only with its time."""
    return request.method.upper() in _UPLOADS and _kinship(request.target, path, root) > 0


def _plain(target: bytes) -> bytes:
    return target.partition(b"?")[0].partition(b"#")[0]


def _names(target: bytes, path: bytes, root: bytes) -> bool:
    """Tell whether a request is for the file: its path ends as the file's does, as far as it lies in the watched folder."""
    asked = _plain(target)
    below = path[len(root.rstrip(b"/")) :]
    return len(asked) > 1 and (asked == below or path.endswith(asked) or (below.count(b"/") > 1 and asked.endswith(below)))


def _kinship(target: bytes, path: bytes, root: bytes) -> int:
    """Rate a request: 3 for the file itself, 2 for a script of its folder, 1 for one of a folder above it, 0 for anything else."""
    if _names(target, path, root):
        return 3
    folder = path.rpartition(b"/")[0][len(root.rstrip(b"/")) :] + b"/"
    asked = _plain(target).rpartition(b"/")[0] + b"/"
    if asked == folder:
        return 2
    return 1 if folder.startswith(asked) else 0


def tell_requests(requests: Sequence[WebRequest], *, path: bytes, root: bytes, time_ns: int) -> list[str]:
    """Say which requests may have brought a file, and which one asked for it.

    Args:
        requests: From :func:`pick_requests`.
        path: Of the file.
        root: The watched folder that it lies in.
        time_ns: When it was written.
    """
    return [_tell_request(one, path, root, time_ns) for one in requests]


def _tell_request(one: WebRequest, path: bytes, root: bytes, time_ns: int) -> str:
    is_upload = one.method.upper() in _UPLOADS
    sure = "came by" if is_sure(one, path=path, root=root) else "may have come by"
    verb = f"it {sure}" if is_upload else "it was asked for by"
    user = f" as {_shown(one.user)}" if one.user else ""
    agent = f', agent "{_shown(one.agent)}"' if one.agent else ""
    away_s = (one.time_ns - time_ns // _NS * _NS) // _NS
    when = "in the second in which it was written" if not away_s else f"{abs(away_s)} s {'before' if away_s < 0 else 'after'} that"
    what = f"{_shown(one.method)} {_shown(one.target)} ({one.status})"
    return f"story: {verb} {what} from {_shown(one.remote)}{user} at {render_time(one.time_ns)}, {when}{agent}"


def tell_others(finding: Finding, changes: Iterable[Change], *, shown: int = _SHOWN) -> list[str]:
    """Say what else the writer did, and what its user ran later, as far as watched paths show it.

    Args:
        finding: With its actors.
        changes: Recorded around that time, in any order.
        shown: How many names a sentence has.
    """
    if not finding.actors:
        return []
    maker = finding.actors[0]
    rows = sorted(
        (one for one in changes if one.actor is not None and abs(one.time_ns - maker.time_ns) <= STORY_NS),
        key=place_of,
    )
    return [*_same_process(finding, maker, rows, shown), *_later_programs(finding, maker, rows, shown)]


def _same_process(finding: Finding, maker: Actor, rows: Sequence[Change], shown: int) -> Iterator[str]:
    own = {finding.path, finding.moved_to}
    names: dict[bytes, None] = {}
    for one in rows:
        actor = one.actor
        if actor is None or maker.pid is None or (actor.pid, actor.exe, actor.ses) != (maker.pid, maker.exe, maker.ses):
            continue
        is_near = abs(one.time_ns - maker.time_ns) <= NEAR_NS
        if is_near and one.action in _MADE and one.path is not None and one.path not in own:
            names.setdefault(one.path)
    if names:
        first = ", ".join(_shown(name) for name in list(names)[:shown])
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        yield f"story: the same process (pid {maker.pid}) also changed {first}{more}"


def _later_programs(finding: Finding, maker: Actor, rows: Sequence[Change], shown: int) -> Iterator[str]:
    if maker.uid is None:
        return
    programs: dict[bytes, Change] = {}
    for one in rows:
        actor = one.actor
        if actor is None or actor.exe is None or actor.uid != maker.uid or one.time_ns <= maker.time_ns:
            continue
        if actor.exe != maker.exe and not (one.path is not None and is_below(one.path, finding.path)):
            programs.setdefault(actor.exe, one)
    for exe, one in list(programs.items())[:shown]:
        actor = one.actor
        where = f", on {_shown(one.path)}" if one.path is not None else ""
        pid = "?" if actor is None else actor.pid
        yield f"story: uid {maker.uid} ran {_shown(exe)} (pid {pid}) at {render_time(one.time_ns)}{where}"
    if len(programs) > shown:
        yield f"story: and {len(programs) - shown} more programs"
