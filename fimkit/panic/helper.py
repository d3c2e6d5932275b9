"""The resident helper of a panic: small, with one right, there before the panic begins, and hard to end while it holds.

In this order, as after a crash or a reboot each moment counts: where it is, the folder and its lock, the record, the rights given
up, the cut if there is one to be made. What takes longer comes after that.
"""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from fimkit.model.errors import FimkitError, HostError
from fimkit.model.paths import render_terminal
from fimkit.model.time import render_time
from fimkit.panic.cut_settings import parse_cut_settings
from fimkit.panic.ground import Ground
from fimkit.panic.helper_server import Server, Waker
from fimkit.panic.panic_folder import PanicFolder
from fimkit.panic.record import RECORD_NAME, PanicRecord, parse_record
from fimkit.panic.resident import Resident
from fimkit.panic.rights import drop_rights, held_rights
from fimkit.panic.second_means import preload

__all__ = ["main", "serve"]

_FIRST_LINE_S = 15.0
"""How long one that is to end with its last line waits for the first one."""
_LISTEN_AGAIN_S = 2.0


class _Journal:
    """Writes to stderr, which a service manager keeps, by a thread: a reader that takes nothing holds up nothing."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="fimkit journal", daemon=True).start()

    def __call__(self, words: str) -> None:
        if self._queue.qsize() < 10_000:
            self._queue.put(words)

    def _write(self) -> None:
        while True:
            text = render_terminal(self._queue.get().replace("\n", " "))
            with suppress(OSError, ValueError):
                sys.stderr.write(f"fimkit panic: {text}\n")
                sys.stderr.flush()


def serve(
    state_dir: bytes, *, confined: bool = False, until_idle: bool = False, include_namespaces: bool = False,
    ready: Callable[[], None] | None = None,
) -> int:
    """Be the helper, until told to end: while a panic goes on, no signal but SIGKILL ends it.

    Args:
        state_dir: The state folder.
        confined: This is a trial: the machine's own network is refused.
        until_idle: End when nobody has a line any more, and nothing is held.
        include_namespaces: Keep the rights that other network namespaces need; where armed settings ask for them, it does anyway.
        ready: Is called when what the record asks for is done, and the socket is open (or cannot be, while something is held).

    Returns:
        0.

    Raises:
        HostError: If this is the wrong network, another helper is at work, or there is no folder to work in. Or, where it is to end
            when idle, without the right to cut.
    """
    ground = Ground.of_this_process(confined=confined)
    return _serve(ground, state_dir, until_idle=until_idle, include_namespaces=include_namespaces, ready=ready)


def _serve(
    ground: Ground, state_dir: bytes, *, until_idle: bool, include_namespaces: bool, ready: Callable[[], None] | None
) -> int:
    folder = PanicFolder(state_dir)
    record, problem = _load(folder)
    keep = {"NET_ADMIN"}
    if include_namespaces or (record.settings and parse_cut_settings(record.settings).include_namespaces):
        keep |= {"SYS_ADMIN", "SYS_PTRACE"}
    _stay_when_memory_is_short()
    drop_rights(keep)
    if until_idle and "NET_ADMIN" not in held_rights():
        raise HostError("no right to cut: this needs CAP_NET_ADMIN")
    waker = Waker()
    resident = Resident(ground, folder, record, say=_Journal(), wake=waker.wake)
    resident.problem = problem
    stop = _take_signals(resident)
    if problem:
        resident.note(problem)
    resident.resume()
    server = Server(resident, folder.descriptor, waker)
    signal.set_wakeup_fd(waker.writer.fileno(), warn_on_full_buffer=False)
    _listen(server, resident)
    if ready is not None:
        ready()
    preload()
    _run(server, resident, stop, until_idle=until_idle)
    return 0


def _load(folder: PanicFolder) -> tuple[PanicRecord, str]:
    """Read the record; one that is damaged is kept aside, and cuts nothing."""
    try:
        row = folder.load(RECORD_NAME)
        return (PanicRecord() if row is None else parse_record(row)), ""
    except HostError as error:
        kept = folder.set_aside(RECORD_NAME)
        return PanicRecord(), f"THE PANIC RECORD WAS DAMAGED, this host is DISARMED, nothing is cut; it is kept as {kept}: {error}"


def _stay_when_memory_is_short() -> None:
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("-1000")


def _take_signals(resident: Resident) -> threading.Event:
    stop = threading.Event()

    def take(number: int, _: FrameType | None) -> None:
        if resident.record.has_begun:
            resident.tell(f"{signal.Signals(number).name} is not obeyed while a panic goes on: `fimkit panic restore` ends it")
        else:
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, take)
    return stop


def _listen(server: Server, resident: Resident) -> None:
    try:
        server.listen()
    except HostError as error:
        if not resident.record.has_begun:
            raise
        resident.note(f"{error}; what is cut is held all the same")  # as early as this, the disk may not take writes yet


def _run(server: Server, resident: Resident, stop: threading.Event, *, until_idle: bool) -> None:
    began_s = listen_s = time.monotonic()
    had_line = False
    while not stop.is_set():
        try:
            server.turn()
            resident.tick()
        except Exception as error:  # a helper that is gone holds nothing
            resident.note(f"{type(error).__name__}: {error}")
            time.sleep(0.1)
        if not server.is_listening and time.monotonic() - listen_s > _LISTEN_AGAIN_S:
            listen_s = time.monotonic()
            with suppress(HostError):  # it was said, and is tried again
                server.listen()
        had_line = had_line or not server.idle_s()
        is_idle = server.idle_s() > 0 and (had_line or time.monotonic() - began_s > _FIRST_LINE_S)
        if until_idle and is_idle and not resident.record.has_begun:
            return


def main() -> None:
    """Be a helper that another process has started: detached from it, and ended when nobody has a line.

    Its words are the state folder, the descriptor that is told when it listens or why it does not, and options.
    """
    words = sys.argv[1:]
    state_dir, told = os.fsencode(words[0]), int(words[1])

    def say(text: str) -> None:
        with suppress(OSError):
            os.write(told, text.encode("utf-8", "replace"))
            os.close(told)

    os.chdir("/")
    try:
        ground = Ground.of_this_process(confined="--confined" in words[2:])  # before it is nobody's child
        if os.fork():
            os._exit(0)  # who started it waits for no child
        status = _serve(
            ground, state_dir, until_idle=True, include_namespaces="--include-namespaces" in words[2:], ready=lambda: say("ready\n")
        )
    except FimkitError as error:
        say(f"{error} ({render_time(time.time_ns())})")
        status = 3
    sys.exit(status)
