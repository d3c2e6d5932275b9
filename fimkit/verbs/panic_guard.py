"""Hands findings to the panic's runner, and never waits for it: a watch goes on, whatever the runner does.

The runner is started when the guard is made, with the rights that the caller still has. The guard's thread begins with its first
use: after the caller gave up rights that a thread would keep.
"""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from fimkit.model.config import Config
from fimkit.model.config_json import render_config, thaw
from fimkit.model.errors import FimkitError
from fimkit.model.findings import Finding, Kind, Tier, Verdict
from fimkit.model.json_form import render_finding
from fimkit.panic.record import load_record
from fimkit.panic.trigger import may_panic
from fimkit.verbs.panic_line import RUNNER, LineEnded, RunnerLine

__all__ = ["News", "PanicGuard", "can_matter"]

_MOST = 1000
_MOST_WORDS = 200
_TRIES = 3
_TICK_S = 1.0
_REST_S = 5.0
"""Between two looks at a runner that has nothing to do: one that was stopped meanwhile is made to go on when it has."""
_GRACE_S = 60.0
_PAUSES_S = (0.2, 1.0, 5.0, 30.0)
_PROBLEM_CHARS = 300


class News(NamedTuple):
    """What came from the runner since the last look: words to be shown, and the phase if it changed."""

    words: tuple[str, ...]
    phase: str | None


@dataclass(slots=True)
class _Flying:
    """A message that was not answered yet."""

    row: dict[str, Any]
    count: int
    since_s: float
    tries: int = 1


def can_matter(config: Config) -> bool:
    """Tell whether anything that is watched could start a panic."""
    return any(watch.tier is Tier.CRITICAL for watch in config.paths)


def _weight(finding: Finding) -> tuple[bool, int]:
    return (finding.verdict is not Verdict.SUSPECT, list(Kind).index(finding.kind))


class PanicGuard:
    """What stands between those who judge and the runner; a sink for new findings. Its methods may be called by any thread.

    Findings that cannot start a panic go no further than here. Of the others, a thousand at most wait to be handed on: what is
    beyond is said, and not handed on; the worst stay. A runner that dies is started again, and what it has not answered is handed
    to the new one.
    """

    def __init__(
        self,
        config: Config,
        *,
        nomail: bool = False,
        nokill: bool = False,
        live: bool = True,
        say: Callable[[str], None] | None = None,
        command: Sequence[str] = RUNNER,
    ) -> None:
        """Start the runner.

        Args:
            config: The configuration, as its file has it.
            nomail: A panic sends nothing.
            nokill: A panic cuts nothing.
            live: Of a watch, which stays; a check is over soon.
            say: Given words at once, by any thread; without it they wait for :meth:`read`.
            command: The runner.
        """
        self.phase, self.problem, self.incident = "", "", ""
        self._config, self._command, self._say = config, command, say
        self._options = {"nomail": nomail, "nokill": nokill, "live": live}
        self._changed = threading.Condition()
        self._unsent: dict[str, Finding] = {}
        self._is_whole = False
        self._rows: deque[dict[str, Any]] = deque()
        self._flying: dict[int, _Flying] = {}
        self._number = self._dropped = self._failures = 0
        self._words: deque[str] = deque(maxlen=_MOST_WORDS)
        self._news_phase: str | None = None
        self._ending = False
        self._spawn_s = 0.0
        self._line: RunnerLine | None = None
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._spawn()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    # For the caller.

    def __call__(self, findings: Sequence[Finding]) -> None:
        """Hand on the new findings of this host's own sources; returns at once."""
        self._add(findings, is_whole=False)

    def whole(self, findings: Iterable[Finding]) -> None:
        """Hand on all findings that are open: what came while nobody guarded is among them."""
        self._add(findings, is_whole=True)

    def gone(self, findings: Iterable[Finding]) -> None:
        """Tell of findings that were undone: when the same is done again, it is judged again."""
        ids = {finding.id for finding in findings if may_panic(finding)}
        if not ids:
            return
        with self._changed:
            if not ids.isdisjoint(self._unsent):  # what was done is told before that it was undone
                self._rows.append(self._take_unsent())
            self._rows.append({"do": "gone", "ids": sorted(ids)})
        self._attend()

    def reconfigure(self, config: Config) -> None:
        """Tell the runner of a configuration that was read anew; what is frozen while armed, it leaves as it was."""
        with self._changed:
            self._config = config
            self._rows.append({"do": "config", "config": render_config(config)})
        self._attend()

    def notice(self, subject: str, lines: Sequence[str]) -> None:
        """Have the panic recipients told something."""
        with self._changed:
            self._rows.append({"do": "notice", "subject": subject, "lines": list(lines)})
        self._attend()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all that was handed on is answered: a panic, if one began, is over then. Gives whether it is."""
        self._attend()
        with self._changed:
            return self._changed.wait_for(lambda: not (self._unsent or self._rows or self._flying), timeout_s)

    def fileno(self) -> int:
        """The descriptor that can be read when :meth:`read` has something."""
        self._begin()  # and no more: a watch asks with each turn of its loop, and a turn of the thread takes from an alarm's time
        return self._event

    def read(self) -> News:
        """Take what is to be shown."""
        with self._changed, contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        with self._changed:
            news = News(tuple(self._words), self._news_phase)
            self._words.clear()
            self._news_phase = None
            return news

    def close(self, wait_s: float = 5.0) -> bool:
        """Tell the runner to end, and wait for it, for a time: a panic that has begun goes on without us.

        Returns:
            Whether it ended.
        """
        if self._thread is not None:
            self.wait(wait_s)
            with self._changed:
                self._ending = True
            os.eventfd_write(self._wake, 1)
            self._thread.join(_TICK_S * 5)
            if self._thread.is_alive():
                return False
        ended = self._end_line(wait_s)
        for descriptor in (self._event, self._wake):
            os.close(descriptor)
        return ended

    def _end_line(self, wait_s: float) -> bool:
        line, self._line = self._line, None
        if line is None:
            return True
        line.put({"do": "end"})
        with contextlib.suppress(LineEnded):
            line.exchange()
        return line.end(wait_s) is not None

    # What waits.

    def _add(self, findings: Iterable[Finding], *, is_whole: bool) -> None:
        wanted = [finding for finding in findings if may_panic(finding)]
        if not wanted and not is_whole:
            return
        with self._changed:
            self._is_whole = self._is_whole or is_whole
            self._unsent |= {finding.id: finding for finding in wanted}
            if len(self._unsent) > _MOST:
                self._drop()
        self._attend()

    def _drop(self) -> None:
        is_first = not self._dropped
        kept = sorted(self._unsent.values(), key=_weight)[:_MOST]
        self._dropped += len(self._unsent) - len(kept)
        self._unsent = {finding.id: finding for finding in kept}
        self._is_whole = False
        if is_first:
            self._tell(f"more than {_MOST} critical findings wait for the panic's runner: the others are in the store alone")

    def _begin(self) -> None:
        with self._changed:
            if self._thread is None and not self._ending:
                self._thread = threading.Thread(target=self._run, name="fimkit-panic-guard", daemon=True)
                self._thread.start()

    def _attend(self) -> None:
        self._begin()
        os.eventfd_write(self._wake, 1)

    def _tell(self, words: str) -> None:
        if self._say is not None:
            self._say(words)
            return
        with self._changed:
            self._words.append(words)
        os.eventfd_write(self._event, 1)

    # The thread.

    def _run(self) -> None:
        while not self._ending:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            if self._line is not None:
                poll.register(self._line, select.POLLIN | (select.POLLOUT if self._line.has_more else 0))
            is_idle = self._line is not None and not (self._flying or self._unsent or self._line.has_more)
            poll.poll((_REST_S if is_idle else _TICK_S) * 1000)
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
            self._turn()

    def _turn(self) -> None:
        if self._line is None:
            if time.monotonic() >= self._spawn_s:
                self._spawn()
            return
        with self._changed:
            self._hand_on(self._line)
        try:
            while (rows := self._line.exchange()) and not self._ending:
                for row in rows:
                    self._hear(row)
        except LineEnded:
            self._lost(self._line)
        else:
            with self._changed:
                self._hand_on(self._line)  # an answer has made room
            self._look_after(self._line)

    def _hand_on(self, line: RunnerLine) -> None:
        for row in self._rows:
            if row["do"] == "config":
                line.put(row)
            else:
                self._fly(line, row)
        self._rows.clear()
        has_room = sum(one.count for one in self._flying.values()) < _MOST // 2
        if has_room and (self._unsent or self._is_whole):
            self._fly(line, self._take_unsent())

    def _take_unsent(self) -> dict[str, Any]:
        rows = [render_finding(finding) for finding in self._unsent.values()]
        row = {"do": "findings", "findings": rows, "whole": self._is_whole}
        self._unsent.clear()
        self._is_whole = False
        return row

    def _fly(self, line: RunnerLine, row: dict[str, Any]) -> None:
        self._number += 1
        row["n"] = self._number
        self._flying[self._number] = _Flying(row, len(row.get("findings", ())), time.monotonic())
        line.put(row)

    def _hear(self, row: dict[str, Any]) -> None:
        if isinstance(words := row.get("say"), str):
            self._tell(words)
        if isinstance(phase := row.get("phase"), str):
            with self._changed:
                self.phase = self._news_phase = phase
            os.eventfd_write(self._event, 1)
        number = row.get("done")
        if isinstance(number, int):
            self._answered(number, row.get("panic"))

    def _answered(self, number: int, incident: object) -> None:
        dropped = 0
        with self._changed:
            self._flying.pop(number, None)
            self._failures, self.problem = 0, ""
            if isinstance(incident, str):
                self.incident = incident
            if not (self._flying or self._unsent):
                dropped, self._dropped = self._dropped, 0
            self._changed.notify_all()
        if dropped:
            self._tell(f"{dropped} critical findings were not handed to the panic's runner, for too many came at once")

    def _look_after(self, line: RunnerLine) -> None:
        if line.wake_if_stopped():
            self._tell(f"somebody has stopped the panic's runner (pid {line.pid}): it was made to go on")
        oldest_s = min((one.since_s for one in self._flying.values()), default=None)
        if oldest_s is not None and time.monotonic() - oldest_s > _GRACE_S and time.monotonic() - oldest_s > self._patience_s():
            self._tell(f"the panic's runner (pid {line.pid}) gave no answer for {time.monotonic() - oldest_s:.0f} s: it is ended")
            line.kill()

    def _patience_s(self) -> float:
        """How long an answer may take: a panic is run before it is given."""
        panic = self._config.panic
        with contextlib.suppress(FimkitError, OSError):
            panic = thaw(self._config, load_record(self._config.host.state_dir).settings).panic
        return panic.deadline_s + panic.capture_s + _GRACE_S

    def _lost(self, line: RunnerLine) -> None:
        line.kill()  # one that closed its line and goes on is none any more
        status = line.end(_TICK_S)
        self._line = None
        words = f"the panic's runner (pid {line.pid}) ended with status {status}: a new one is started"
        self._fail(f"{words}, with what rights are left")

    def _fail(self, words: str) -> None:
        self._spawn_s = time.monotonic() + _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._failures += 1
        self.problem = words[:_PROBLEM_CHARS]
        if self._failures <= _TRIES:  # then it is in the status alone, and not said each half minute
            self._tell(words)

    def _spawn(self) -> None:
        try:
            line = RunnerLine(self._command)
        except OSError as error:
            self._fail(f"the panic's runner cannot be started: {error.strerror or error}")
            return
        line.put({"do": "start", "config": render_config(self._config), **self._options})
        given_up = [number for number, one in self._flying.items() if one.tries >= _TRIES]
        with self._changed:
            lost = sum(self._flying.pop(number).count for number in given_up)
            for one in self._flying.values():
                one.tries += 1
                one.since_s = time.monotonic()
                line.put(one.row)
            self._line = line
            self._changed.notify_all()
        if given_up:
            words = f"the panic's runner ended {_TRIES} times on the same message: it is left out"
            self._tell(f"{words}, with {lost} critical findings")
