"""Has new and changed files searched before their findings are told, and tells their story: for `watch` and `check`.

The searching is another process's work (:mod:`fimkit.verbs.content_runner`). A finding is stored before it comes here. In a watch
it waits at most :data:`TELL_S` to be told; a hit that comes later makes it suspect in the store, and it is told again.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from fimkit.evidence.store import Store
from fimkit.model.changes import Change
from fimkit.model.config import Config, Watch
from fimkit.model.errors import HostError
from fimkit.model.findings import Finding, Kind
from fimkit.model.paths import is_below, render_path, render_terminal
from fimkit.model.states import FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.content_cases import blind_words, is_other, searched_watch
from fimkit.verbs.content_judge import ContentJudge, recorded_among, recorded_in
from fimkit.verbs.content_line import ContentLine
from fimkit.verbs.own_files import scanned_watches

__all__ = ["TELL_S", "ContentDesk", "Judged", "needs_desk"]

TELL_S = 5.0
"""So long a watch's finding waits for its file to be searched. An access log's line may come a second or two after the file."""

_SEARCH_S, _SEARCH_FILE_S = 120.0, 0.05
_MOST_HELD = 20_000
_MOST_FLYING = 256
_TRIES = 2
_AGAIN_S = (1.0, 5.0, 30.0)
"""A file that was another one when it was searched is searched again, as long as its finding is open."""

_TALES_S = 0.2
"""So long one reading looks for what else was done: thousands of hits at once hold a watch up no longer."""

_NOT_YET = "content: not searched yet: it is told again if anything is found"
_RESTART_S = 5.0
_CHARS = 300


class Judged(NamedTuple):
    """Findings that are to be told now, as they are judged; and words."""

    findings: list[Finding]
    words: list[str]


@dataclass(slots=True)
class _Held:
    """A finding whose file is to be searched: since when, whether it was told meanwhile, and how often it was asked for."""

    finding: Finding
    root: bytes
    since_s: float
    told: bool = False
    tries: int = 0
    again: int = 0


def needs_desk(config: Config) -> bool:
    """Tell whether any path has its contents searched, or a handler."""
    return any(watch.scan_content or watch.handler for watch in config.paths)


class ContentDesk:
    """The findings whose files are searched. Make it before rights are given up; none of its methods waits but two."""

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.monotonic, end_s: float = 2.0) -> None:
        """Start the process, where any path needs it.

        Args:
            config: The configuration.
            clock: Seconds that only grow.
            end_s: How long handlers that still wait are waited for at the end.
        """
        self._clock, self._end_s = clock, end_s
        self._held: dict[int, _Held] = {}
        self._queue: deque[int] = deque()
        self._flying: dict[int, None] = {}
        self._ready: list[Finding] = []
        self._later: list[tuple[float, int, dict[str, Any]]] = []
        self._number = 0
        self._words: list[str] = []
        self._line: ContentLine | None = None
        self._start_s = 0.0
        self.problem = ""
        self._configure(config)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the process; what handlers still wait is run within a bound."""
        if self._line is not None:
            self._line.exchange()
            self._line.end(self._end_s + 2.0)
            self._line = None

    def reconfigure(self, config: Config) -> None:
        """Take a configuration that was read anew; rule files are read anew too."""
        self._configure(config)

    def _configure(self, config: Config) -> None:
        self._config = config
        self._watches = WatchSet(scanned_watches(config))
        self._judge = ContentJudge(config)
        if self._line is not None:
            self._line.put(self._settings())
        elif needs_desk(config):
            self._start()

    def _settings(self) -> dict[str, Any]:
        content = self._config.content
        return {
            "do": "config", "scans": any(watch.scan_content for watch in self._config.paths), "built_in": content.built_in,
            "rules": list(map(render_path, content.rules)), "most_mb": content.most_mb, "file_s": content.file_s,
            "user": content.user, "access_logs": list(map(render_path, content.access_logs)),
            "state_dir": render_path(self._config.host.state_dir), "end_s": self._end_s,
        }  # fmt: skip

    def _start(self) -> None:
        self._start_s = self._clock() + _RESTART_S
        try:
            self._line = ContentLine()
        except OSError as error:
            self.problem = f"contents are not searched: their process cannot be started: {error.strerror or error}"
            return
        self.problem = ""
        self._line.put(self._settings())
        self._line.exchange()

    # What the caller waits for.

    def __len__(self) -> int:
        """How many findings wait to be told."""
        return sum(not held.told for held in self._held.values())

    def descriptor(self) -> int | None:
        """Give what can be read when :meth:`read` has something."""
        return None if self._line is None else self._line.fileno()

    @property
    def process_id(self) -> int | None:
        """The keeper of the process; what it started is in its session."""
        return None if self._line is None else self._line.process.pid

    @property
    def next_s(self) -> float | None:
        """When :meth:`read` should be called, whatever can be read."""
        if self._line is not None and self._line.has_more:
            return self._clock() + 0.01
        if self._ready:
            return self._clock()
        # by age, for what is taken in later is put behind: the first that was not told is the oldest
        first = next((held.since_s + TELL_S for held in self._held.values() if not held.told), None)
        return min((due for due in (first, *(due for due, *_ in self._later[:1])) if due is not None), default=None)

    # What comes in.

    def wants(self, finding: Finding) -> bool:
        """Tell whether a finding's file is to be searched: new or changed bytes, or a file that came from where none is."""
        if finding.content is not None:
            return False
        words = blind_words(finding, self._watches)
        return words not in finding.reasons if words else searched_watch(finding, self._watches) is not None

    def take(self, findings: Sequence[Finding]) -> list[Finding]:
        """Have files searched and handlers run; gives the findings that are to be told at once, the others come by :meth:`read`."""
        self.handle(findings)
        at_once: list[Finding] = []
        for finding in findings:
            watch = searched_watch(finding, self._watches) if finding.content is None else None
            if self.wants(finding) and (words := blind_words(finding, self._watches)):
                self._ready.append(self._judge.unsearched(finding, [words]))
            elif watch is None:
                at_once.append(finding)
            elif self._line is None or len(self._held) >= _MOST_HELD:
                words = self.problem or f"more than {_MOST_HELD} files wait to be searched"
                self._ready.append(self._judge.unsearched(finding, [f"content: not searched: {words}"]))
            else:
                self._hold(finding, watch)
        self._send()
        return at_once

    def handle(self, findings: Iterable[Finding]) -> None:
        """Have the handlers of new files run."""
        for finding in findings:
            after, path = finding.after, finding.moved_to or finding.path
            if after is None or after.type is not FileType.FILE or finding.kind not in (Kind.CREATED, Kind.MOVED):
                continue
            watch = self._watches.watch_of(path)
            is_new = finding.kind is Kind.CREATED or (watch is not None and not is_below(finding.path, watch.path))
            if watch is not None and watch.handler and is_new and self._line is not None:
                self._line.put({"do": "handle", "command": list(watch.handler), "path": render_path(path)})

    def _hold(self, finding: Finding, watch: Watch) -> None:
        path = finding.moved_to or finding.path
        root = watch.path if path != watch.path else path.rpartition(b"/")[0] or b"/"
        self._number += 1
        self._held[self._number] = _Held(finding, root, self._clock())
        self._queue.append(self._number)

    def _send(self) -> None:
        if self._line is None:
            return
        while self._queue and len(self._flying) < _MOST_FLYING:
            number = self._queue.popleft()
            held = self._held.get(number)
            if held is None:
                continue
            held.tries += 1
            self._flying[number] = None
            after = held.finding.after
            written_ns = held.finding.first_seen_ns if after is None or after.mtime_ns is None else after.mtime_ns
            # A copied file has an old time of its own: what counts is when it came.
            came_ns = held.finding.actors[0].time_ns if held.finding.actors else written_ns
            path = render_path(held.finding.moved_to or held.finding.path)
            self._line.put({"do": "scan", "n": number, "path": path, "root": render_path(held.root), "time_ns": came_ns})
        self._line.send_out()

    # What comes out.

    def read(self, store: Store) -> Judged:
        """Take what was found, store it, and give what is to be told: what was searched, and what has waited for long enough."""
        answers = [*self._ask_changed(store), *self._exchange()]
        searched, self._ready = self._ready, []
        late: list[Finding] = []
        until_s = time.monotonic() + _TALES_S
        for held, row in answers:
            by_user = recorded_in(store) if time.monotonic() < until_s else None
            judged = self._judge.answer(held.finding, row, by_user)
            (late if held.told else searched).append(judged)
        now_s = self._clock()
        overdue: list[Finding] = []
        for held in self._held.values():
            if held.told:
                continue
            if held.since_s + TELL_S > now_s:
                break
            held.told = True
            overdue.append(held.finding)
        told = self._keep(store, searched, late)
        words, self._words = self._words, []
        if overdue:
            mine = store.untold_of([one.id for one in overdue])
            told += [self._judge.unsearched(one, [_NOT_YET]) for one in overdue if one.id in mine]
        return Judged(told, words)

    def _keep(self, store: Store, searched: Sequence[Finding], late: Sequence[Finding]) -> list[Finding]:
        """Store what is open still; what was told by another way meanwhile is told again only with a hit."""
        if not searched and not late:
            return []
        try:
            with store.transaction():
                untold = store.untold_of([one.id for one in searched])
                others = [one for one in (*searched, *late) if one.id not in untold]
                open_ids = store.open_ids() if others else {}
                kept = [one for one in searched if one.id in untold] + [one for one in others if one.id in open_ids]
                store.add_findings(kept, now_ns=max((one.last_seen_ns for one in kept), default=0))
        except HostError as error:
            self._words.append(f"what was found in contents is told, and could not be stored: {error}")
            return [*searched, *(one for one in late if one.content)]
        return [one for one in kept if one.id in untold or one.content]

    def _exchange(self) -> list[tuple[_Held, dict[str, Any]]]:
        answers: list[tuple[_Held, dict[str, Any]]] = []
        if self._line is None:
            if needs_desk(self._config) and self._clock() >= self._start_s:
                self._start()
            return answers
        for row in self._line.exchange():
            if isinstance(words := row.get("say"), str):
                self._words.append(render_terminal(words[:_CHARS * 2]))
            if row.get("hello"):  # not the first one
                answers += self._ask_again(self._line)
            number = row.get("n")
            if isinstance(number, int) and number in self._held:
                self._flying.pop(number, None)
                if not self._waits_again(number, row):
                    answers.append((self._held.pop(number), row))
        if self._line.is_over:
            answers += self._lost()
        self._send()
        return answers

    def _waits_again(self, number: int, row: dict[str, Any]) -> bool:
        """What was searched was not what the finding is of: who swaps it for a moment may put it back."""
        held = self._held[number]
        if not is_other(held.finding, row.get("seen")) or held.again >= len(_AGAIN_S):
            return False
        heapq.heappush(self._later, (self._clock() + _AGAIN_S[held.again], number, row))
        held.again += 1
        held.tries = 0
        return True

    def _ask_changed(self, store: Store) -> list[tuple[_Held, dict[str, Any]]]:
        """Ask again for those whose time has come; gives those whose finding is not open any more, with what was answered then."""
        given_up: list[tuple[_Held, dict[str, Any]]] = []
        open_ids: Collection[str] | None = None
        while self._later and self._later[0][0] <= self._clock():
            _, number, row = heapq.heappop(self._later)
            if number not in self._held:
                continue
            open_ids = store.open_ids() if open_ids is None else open_ids
            if self._held[number].finding.id in open_ids:
                self._queue.append(number)
            else:
                given_up.append((self._held.pop(number), row))
        return given_up

    def _ask_again(self, line: ContentLine) -> list[tuple[_Held, dict[str, Any]]]:
        """The process is another one: what the one before has not answered is asked again, once."""
        line.put(self._settings())
        given_up = []
        for number in list(self._flying):
            held = self._held.get(number)
            if held is not None and held.tries >= _TRIES:
                given_up.append((self._held.pop(number), {"problem": "the process that opens it ended, twice"}))
            else:
                self._queue.appendleft(number)
        self._flying.clear()
        return given_up

    def _lost(self) -> list[tuple[_Held, dict[str, Any]]]:
        assert self._line is not None
        self._line.end(0.0)
        self._line = None
        self.problem = "the process that has contents searched ended: a new one is started, with what rights are left"
        self._words.append(self.problem)
        self._start_s = self._clock() + _RESTART_S
        lost = [(held, {"problem": "the process that opens it ended"}) for held in self._held.values()]
        self._held.clear()
        self._flying.clear()
        self._queue.clear()
        return lost

    def flush(self, store: Store, wait_s: float) -> Judged:
        """At the end: wait for what is searched, for a time; what is not searched by then is told as it is."""
        until = self._clock() + min(wait_s, TELL_S)
        told: list[Finding] = []
        words: list[str] = []
        while (self._held or self._ready) and self._clock() < until:
            judged = self.read(store)
            told += judged.findings
            words += judged.words
            time.sleep(0.01)
        rest = [held.finding for held in self._held.values() if not held.told]
        self._held.clear()
        mine = store.untold_of([one.id for one in rest]) if rest else set()
        return Judged([*told, *(self._judge.unsearched(one, [_NOT_YET]) for one in rest if one.id in mine)], words)

    def search(self, findings: Sequence[Finding], changes: Sequence[Change] = (), *, budget_s: float | None = None) -> Judged:
        """Have files searched, and wait for all of them: for a whole look. Gives the same findings in the same order, judged.

        Args:
            findings: Any; those whose files are not to be searched stay as they are.
            changes: What was recorded.
            budget_s: How long at most, by default by their number: whoever puts slow files there delays nothing for ever. What is
                not searched by then is by the next look.
        """
        judged = {one.id: one for one in findings}
        for finding in findings:
            watch = searched_watch(finding, self._watches) if finding.content is None else None
            if self.wants(finding) and (words := blind_words(finding, self._watches)):
                judged[finding.id] = self._judge.unsearched(finding, [words])
            elif watch is not None and self._line is not None:
                self._hold(finding, watch)
                self._held[self._number].again = len(_AGAIN_S)  # the next look searches what changed in this one
            elif watch is not None:
                judged[finding.id] = self._judge.unsearched(finding, [f"content: not searched: {self.problem}"])
        self._send()
        until = self._clock() + (_SEARCH_S + _SEARCH_FILE_S * len(self._held) if budget_s is None else budget_s)
        while self._held and self._clock() < until:
            answers = self._exchange()
            for held, row in answers:
                judged[held.finding.id] = self._judge.answer(held.finding, row, recorded_among(changes))
            if not answers:
                time.sleep(0.005)
        for held in self._held.values():
            words = "content: not searched: it was not done in time"
            judged[held.finding.id] = self._judge.unsearched(held.finding, [words])
        self._held.clear()
        said, self._words = self._words, []
        return Judged([judged[one.id] for one in findings], said)
