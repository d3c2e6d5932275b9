"""The process that has contents searched and runs handlers: started early, while there are rights to become another user.

It opens files and hands them to the processes that may do nothing but read (:mod:`fimkit.content.pool`), looks into access logs,
and starts handlers; it never looks at a file's content itself. A keeper above it, which does nothing else, starts it anew where it
ends. Each thread has a reading process of its own: one slow file holds up no other thread. The first thread's is always there; with
rules loaded one takes some 30 MiB, so another's is started when there is work for it, and ended when there was none for a while.
"""

import contextlib
import heapq
import itertools
import json
import math
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fimkit.content.answers import Scanned
from fimkit.content.hit import ContentHit
from fimkit.content.pool import ContentPool
from fimkit.content.reader import OpenContent, Unread, open_content
from fimkit.content.rule_files import BUILT_IN, RuleSet, has_yara, load_rules
from fimkit.model.errors import HostError
from fimkit.model.paths import parse_path
from fimkit.panic.rights import drop_rights
from fimkit.verbs.content_line import PACKET_BYTES
from fimkit.verbs.handlers import Handlers
from fimkit.verbs.web_requests import find_requests
from fimkit.verbs.web_story import is_sure, pick_requests, tell_requests

__all__ = ["main"]

# To open what belongs to others; to have readers and handlers become another user, and to end them then.
_RIGHTS = ("DAC_READ_SEARCH", "SETUID", "SETGID", "KILL")
_THREADS = 2
_PARCEL = 32
_COLD_S = 0.5
"""So long a file waits for a process that is there before another one is started for it; at once where very many wait."""
_IDLE_S = 60.0
_MOST_MARKS = 20
_MOST_RULES = 30
_NS = 1_000_000_000
_BEFORE_NS, _AFTER_NS = 60 * _NS, 60 * _NS
_STORY_TRIES_S = (0.0, 0.4, 1.0, 1.5)
"""A server writes its line when the answer has gone out, so it may come later than the file."""

_PAUSES_S = (0.1, 1.0, 5.0, 30.0)


@dataclass(slots=True)
class _Request:
    """One file that is to be searched."""

    number: int
    path: bytes
    root: bytes
    time_ns: int
    seen: tuple[int, int, int, int] | None = None
    scanned: Scanned | None = None


@dataclass(order=True, slots=True)
class _Story:
    """One hit whose upload is looked for."""

    due_s: float
    order: int
    tries: int = field(compare=False)
    request: _Request = field(compare=False)
    answer: dict[str, Any] = field(compare=False)


class _Searcher:
    """The requests, the threads that have them searched, and the answers."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._send_lock, self._changed = threading.Lock(), threading.Condition()
        self._waiting: deque[_Request] = deque()
        self._stories: list[_Story] = []
        self._orders = itertools.count()
        self._rules, self._version = RuleSet(), 0
        self._settings: dict[str, Any] = {}
        self._logs: tuple[bytes, ...] = ()
        self._said: set[str] = set()
        self._handlers: Handlers | None = None
        self._started = False
        self._free = 0  # threads that wait with their process at hand

    def send(self, row: dict[str, Any]) -> None:
        packet = json.dumps(row, separators=(",", ":")).encode("ascii")
        if len(packet) > PACKET_BYTES:
            packet = json.dumps({"n": row.get("n"), "problem": "there is more to say of it than a message has"}).encode()
        with self._send_lock, contextlib.suppress(OSError):  # the other side is gone: the next reading ends this
            self._peer.send(packet)

    def _say(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            self.send({"say": words})

    # What comes in.

    def serve(self, starts: int) -> None:
        self.send({"hello": starts})
        early: list[dict[str, Any]] = []  # what the process before this one did not take any more
        while packet := self._peer.recv(PACKET_BYTES):
            row = json.loads(packet)
            if row["do"] == "config":
                self._configure(row)
                for one in early:
                    self._handle(one)
                early.clear()
            elif row["do"] == "scan":
                with self._changed:
                    self._waiting.append(
                        _Request(row["n"], parse_path(row["path"]), parse_path(row["root"]), int(row["time_ns"]))
                    )
                    self._changed.notify_all()  # one alone may be the one who tells stories, and the file would wait for the next
            elif self._handlers is None:
                early.append(row)
            else:
                self._handle(row)
        if self._handlers is not None:
            self._handlers.finish(float(self._settings.get("end_s", 0)))

    def _handle(self, row: dict[str, Any]) -> None:
        if self._handlers is not None:
            self._handlers.put(row["command"], parse_path(row["path"]))

    def _configure(self, row: dict[str, Any]) -> None:
        folders = [*([BUILT_IN] if row["built_in"] else []), *map(parse_path, row["rules"])]
        rules, problems = load_rules(folders) if row["scans"] else (RuleSet(), [])
        for words in problems[:20]:
            self._say(f"content rules: {words}")
        if row["scans"] and not has_yara():
            self._say("contents are searched by keyword rules alone: pip install 'fimkit[scan]' adds YARA (the yara-x package)")
        if row["scans"] and not rules.count:
            self._say("there is no content rule to search with")
        if self._handlers is None:
            self._handlers = Handlers(parse_path(row["state_dir"]), self._say, user=row["user"])
        self._handlers.user = row["user"]
        with self._changed:
            self._settings, self._rules, self._version = row, rules, self._version + 1
            self._logs = tuple(map(parse_path, row["access_logs"]))
        if row["scans"] and not self._started:
            self._started = True
            for number in range(_THREADS):
                threading.Thread(target=self._search, kwargs={"stays": not number}, daemon=True).start()
            threading.Thread(target=self._tell_stories, daemon=True).start()

    # The searching.

    def _search(self, *, stays: bool) -> None:
        """Search what comes, for ever.

        Args:
            stays: Its reading process is there all the time.
        """
        pool: ContentPool | None = None
        version = 0
        while True:
            batch = [] if pool is not None or stays else self._take_cold()
            if pool is None or version != self._version:
                if pool is not None:
                    pool.close()
                pool, version = self._make_pool(), self._version
                if not self._warm(pool):
                    pool = None
            batch = batch or self._take(math.inf if stays else _IDLE_S)
            if not batch and pool is not None:
                pool.close()
                pool = None
            try:
                self._search_batch(pool, batch)
            except Exception as error:  # a thread's end is silent: what it had is answered, and it goes on with a new pool
                pool = None
                for request in batch:
                    if request.scanned is None:
                        request.scanned = Scanned(request.path, problem=f"{type(error).__name__}: {error}")
                        self._answer(request)

    def _make_pool(self) -> ContentPool:
        wanted = self._settings
        return ContentPool(
            self._rules, workers=1, most_bytes=wanted["most_mb"] << 20, file_s=wanted["file_s"], user=wanted["user"]
        )

    def _warm(self, pool: ContentPool) -> bool:
        """Have the process started before there is a file for it; without YARA where it does not start with it."""
        file = os.memfd_create("fimkit-warm", os.MFD_CLOEXEC)
        try:
            list(pool.scan([OpenContent(b"/warm.php", file, os.fstat(file))]))
        except HostError as error:
            pool.close()
            if self._rules.yara:
                self._rules = replace(self._rules, yara=(), yara_count=0)
                self._version += 1
                self._say(f"{error}: contents are searched by keyword rules alone")
                return False
            self._say(f"contents are not searched: {error}")
            return True
        for lack in pool.confinement.lacks if pool.confinement is not None else ():
            self._say(f"the process that reads contents: {lack}")
        return True

    def _take(self, patience_s: float) -> list[_Request]:
        """Wait for files, and take some; nothing where none came for so long."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting, None if patience_s == math.inf else patience_s)
            self._free -= 1
            taken = self._take_some()
            if self._waiting:
                self._changed.notify_all()  # whoever has no process yet may be needed
            return taken

    def _take_cold(self) -> list[_Request]:
        """Wait until there are files that the other threads do not get to, and take some."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting and not self._free)
                if not self._changed.wait_for(lambda: len(self._waiting) > 2 * _PARCEL or not self._waiting, _COLD_S):
                    break
                if self._waiting and not self._free:
                    break
            return self._take_some()

    def _take_some(self) -> list[_Request]:
        count = min(_PARCEL, -(-len(self._waiting) // _THREADS))
        return [self._waiting.popleft() for _ in range(count)]

    def _search_batch(self, pool: ContentPool | None, batch: list[_Request]) -> None:
        if pool is None or not self._rules.count:
            for request in batch:
                request.scanned = Scanned(request.path, problem="there is no rule to search with")
                self._answer(request)
            return
        by_path: dict[bytes, list[_Request]] = {}
        for request in batch:
            by_path.setdefault(request.path, []).append(request)
        for scanned in pool.scan(self._open(by_path)):
            for request in by_path.get(scanned.path, ()):
                request.scanned = scanned
                self._answer(request)

    def _open(self, by_path: dict[bytes, list[_Request]]) -> Iterator[OpenContent | Unread]:
        for path, requests in by_path.items():
            opened = open_content(path, requests[0].root)
            if isinstance(opened, OpenContent):
                for request in requests:
                    request.seen = (
                        opened.seen.st_ino, opened.seen.st_size, opened.seen.st_mtime_ns, opened.seen.st_ctime_ns
                    )  # fmt: skip
            yield opened

    def _answer(self, request: _Request) -> None:
        scanned = request.scanned
        assert scanned is not None
        best: dict[str, ContentHit] = {}
        for hit in scanned.hits:
            best.setdefault(hit.rule, hit)
        firsts = list(best.values())[:_MOST_RULES]
        others = [hit for hit in scanned.hits if best[hit.rule] is not hit]
        marks = [*firsts, *others[: max(0, _MOST_MARKS - len(firsts))]]
        answer: dict[str, Any] = {
            "n": request.number, "seen": request.seen, "problem": scanned.problem, "notes": list(scanned.notes),
            "marks": [[hit.rule, hit.severity, hit.line, hit.text or hit.description, hit.attack] for hit in marks],
            "more": len(scanned.hits) - len(marks), "story": [],
        }  # fmt: skip
        if not marks or not self._logs:
            self.send(answer)
            return
        with self._changed:
            heapq.heappush(self._stories, _Story(time.monotonic(), next(self._orders), 0, request, answer))
            self._changed.notify_all()

    # Where it came from.

    def _tell_stories(self) -> None:
        while True:
            with self._changed:
                while not self._stories or self._stories[0].due_s > time.monotonic():
                    self._changed.wait(max(0.01, self._stories[0].due_s - time.monotonic()) if self._stories else None)
                story = heapq.heappop(self._stories)
            try:
                is_done = self._tell_story(story)
            except Exception as error:  # as in the other threads
                self._say(f"access logs cannot be read: {type(error).__name__}: {error}")
                is_done = True
            if is_done:
                self.send(story.answer)

    def _tell_story(self, story: _Story) -> bool:
        """Look for the upload; tell whether that was the last try. Of what happened long ago all lines are there."""
        request, story.tries = story.request, story.tries + 1
        where = {"path": request.path, "root": request.root, "time_ns": request.time_ns}
        found, problems = find_requests(self._logs, since_ns=request.time_ns - _BEFORE_NS, until_ns=request.time_ns + _AFTER_NS)
        for words in problems:
            self._say(f"access log {words}")
        picked = pick_requests(found, **where)  # type: ignore[arg-type]
        is_old = time.time_ns() - request.time_ns > _AFTER_NS
        is_found = any(is_sure(one, path=request.path, root=request.root) for one in picked)
        if not (is_found or is_old) and story.tries < len(_STORY_TRIES_S):
            again = _Story(
                time.monotonic() + _STORY_TRIES_S[story.tries], next(self._orders), story.tries, request, story.answer
            )
            with self._changed:
                heapq.heappush(self._stories, again)
            return False
        story.answer["story"] = tell_requests(picked, **where)  # type: ignore[arg-type]
        return True


def _work(peer: socket.socket, starts: int) -> int:
    with contextlib.suppress(OSError):  # the other side is gone
        _Searcher(peer).serve(starts)
    return 0


def main() -> None:
    """Keep one process at work until the line is closed; its standard input is the line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a function, and not SIG_IGN, which the handlers would inherit
    if os.geteuid() == 0:
        drop_rights(_RIGHTS)
    peer = socket.socket(fileno=0)
    for failures in itertools.count():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = _work(peer, failures)
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1] == 0:
            return
        time.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])


if __name__ == "__main__":
    main()
