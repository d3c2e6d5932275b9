"""The panic's guard in a live watch: what it is told of, what is frozen, and who hears of the watch's end."""

import contextlib
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from fimkit.model.config import Config
from fimkit.model.config_json import FROZEN, freeze, thaw
from fimkit.model.errors import FimkitError
from fimkit.model.findings import Finding
from fimkit.model.time import render_time
from fimkit.panic.record import PanicRecord, load_record
from fimkit.verbs.panic_guard import PanicGuard, can_matter
from fimkit.verbs.panic_line import RUNNER
from fimkit.verbs.panic_notices import is_armed, notify_if_armed, send_waiting

__all__ = ["WatchPanic", "frozen_config", "frozen_words"]


def frozen_config(config: Config) -> Config:
    """Give the configuration with what this host was armed with in the place of the file's; as it is where it is not armed."""
    try:
        record = load_record(config.host.state_dir)
        return thaw(config, record.settings) if is_armed(record) else config
    except FimkitError:  # said by the runner, and by `panic status`
        return config


def frozen_words(config: Config, record: PanicRecord) -> tuple[str, ...]:
    """Say which tables of the file are not in force, for the host is armed with others."""
    if not is_armed(record):
        return ()
    try:
        armed, now = freeze(thaw(config, record.settings)), freeze(config)
    except FimkitError as error:
        return (f"what this host was armed with cannot be read: {error}",)
    differing = [f"[{name}]" for name in FROZEN if armed[name] != now[name]]
    if not differing:
        return ()
    verb = "differs" if len(differing) == 1 else "differ"
    words = f"{' and '.join(differing)} {verb} from what this host was armed with"
    return (f"{words}; [panic] and [mail] are frozen while armed: disarm first (`fimkit panic disarm`), and arm again",)


class WatchPanic:
    """Hands on what may start a panic. Nothing of it waits, but :meth:`say_stopped` and the end."""

    def __init__(self, config: Config, *, nomail: bool, nokill: bool, runner: Sequence[str] = RUNNER) -> None:
        """Start the runner where something is critical: before rights are dropped, for it needs some that the watch does not."""
        self._nomail, self._nokill, self._runner = nomail, nokill, runner
        self._config = config
        self._guard: PanicGuard | None = None
        self.words: list[str] = []
        self._sender: threading.Thread | None = None
        self._begin()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the runner, but not a panic that has begun."""
        if self._guard is not None:
            self._guard.close()

    def _begin(self) -> None:
        if self._guard is None and can_matter(self._config):
            self._guard = PanicGuard(self._config, nomail=self._nomail, nokill=self._nokill, command=self._runner)
            with contextlib.suppress(FimkitError):
                self.words += frozen_words(self._config, load_record(self._config.host.state_dir))

    @property
    def phase(self) -> str:
        """Where the panic stands; empty where nothing is critical, or nobody has said yet."""
        return "" if self._guard is None else self._guard.phase

    @property
    def problem(self) -> str:
        """What keeps a panic from working just now."""
        return "" if self._guard is None else self._guard.problem

    def descriptor(self) -> int | None:
        """Give what can be read when :meth:`read` has something."""
        return None if self._guard is None else self._guard.fileno()

    def take(self, findings: Sequence[Finding]) -> None:
        """Hand on new findings."""
        if self._guard is not None:
            self._guard(findings)

    def whole(self, findings: Sequence[Finding]) -> None:
        """Hand on all that is open at the start."""
        if self._guard is not None:
            self._guard.whole(findings)

    def gone(self, findings: Sequence[Finding]) -> None:
        """Tell of findings that were undone."""
        if self._guard is not None:
            self._guard.gone(findings)

    def read(self) -> tuple[tuple[str, ...], str | None]:
        """Take words, and the phase if it changed."""
        words, phase = tuple(self.words), None
        del self.words[: len(words)]  # a thread may be adding to them
        if self._guard is not None:
            news = self._guard.read()
            words, phase = words + news.words, news.phase
        return words, phase

    def reconfigure(self, config: Config) -> None:
        """Take a configuration that was read anew; what of it is not in force is said."""
        self._config = config
        if self._guard is None:
            self._begin()
            return
        self._guard.reconfigure(config)
        try:
            self.words += frozen_words(config, load_record(config.host.state_dir))
        except FimkitError as error:
            self.words.append(str(error))

    def send_waiting(self) -> None:
        """Have what no server took before tried again, beside the watch; what came of it comes with :meth:`read`."""
        if self._sender is None or not self._sender.is_alive():
            self._sender = threading.Thread(target=self._send_waiting, name="fimkit-letters", daemon=True)
            self._sender.start()

    def _send_waiting(self) -> None:
        self.words += send_waiting(self._config, nomail=self._nomail)

    def say_stopped(self, why: str, *, since_ns: int) -> None:
        """Have the panic recipients of an armed host told that nobody watches any more; what came of it is in the words."""
        lines = (
            f"The watch of {self._config.host.name} was stopped by {why} at {render_time(time.time_ns())}.",
            f"It was at work since {render_time(since_ns)}.",
            "Until it is started again, what changes is found by `fimkit check` alone, and cuts nothing before.",
        )
        words = notify_if_armed(self._config, "watch stopped", lines, nomail=self._nomail)
        if words is not None:
            self.words.append(f"this host is armed, and its watch stops: {words}")
