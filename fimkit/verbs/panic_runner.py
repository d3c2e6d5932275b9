"""The panic's runner: a process of its own that is told of findings, decides, and runs the panic; its death makes the helper cut.

It is spawned by :class:`fimkit.verbs.panic_guard.PanicGuard` before that gives up rights, keeps those that recon and capture need,
and loads at its start all that a panic takes: nothing is imported and no name is asked when every file may be an intruder's.
"""

import contextlib
import functools
import os
import queue
import signal
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any

import psutil
import pyroute2

from fimkit.model.config import Config
from fimkit.model.config_json import parse_config_row
from fimkit.model.errors import ConfigError, HostError, clip
from fimkit.model.findings import Finding
from fimkit.model.json_form import parse_finding
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.notify import channels, compose, mail, notice, outbox, race
from fimkit.notify.journal import log_locally
from fimkit.notify.message import render_word
from fimkit.panic.record import PanicRecord, Phase
from fimkit.panic.rights import drop_rights, held_rights
from fimkit.panic.trigger import Decision, decide
from fimkit.verbs.panic_armed import Armed, parse_endpoints
from fimkit.verbs.panic_books import store_incident_of
from fimkit.verbs.panic_cause import add_cause
from fimkit.verbs.panic_folder import incidents_folder
from fimkit.verbs.panic_link import LastingHelper
from fimkit.verbs.panic_notices import send_notice
from fimkit.verbs.panic_order import KEPT_RIGHTS, PanicOrder, name_incident
from fimkit.verbs.panic_run import Panic
from fimkit.verbs.panic_switch import Switch
from fimkit.verbs.panic_talk import Talk
from fimkit.verbs.panic_words import cut_words

__all__ = ["LOADED", "Runner", "main"]

LOADED = (psutil, pyroute2, smtplib, ssl, channels, compose, mail, notice, outbox, race)
"""What a panic takes and the modules above import late, or not at all."""

_TICK_S = 1.0
_CONNECT_AGAIN_S = 5.0
_CHORES_END_S = 20.0
_BEGUN_S = 10.0
_ALERT = 1
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Chores:
    """Work that may take a while, one after the other, beside the line and beside a panic."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="fimkit chores", daemon=True)

    def begin(self) -> None:
        """Begin: after rights were given up, which a thread that runs already would keep."""
        self._thread.start()

    def add(self, chore: Callable[[], object]) -> None:
        self._queue.put(chore)

    def _work(self) -> None:
        while (chore := self._queue.get()) is not None:
            with contextlib.suppress(Exception):  # each says itself what went wrong; the next one is as important
                chore()

    def end(self, wait_s: float) -> None:
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(wait_s)


class Runner:
    """The process. It ends when its guard is gone, but never in the middle of a panic."""

    def __init__(self, line: socket.socket) -> None:
        """Take over the line to the guard."""
        self._talk, self._chores = Talk(line), _Chores()
        self._config: Config | None = None
        self._nomail = self._nokill = self._is_live = self._is_told = False
        self._switch: Switch | None = None
        self._panic: Panic | None = None
        self._thread: threading.Thread | None = None
        self._owed: PanicOrder | None = None
        self._is_missing = False
        self._connect_s = 0.0

    def run(self) -> None:
        """Go on until the guard says the end, or is gone, and no panic is under way.

        A service manager that stops a watch signals all of its processes at once: the watch has findings to hand on until its end.
        """
        for number in _STOPS:
            signal.signal(number, self._stop)
        while self._is_running or not self._talk.ended:
            for row in self._talk.exchange(_TICK_S):
                self._hear(row)
            if self._config is not None:
                self._look_after()
        if self._talk.ended and not self._is_told:
            self._say_deserted()
        self._chores.end(_CHORES_END_S)
        self._talk.flush()
        if self._switch is not None:
            self._switch.close()

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self._is_running:
            self._talk.say(f"{signal.Signals(number).name} does not end a panic that has begun")

    @property
    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # What the guard says.

    def _hear(self, row: dict[str, Any]) -> None:
        try:
            match row.get("do"):
                case "start":
                    self._start(row)
                case "config":
                    self._config = parse_config_row(row["config"])
                case "findings":
                    self._judge(row["n"], [parse_finding(one) for one in row["findings"]])
                case "gone":
                    self._forget(row["n"], [*map(str, row["ids"])])
                case "notice":
                    self._chores.add(functools.partial(self._notify, row["n"], str(row["subject"]), [*map(str, row["lines"])]))
                case "end":
                    self._talk.ended = self._is_told = True
                case other:
                    self._talk.say(f"the panic's runner was told what it does not know: {clip(other)}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._talk.say(f"the panic's runner was told what it cannot read: {type(error).__name__}: {clip(str(error))}")
            if isinstance(row.get("n"), int):
                self._talk.put({"done": row["n"], "panic": None})

    def _start(self, row: dict[str, Any]) -> None:
        self._config = parse_config_row(row["config"])
        self._nomail, self._nokill, self._is_live = bool(row["nomail"]), bool(row["nokill"]), bool(row["live"])
        state_dir = self._config.host.state_dir
        if held_rights() - set(KEPT_RIGHTS):
            try:
                self._switch = Switch.start()
            except HostError as error:
                self._talk.say(str(error))
        self._helper, self._armed = LastingHelper(state_dir), Armed(state_dir, self._talk.say)
        self._armed.refresh()
        if self._armed.in_force:
            self._first_helper(self._config)
        try:
            drop_rights([name for name in KEPT_RIGHTS if name in held_rights()])
        except HostError as error:
            self._talk.say(f"the panic's runner keeps rights that it needs no more: {error}")
        self._chores.begin()
        self._talk.put({"phase": self._armed.record.phase.value})
        self._keep_books()

    def _first_helper(self, config: Config) -> None:
        """Connect, or start one while there is a right to: after the start there is none."""
        try:
            self._helper.start(include_namespaces=self._armed.config(config).panic.include_namespaces)
        except (ConfigError, HostError) as error:
            self._miss(str(error))

    # What is looked after meanwhile.

    def _refresh(self) -> None:
        """Read the record where it is another; a panic that is over then may be one whose runner has died."""
        if self._armed.refresh():
            self._talk.put({"phase": self._armed.record.phase.value})
            if self._armed.record.phase is Phase.RESTORED and not self._is_running:
                self._keep_books()

    def _keep_books(self) -> None:
        """Store the record's incident where that is missing; in a thread of its own, which holds nothing up."""
        assert self._config is not None
        if self._armed.record.incident:
            work = functools.partial(store_incident_of, self._config, self._armed.record)
            threading.Thread(target=work, name="fimkit books", daemon=True).start()

    def _look_after(self) -> None:
        self._refresh()
        if not self._is_running:
            self._look_after_helper()
        if self._armed.needs_preparing and self._config is not None:
            self._chores.add(functools.partial(self._armed.prepare, self._config))

    def _look_after_helper(self) -> None:
        if not self._armed.in_force:
            self._owed, self._is_missing = None, False
            return
        if self._helper.is_gone():
            self._miss("it went away")
            self._connect_s = 0.0
        if not self._helper.connected and time.monotonic() >= self._connect_s:
            self._connect_s = time.monotonic() + _CONNECT_AGAIN_S
            try:
                self._helper.connect()
            except HostError as error:
                self._miss(str(error))
        if self._helper.connected and self._is_missing:
            self._is_missing = False
            self._talk.say("the panic's helper answers again")
        if self._helper.connected and self._owed is not None:
            self._pay(self._owed)

    def _miss(self, words: str) -> None:
        """Say once that nobody would cut, and have the recipients told."""
        if self._is_missing:
            return
        self._is_missing = True
        words = f"this host is armed, and no helper would cut it: {words}"
        self._talk.say(words)
        log_locally(f"fimkit: {words}", priority=_ALERT, fields={})
        lines = [words, "remedy: systemctl restart fimkit-panic.service", "fimkit looks for it every few seconds."]
        self._chores.add(functools.partial(self._notify, None, "the panic's helper is gone", lines))

    def _pay(self, order: PanicOrder) -> None:
        """Cut at last: a panic began while no helper was there, and one is there now."""
        self._owed = None

        def cut() -> None:
            try:
                self._helper.begin(order.incident, order.cause, nokill=order.nokill, armed_ns=order.armed_ns)
                reply = self._helper.cut()
            except HostError as error:
                self._talk.say(f"incident {order.incident}: the cut that it lacked failed: {error}")
                return
            self._talk.say(f"incident {order.incident}: a helper is back, and has cut: {cut_words(reply)}")

        self._chores.add(cut)

    # Findings.

    def _judge(self, number: int, findings: Sequence[Finding]) -> None:
        assert self._config is not None
        self._refresh()
        decision = decide(self._armed.record_with_own(), findings, time.time_ns())
        for words in decision.words:
            self._talk.say(words)
        self._armed.judge(decision.judged)
        if self._owed is not None and self._owed.armed_ns != self._armed.record.armed_ns:
            self._owed = None  # nothing is owed any more, and what is new is no part of it
        going = self._panic if self._is_running else None
        # One of another arming only comes to its end, after a restore: it has no cut left for what is new.
        if going is not None and decision.judged and going.order.armed_ns == self._armed.record.armed_ns:
            self._add(going, number, decision)
        elif not decision.begin:
            self._chores.add(functools.partial(self._answer, number, decision, None))
        elif self._goes_on or self._owed is not None:
            incident = self._owed.incident if self._owed else self._armed.record.incident
            order = replace(self._order(decision.cause, decision.causes), incident=incident)
            self._chores.add(functools.partial(self._add_later, number, decision, order))
        else:
            self._begin(number, decision)

    @property
    def _goes_on(self) -> bool:
        """Whether a panic goes on that does all that one of ours would: one without a cut is not in the way of one with it."""
        assert self._config is not None
        record = self._armed.record
        return record.must_be_cut or (record.has_begun and (self._nokill or self._armed.config(self._config).panic.nokill))

    def _answer(self, number: int, decision: Decision, incident: str | None) -> None:
        """Write down what was judged, then say that it is."""
        if decision.judged:
            try:
                self._helper.judged(decision.judged, decision.counted)
            except HostError as error:
                self._talk.say(f"what was judged is not in the panic's record: {error}")
        self._talk.put({"done": number, "panic": incident})

    def _forget(self, number: int, ids: list[str]) -> None:
        """Take as not judged what was undone: a trojan that comes back after the maintenance window is no part of that."""
        self._armed.refresh()
        known = self._armed.forget(ids)

        def forget() -> None:
            try:
                if known:
                    self._helper.forget(ids)
            except HostError as error:
                self._talk.say(f"what was undone is not in the panic's record: {error}")
            self._talk.put({"done": number, "panic": None})

        self._chores.add(forget)

    def _order(self, cause: str, findings: tuple[Finding, ...]) -> PanicOrder:
        assert self._config is not None
        config = self._armed.config(self._config)
        return PanicOrder(
            config=config, incident=name_incident(time.time_ns()), cause=cause, findings=findings,
            nomail=self._nomail or config.mail.nomail, nokill=self._nokill or config.panic.nokill,
            mailer=self._armed.mailer, channels=self._armed.channels, endpoints=parse_endpoints(self._armed.record.settings),
            switch=self._switch, armed_ns=self._armed.record.armed_ns,
        )

    def _begin(self, number: int, decision: Decision) -> None:
        panic = Panic(self._order(decision.cause, decision.causes), self._helper, tell=self._talk.say)
        self._panic = panic
        try:
            work = functools.partial(self._run_panic, panic, number, decision)
            self._thread = threading.Thread(target=work, name="fimkit panic", daemon=True)
            self._thread.start()
        except RuntimeError:  # no more threads on this host: then the panic is all that this one does
            self._thread = None
            self._run_panic(panic, number, decision)

    def _run_panic(self, panic: Panic, number: int, decision: Decision) -> None:
        self._chores.add(functools.partial(self._write_down, panic, decision))
        report = panic.run()
        if report.cut is None and not panic.order.nokill:
            self._owed = panic.order
        self._talk.put({"done": number, "panic": panic.order.incident})

    def _write_down(self, panic: Panic, decision: Decision) -> None:
        panic.begun.wait(_BEGUN_S)  # a crash before the panic is written down lets it begin again
        try:
            self._helper.judged(decision.judged, () if panic.order.nokill else decision.counted)
        except HostError as error:
            self._talk.say(f"what was judged is not in the panic's record: {error}")

    def _add(self, panic: Panic, number: int, decision: Decision) -> None:
        """Add findings to the panic that is under way."""
        ids = set(decision.judged)
        findings = (*decision.causes, *(finding for finding, _ in decision.passed if finding.id in ids))

        def add() -> None:
            panic.add(decision.cause or f"while a panic goes on: {len(findings)} critical findings", findings)
            counted = () if panic.order.nokill else decision.counted
            self._answer(number, replace(decision, counted=counted), panic.order.incident)

        self._chores.add(add)

    def _add_later(self, number: int, decision: Decision, order: PanicOrder) -> None:
        """Add findings to a panic that is over: the network is cut, so nobody is written to but where some way is left open."""
        assert self._config is not None
        incident = order.incident
        words = f"incident {incident}: {render_word(decision.cause)}"
        log_locally(f"fimkit: {words}", priority=_ALERT, fields={"FIMKIT_INCIDENT": render_word(incident)})
        folder = os.path.join(incidents_folder(self._config.host.state_dir), os.fsencode(incident))
        if self._panic is not None and self._panic.order.incident == incident and self._panic.folder:
            folder = self._panic.folder  # another place, where the disk was full
        try:
            add_cause(order, folder)
            words += f"; kept in {render_path(folder)}"
        except OSError as error:
            words += f"; not kept: {error}"
        try:
            self._helper.add(decision.cause, armed_ns=order.armed_ns)
        except HostError as error:
            words += f"; not in the panic's record: {error}"
        if self._may_reach(order.config) and not order.nomail:
            words += f"; {self._send('more after the panic', [words])}"
        self._talk.say(words)
        self._answer(number, decision, incident)

    def _may_reach(self, config: Config) -> bool:
        """Tell whether a mail server may be in reach after a cut: then a try is worth its time."""
        return self._armed.record.phase is not Phase.CUT or config.panic.action == "isolate" or bool(config.panic.keep_interfaces)

    # Notices.

    def _notify(self, number: int | None, subject: str, lines: Sequence[str]) -> None:
        self._talk.say(f"notice {render_word(subject)!r}: {self._send(subject, lines)}")
        if number is not None:
            self._talk.put({"done": number, "panic": None})

    def _send(self, subject: str, lines: Sequence[str]) -> str:
        """Tell the panic recipients; what no server takes now waits in the queue of the mails."""
        assert self._config is not None
        record = self._armed.record if self._armed.in_force else PanicRecord()
        return send_notice(self._config, record, subject, lines, nomail=self._nomail, mailer=self._armed.mailer)

    def _say_deserted(self) -> None:
        """The watch is gone and has not said that it ends: it was killed, which nobody else would tell of."""
        if not self._is_live or self._config is None or self._armed.record.phase is not Phase.ARMED:
            return
        now = render_time(time.time_ns())
        lines = [
            f"The watch of {self._config.host.name} ended without a word at {now}: it was killed, or crashed.",
            "Until it is started again, what changes is found by fimkit check alone, and cuts nothing before.",
        ]
        log_locally(f"fimkit: {lines[0]}", priority=_ALERT, fields={})
        self._chores.add(functools.partial(self._send, "watch killed", lines))


def main() -> None:
    """Take standard input and output, which are the line to the guard, away from all that is started from here, and run."""
    line = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.close(null)
    Runner(line).run()
