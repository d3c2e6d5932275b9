"""A progress line on a terminal, and nothing in a pipe."""

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

__all__ = ["Progress"]

_EVERY_S = 0.1
_BAR = 24


class Progress:
    """Shows what :func:`fimkit.baseline.scan.scan_watches` tells; give it ``progress.show`` as ``on_progress``.

    The line goes to stderr, is drawn at most ten times a second, and is wiped at the end. Where stderr is no terminal, nothing is
    ever written.
    """

    def __init__(
        self, what: str, *, expected: int | None = None, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what is being done, and how many paths there will be, where an earlier scan lets one guess."""
        self._clock = clock
        self._what = what
        self._expected = expected
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._started = clock()
        self._next = self._started

    def __enter__(self) -> Self:
        """Start the clock."""
        self._started = self._next = self._clock()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wipe the line, also when the work was interrupted."""
        self.wipe()

    def wipe(self) -> None:
        """Make room for a line of something else; the next ``show`` draws anew."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def show(self, paths: int, size_bytes: int) -> None:
        """Draw the line, if it is time to."""
        now = self._clock()
        if not self._is_terminal or now < self._next:
            return
        self._next = now + _EVERY_S
        width = os.get_terminal_size(self._stream.fileno()).columns or 80
        self._stream.write("\r" + self.render(paths, size_bytes, now - self._started)[: width - 1] + "\x1b[K")
        self._stream.flush()

    def render(self, paths: int, size_bytes: int, seconds: float) -> str:
        """Give the line's text.

        >>> Progress("Scanning", expected=2000).render(500, 1_500_000_000, 1.25)
        'Scanning [######------------------]  25 %  500 paths  1.5 GB  1 s'
        >>> Progress("Scanning").render(500, 2_000_000, 61)
        'Scanning  500 paths  0.0 GB  61 s'
        """
        bar = ""
        if self._expected:
            share = min(paths / self._expected, 1.0)
            filled = int(share * _BAR)
            bar = f" [{'#' * filled}{'-' * (_BAR - filled)}] {share:4.0%}".replace("%", " %")
        return f"{self._what}{bar}  {paths:,} paths  {size_bytes / 1e9:.1f} GB  {seconds:.0f} s"
