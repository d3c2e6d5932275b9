"""The runner's line to the helper: found again when it is lost, and in the middle of a panic too."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from fimkit.model.errors import HostError
from fimkit.panic.helper_client import BeginReply, CutReply, Helper, connect_helper, start_helper

__all__ = ["LastingHelper"]

T = TypeVar("T")


class LastingHelper:
    """A helper that is asked again on a new line where the old one is gone. Threads may share it."""

    def __init__(self, state_dir: bytes) -> None:
        """Nothing is connected yet."""
        self._state_dir = state_dir
        self._lock = threading.Lock()
        self._helper: Helper | None = None
        self._begun: tuple[str, str, bool, int | None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a line."""
        return self._helper is not None

    def connect(self) -> None:
        """Open a line to the resident helper, if there is none.

        Raises:
            HostError: If none answers.
        """
        self._line()

    def start(self, *, include_namespaces: bool) -> None:
        """The same, and start a helper where none answers.

        Raises:
            HostError: If it cannot be started.
        """
        with self._lock:
            if self._helper is None:
                self._helper = start_helper(self._state_dir, include_namespaces=include_namespaces)

    def is_gone(self) -> bool:
        """Tell whether the helper has gone away; its line is let go of then."""
        helper = self._helper
        if helper is None:
            return False
        gone = helper.is_gone()
        if gone:
            self._drop(helper)
        return gone

    def begin(self, incident: str, cause: str, *, nokill: bool, armed_ns: int | None = None) -> BeginReply:
        """As :meth:`fimkit.panic.helper_client.Helper.begin`; it is remembered, for a helper that comes later."""
        self._begun = (incident, cause, nokill, armed_ns)
        return self._ask(lambda helper: helper.begin(incident, cause, nokill=nokill, armed_ns=armed_ns))

    def add(self, cause: str, *, armed_ns: int | None = None) -> None:
        """As :meth:`fimkit.panic.helper_client.Helper.add`."""
        self._ask(lambda helper: helper.add(cause, armed_ns=armed_ns))

    def cut(self) -> CutReply:
        """As :meth:`fimkit.panic.helper_client.Helper.cut`; one that was not told of the panic is told first."""

        def begin_and_cut(helper: Helper) -> CutReply:
            try:
                return helper.cut()
            except HostError:
                if self._begun is None:
                    raise
                incident, cause, nokill, armed_ns = self._begun
                helper.begin(incident, cause, nokill=nokill, armed_ns=armed_ns)
                return helper.cut()

        return self._ask(begin_and_cut)

    def judged(self, seen: Sequence[str], counted: Sequence[str]) -> None:
        """As :meth:`fimkit.panic.helper_client.Helper.judged`."""
        self._ask(lambda helper: helper.judged(seen, counted))

    def forget(self, ids: Sequence[str]) -> None:
        """As :meth:`fimkit.panic.helper_client.Helper.forget`."""
        self._ask(lambda helper: helper.forget(ids))

    def finish(self, words: str) -> None:
        """As :meth:`fimkit.panic.helper_client.Helper.finish`."""
        self._ask(lambda helper: helper.finish(words))

    def close(self) -> None:
        """Let go of the line."""
        helper = self._helper
        if helper is not None:
            self._drop(helper)

    def _line(self) -> Helper:
        with self._lock:
            if self._helper is None:
                self._helper = connect_helper(self._state_dir)
            return self._helper

    def _drop(self, helper: Helper) -> None:
        with self._lock:
            if self._helper is helper:
                self._helper = None
        with contextlib.suppress(OSError):
            helper.close()

    def _ask(self, question: Callable[[Helper], T]) -> T:
        helper = self._line()
        try:
            return question(helper)
        except HostError:
            # A refusal leaves the line as it is; one that is dead is tried anew, once.
            if not self.is_gone():
                raise
        return question(self._line())
