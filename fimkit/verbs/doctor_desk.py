"""Asks the doctor for the extension, in a process of its own: it keeps the rights to look that the extension itself gives up.

A look takes seconds, and asks mail servers: it is made when somebody asks and the last one is old. Who asks waits for a while, and
else has the last answer, with its time.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, NamedTuple

from fimkit.model.advice import Advice, render_advice
from fimkit.model.config import Config
from fimkit.model.errors import HostError, clip
from fimkit.panic.rights import drop_rights

__all__ = ["DoctorAnswer", "DoctorDesk", "look_as_doctor"]

Row = Mapping[str, str | None]

_FRESH_S = 300.0
_KEPT = ("AUDIT_CONTROL", "DAC_READ_SEARCH", "NET_ADMIN", "SYS_PTRACE")
"""To ask the kernel for its audit status and for nf_tables, to read all users' files, and to name who holds what."""

_ASK = b"?"


class DoctorAnswer(NamedTuple):
    """What the doctor found when, the worst first, as `render_advice` gives it; ``words`` say why that is old, or not known.

    ``time_ns`` is ``None`` where it is not known.
    """

    time_ns: int | None = None
    rows: tuple[Row, ...] = ()
    words: str = ""

def look_as_doctor(config: Config, *, config_file: str = "") -> Iterable[Advice]:
    """Look at this host in every section; ``config_file`` is the configuration's own file, where it is known."""
    from fimkit.verbs.doctor import DoctorHost, doctor  # the extension itself has no use for all that this loads

    return doctor(config, DoctorHost(config_file=config_file))


class DoctorDesk:
    """One doctor, who looks when asked. Make it before there are threads, and before rights are given up: it forks."""

    def __init__(self, config: Config, look: Callable[[Config], Iterable[Advice]], *, fresh_s: float = _FRESH_S) -> None:
        """Start the process.

        Args:
            config: Whose host it is.
            look: The doctor.
            fresh_s: How old an answer may become before somebody who asks has another look made.

        Raises:
            HostError: If it cannot be started.
        """
        self._fresh_s = fresh_s
        self._changed = threading.Condition()
        self._answer, self._gone = DoctorAnswer(), False
        self._asked_s: float | None = None
        (asked, ask), (answers, answer) = os.pipe(), os.pipe()
        try:
            self._pid = os.fork()
        except OSError as error:
            for number in (asked, ask, answers, answer):
                os.close(number)
            raise HostError(f"the doctor's process cannot be started: {error.strerror}") from error
        if self._pid == 0:
            os.close(ask)
            os.close(answers)
            _serve(config, look, asked, answer)
        os.close(asked)
        os.close(answer)
        self._ask = ask
        self._answers = os.fdopen(answers, "rb")
        self._taker: threading.Thread | None = None

    def ask(self, wait_s: float) -> DoctorAnswer:
        """Give what is known; an old answer is made anew, and waited for.

        Args:
            wait_s: How long at most.
        """
        with self._changed:
            if not self._gone and self._is_old() and self._asked_s is None:
                self._send()
            self._changed.wait_for(lambda: self._asked_s is None or self._gone, wait_s)
            return self._answer if self._asked_s is None and not self._gone else self._answer._replace(words=self._why())

    def _is_old(self) -> bool:
        return self._answer.time_ns is None or time.time_ns() - self._answer.time_ns > self._fresh_s * 1e9

    def _why(self) -> str:
        if self._gone or self._asked_s is None:
            return "the doctor's process has ended: see fimkit doctor"
        return f"the doctor looks since {time.monotonic() - self._asked_s:.0f} s: ask again"

    def _send(self) -> None:
        try:
            os.write(self._ask, _ASK)
        except OSError:
            self._gone = True
            return
        self._asked_s = time.monotonic()
        self._taker = threading.Thread(target=self._take, args=(self._answers,), name="fimkit doctor", daemon=True)
        self._taker.start()

    def _take(self, answers: IO[bytes]) -> None:
        line = answers.readline()
        with self._changed:
            self._gone, self._asked_s = not line, None
            if line:
                body = json.loads(line)
                self._answer = DoctorAnswer(body["time_ns"], tuple(body["rows"]), body["words"])
            self._changed.notify_all()

    def end(self) -> None:
        """End the process."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._ask)
        if self._taker is not None:
            self._taker.join()
        self._answers.close()


def _serve(config: Config, look: Callable[[Config], Iterable[Advice]], asked: int, answer: int) -> None:
    """Be the process: look once for each byte, until who asks is gone."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the terminal is for who asks
        drop_rights(_KEPT)
        while os.read(asked, 1):
            with os.fdopen(os.dup(answer), "w", encoding="utf-8") as out:
                out.write(json.dumps(_look(config, look)) + "\n")
    finally:
        os._exit(0)


def _look(config: Config, look: Callable[[Config], Iterable[Advice]]) -> Mapping[str, object]:
    try:
        rows = [render_advice(one) for one in look(config)]
    except Exception as error:  # the edge of a process: what went wrong is the answer
        return {"time_ns": None, "rows": (), "words": f"the doctor failed: {clip(f'{type(error).__name__}: {error}')}"}
    return {"time_ns": time.time_ns(), "rows": rows, "words": ""}
