"""What the doctor finds of web roots: inotify's limits, folders that drown the rest, a scanner's rights, handlers, logs."""

import os
import pwd
import shutil
from collections import Counter
from collections.abc import Iterator

from fimkit.content.rule_files import BUILT_IN, has_yara, load_rules
from fimkit.dirty.count import count_folders
from fimkit.evidence.store import open_shared_store
from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config, Watch
from fimkit.model.errors import HostError, StoreError
from fimkit.model.paths import is_below, render_path, render_terminal
from fimkit.model.watches import WatchSet
from fimkit.verbs.doctor_host import DoctorHost
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.web_requests import try_log

__all__ = ["check_web"]

_NS = 1_000_000_000
_DAY_NS = 86_400 * _NS
_SHARE = 0.2
_LEAST_CHANGES = 500  # of a day: below it, one folder's share says nothing
_ROOM = 2
_LIMIT = "sys/fs/inotify/max_user_watches"


def check_web(config: Config, host: DoctorHost) -> Iterator[Advice]:
    """Look at what a live watch without audit needs, and at all that concerns contents and handlers."""
    yield from _inotify(config, host)
    yield from _loud_folders(config, int(host.now_s() * _NS))
    if any(watch.scan_content for watch in config.paths):
        yield from _scanner(config)
        yield from _rules(config)
        yield from _access_logs(config)
    for watch in config.paths:
        if watch.handler:
            yield from _handler(watch)


def _inotify(config: Config, host: DoctorHost) -> Iterator[Advice]:
    try:
        limit = int((host.proc / _LIMIT).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    count = count_folders(WatchSet(scanned_watches(config)))
    at_least = "" if count.is_whole else "at least "
    needs = f"`fimkit watch` without audit needs {at_least}{count.folders} inotify watches, one a folder"
    if count.folders * _ROOM <= limit:
        return
    wanted = max(65_536, 1 << (count.folders * _ROOM * 2 - 1).bit_length())
    is_short = count.folders > limit
    what = f"{count.folders - limit} folders would be looked at once a minute alone" if is_short else "other programs need some too"
    yield Advice(
        code="inotify-watches", level=Level.WARNING if is_short else Level.NOTE, where=f"/proc/{_LIMIT}",
        problem=f"{needs}; the limit is {limit}: {what}.",
        remedy=f"echo 'fs.inotify.max_user_watches = {wanted}' >> /etc/sysctl.d/60-fimkit.conf && sysctl --system",
    )  # fmt: skip


def _loud_folders(config: Config, now_ns: int) -> Iterator[Advice]:
    """Find folders that made more than their share of the last day's changes: caches, sessions, uploads of thumbnails."""
    try:
        with open_shared_store(config.host.state_dir) as store:
            counts = Counter(store.count_changes_by_folder(now_ns - _DAY_NS))
    except (StoreError, HostError):
        return  # what is the matter with the store is said there
    total = counts.total()
    watches = WatchSet(config.paths)
    # a folder's excludes leave its old changes in the store
    counts = Counter({path: count for path, count in counts.items() if watches.watch_of(path + b"/x") is not None})
    for folder, count in _loudest(counts, total):
        watch = watches.watch_of(folder + b"/x")
        if watch is None or folder == watch.path:
            continue
        shown = render_terminal(render_path(folder))
        yield Advice(
            code="loud-folder", level=Level.NOTE, where=shown,
            problem=f"{count} of the {total} changes of the last day ({100 * count // total} %) were in it.",
            remedy=f'if it is a cache: exclude = ["{shown}/*"] in the [[paths]] of {render_path(watch.path)};'
            " what hides in there is not seen then",
        )  # fmt: skip


def _loudest(counts: Counter[bytes], total: int) -> Iterator[tuple[bytes, int]]:
    """Give folders with more than a share of the changes in and below them, the deepest such."""
    if total < _LEAST_CHANGES:
        return
    sums: Counter[bytes] = Counter()
    for folder, count in counts.items():
        while folder not in (b"", b"/"):
            sums[folder] += count
            folder = folder.rpartition(b"/")[0]
    loud = [folder for folder, count in sums.items() if count > total * _SHARE]
    for folder in sorted(loud):
        if not any(other != folder and is_below(other, folder) for other in loud):
            yield folder, sums[folder]


def _scanner(config: Config) -> Iterator[Advice]:
    wanted = config.content.user
    try:
        entry = pwd.getpwnam(wanted)
    except KeyError:
        yield Advice(
            code="scan-user", level=Level.NOTE, where="[content] user",
            problem=f"there is no user {wanted}: what reads hostile files runs as nobody, with whatever else does.",
            remedy=f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {wanted}",
        )  # fmt: skip
        return
    groups = [number for number in os.getgrouplist(wanted, entry.pw_gid) if number != entry.pw_gid]
    if entry.pw_uid == 0 or wanted in config.content.web_users:
        yield Advice(
            code="scan-rights", level=Level.WARNING, where="[content] user",
            problem=f"{wanted} has more rights than reading needs: what reads hostile files is to be a user of its own.",
            remedy='user = "fimkit-scan" in [content]',
        )  # fmt: skip
    elif groups:
        yield Advice(
            code="scan-rights", level=Level.NOTE, where="[content] user",
            problem=f"{wanted} is in {len(groups)} more groups: what reads leaves them, what else runs as it does not.",
            remedy=f"usermod -G '' {wanted}",
        )  # fmt: skip


def _rules(config: Config) -> Iterator[Advice]:
    content = config.content
    if not has_yara():
        yield Advice(
            code="scan-no-yara", level=Level.WARNING, where="scan_content",
            problem="the yara-x package is not here: contents are searched by keyword rules alone.",
            remedy="pip install 'fimkit[scan]'",
        )  # fmt: skip
    rules, problems = load_rules([*([BUILT_IN] if content.built_in else []), *content.rules])
    if not rules.count:
        yield Advice(
            code="scan-no-rules", level=Level.TRAP, where="[content] rules",
            problem="there is no rule to search contents with.", remedy="built_in = true in [content]",
        )  # fmt: skip
    for problem in problems[:20]:
        where, _, words = problem.partition(": ")
        yield Advice(
            code="scan-rule", level=Level.WARNING, where=where, problem=f"{words or where}; it is left out.",
            remedy="mend the rule; fimkit scan says it too",
        )  # fmt: skip


def _access_logs(config: Config) -> Iterator[Advice]:
    for log in config.content.access_logs:
        trouble = try_log(log)
        if trouble is not None:
            yield Advice(
                code="access-log", level=Level.WARNING if os.geteuid() == 0 else Level.NOTE, where=render_path(log),
                problem=f"it cannot be read ({trouble}): where an upload came from will not be told.",
                remedy="access_logs in [content]: the web server's, common or combined format",
            )  # fmt: skip


def _handler(watch: Watch) -> Iterator[Advice]:
    program = watch.handler[0]
    if shutil.which(program, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") is None:
        yield Advice(
            code="handler-missing", level=Level.WARNING, where=render_path(watch.path),
            problem=f"its handler {render_terminal(render_path(os.fsencode(program)))} is not here, or nobody may run it.",
            remedy="handler in [[paths]]: a program by its whole path",
        )  # fmt: skip
