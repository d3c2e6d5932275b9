"""Runs a panic: it is written down, facts and packets are gathered, people are told, and the network is cut, whatever hangs.

Every part runs in a thread of its own and is left behind when its time is over; at ``deadline_s`` and a moment before, whatever is
under way, the helper is told to cut. It would do so by itself, too: at its own deadline, and when this process is gone.
"""

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fimkit.evidence.heads import head_lines
from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.store import open_store
from fimkit.model.findings import Finding
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.notify.alarm import AlarmReceipt, render_alarm
from fimkit.notify.journal import log_locally
from fimkit.notify.message import render_word
from fimkit.panic.helper_client import BeginReply, CutReply, render_cut_reply
from fimkit.panic.incident import Incident, Status, render_entry
from fimkit.panic.steps import run_step
from fimkit.verbs.panic_alarm import keep_letter, list_addresses, plan_letter, send_letter
from fimkit.verbs.panic_cause import cause_steps
from fimkit.verbs.panic_clock import Done, PanicClock
from fimkit.verbs.panic_folder import list_others, make_evidence, write_json, write_lines
from fimkit.verbs.panic_order import JOURNAL_STEP, HelperLine, PanicOrder, PanicReport, StepTime, render_step
from fimkit.verbs.panic_recon import Packets, start_packets, start_recon, worst
from fimkit.verbs.panic_switch import Running, start_killswitch
from fimkit.verbs.panic_words import cut_words, describe_cause, journal_fields, report_lines

__all__ = ["Panic", "run_panic"]

_BEGIN_S = 5.0       # the helper saves the network in it
_LOG_S = 2.0
_FOLDER_S = 5.0
_CUT_S = 60.0
_KILLSWITCH_S = 26.0  # they are ended long before, and that is told
_AFTER_CUT_S = 1.0   # so long packets are still taken: what tries to go on shows
_AFTER_S = 5.0       # for each part after the cut
_GRACE_S = 1.0       # what sending may take beyond its deadline
_GRACE_SHARE = 0.1
_RECON_SHARE = 0.5   # of the time before the cut at least, where the mail's own deadline would leave less
_EMERGENCY, _ALERT, _NOTICE = 0, 1, 5


def run_panic(order: PanicOrder, helper: HelperLine | None, *, tell: Callable[[str], None]) -> PanicReport:
    """Run one panic to its end.

    Args:
        order: What to do, by which configuration.
        helper: The line to the helper; without one nothing is cut, and everybody is told so.
        tell: Takes words for people, as they come; it must not block.

    Returns:
        What came of it. Nothing raises.
    """
    return Panic(order, helper, tell=tell).run()


class Panic:
    """One panic. Use :func:`run_panic`, or keep this to :meth:`add` what comes while it runs."""

    def __init__(self, order: PanicOrder, helper: HelperLine | None, *, tell: Callable[[str], None]) -> None:
        """Take the order; :meth:`run` begins."""
        self.order, self._helper, self._tell = order, helper, tell
        self._clock = PanicClock(order.config.panic.deadline_s)
        self.triggered_ns = time.time_ns()
        self.begun, self._logged = threading.Event(), threading.Event()
        self._incident: Incident | None = None
        self._folder_words = ""
        self._lock = threading.Lock()
        self._added: list[tuple[int, str, tuple[Finding, ...]]] = []
        self._reply: BeginReply | None = None
        self._receipt: AlarmReceipt | None = None
        self._cut: CutReply | None = None
        self._mail = "no mail was tried"
        self._heads: tuple[str, ...] = ()
        self._is_finished, self._asking = False, threading.Lock()
        self._killswitch: Running | None = None

    @property
    def folder(self) -> bytes:
        """Where the evidence is; empty as long as there is no folder."""
        return self._incident.folder if self._incident else b""

    def run(self) -> PanicReport:
        """Run it."""
        packets: list[Packets] = []
        parts = (
            self._begin,
            self._log,
            lambda: packets.extend(self._start_packets()),
            self._gather,
            self._alarm,
            self._act,
            lambda: self._finish_packets(packets),
            self._update_store,
        )
        for part in parts:
            self._guarded(part)
        report = self._report()
        self._guarded(lambda: self._write_report(report))
        self._guarded(lambda: self._clock.run("store_last", functools.partial(self._store, self._phase()), patience_s=_AFTER_S))
        self._guarded(lambda: self._say_end(report))
        return report

    def _guarded(self, part: Callable[[], object]) -> None:
        try:
            part()
        except Exception as error:  # the next part is as important
            self._clock.note("panic", Status.FAILED, f"{type(error).__name__}: {error}")
        self.begun.set()

    def add(self, cause: str, findings: tuple[Finding, ...]) -> None:
        """Add what came after the trigger: to the helper's record, the folder, and to the letter if that is not written yet.

        It waits until the trigger itself is written down, for a time. Nothing raises.
        """
        self._logged.wait(_FOLDER_S + _BEGIN_S)
        with self._lock:
            self._added.append((time.time_ns(), cause, findings))
            number = len(self._added) + 1
        order = replace(self.order, findings=findings)
        part = self._clock.begin(f"cause_{number}", functools.partial(self._write_cause, order, cause, number))
        part.wait(_LOG_S)
        if self._helper is not None and not order.test:
            told = self._clock.begin(f"helper_{number}", functools.partial(self._tell_helper, self._helper, cause))
            told.wait(_BEGIN_S)

    # What is done, in order.

    def _begin(self) -> None:
        order = self.order
        self._tell(f"{'TEST of the panic' if order.test else 'PANIC'}: incident {order.incident}: {render_word(order.cause)}")
        if order.test:
            self._clock.note("begin", Status.SKIPPED, "a test: the host stays as it is")
        elif self._helper is None:
            self._clock.note("begin", Status.FAILED, "no helper answers: NOTHING WILL BE CUT")
        else:
            work = functools.partial(self._begin_helper, self._helper, order.cause)
            self._reply = self._clock.insist("begin", work, patience_s=self._clock.part_s(_BEGIN_S))
            self.triggered_ns = self._reply.triggered_ns if self._reply else self.triggered_ns

    def _begin_helper(self, helper: HelperLine, cause: str) -> Done[BeginReply]:
        reply = helper.begin(self.order.incident, cause, nokill=self.order.nokill, armed_ns=self.order.armed_ns)
        words = [f"written down as triggered at {render_time(reply.triggered_ns)}"]
        words += ["the network is saved"] if reply.saved else ["THE NETWORK IS NOT SAVED"] if not self.order.nokill else []
        words += ["a panic had begun before"] if reply.again else []
        status = Status.FAILED if reply.errors else Status.OK
        return Done(value=reply, words="; ".join([*words, *reply.errors]), status=status)

    def _tell_helper(self, helper: HelperLine, cause: str) -> Done[None]:
        with self._asking:
            if self._is_finished:
                return Done(value=None, words="this panic is over, and cuts nothing: the cause is in the folder alone")
            helper.add(cause, armed_ns=self.order.armed_ns)
        return Done(value=None, words="in the panic's record")

    def _log(self) -> None:
        clock = self._clock
        journal = clock.begin("journal", self._log_locally)
        self._incident = clock.run("cause", self._make_folder, patience_s=clock.part_s(_FOLDER_S))
        journal.wait(clock.part_s(_LOG_S))
        phase = "test" if self.order.test else "triggered"
        self._logged.set()
        clock.run("store", functools.partial(self._store, phase), patience_s=clock.part_s(_LOG_S))

    def _log_locally(self) -> Done[None]:
        order = self.order
        mark = "[TEST] " if order.test else ""
        lines = describe_cause(order, order.cause, time_ns=self.triggered_ns)
        words = "\n".join([f"{mark}PANIC: {render_word(order.cause)}", *lines])
        place = log_locally(words, priority=_NOTICE if order.test else _EMERGENCY, fields=journal_fields(order))
        if place is None:
            return Done(value=None, words="neither journald nor a syslog daemon takes it", status=Status.ABSENT)
        return Done(value=None, words=f"logged at {place}")

    def _make_folder(self) -> Done[Incident]:
        order = self.order
        steps = cause_steps(order, order.cause, name="cause", time_ns=self.triggered_ns)
        incident, problem = make_evidence(order.config.host.state_dir, order.incident, steps)
        self._folder_words = problem
        where = f"written to {render_path(incident.folder)}"
        return Done(
            value=incident, words=f"{where}, because {problem}" if problem else where,
            status=Status.TRUNCATED if problem else Status.OK,
        )

    def _write_cause(self, order: PanicOrder, cause: str, number: int) -> Done[None]:
        if self._incident is None:
            return Done(value=None, words=f"{render_word(cause)}: there is no folder for it", status=Status.FAILED)
        steps = cause_steps(order, cause, name=f"cause-{number}", time_ns=time.time_ns())
        entries = [run_step(self._incident, step, patience_s=_LOG_S) for step in steps]
        return Done(value=None, words=render_word(cause), status=worst(entries))

    def _store(self, phase: str) -> Done[None]:
        order = self.order
        row = IncidentRow(
            id=order.incident, host=order.config.host.name, cause=order.cause, triggered_ns=self.triggered_ns,
            updated_ns=time.time_ns(), phase=phase, folder=self.folder,
            steps=(*map(render_step, self._clock.times()), *self._journal()),
        )
        with open_store(order.config.host.state_dir) as store:
            store.add_incident(row)
        return Done(value=None, words=f"in the evidence store as {phase}")

    def _journal(self) -> list[dict[str, Any]]:
        """Give the head of the folder's journal as a step: with the row it goes into the evidence chain."""
        head = None if self._incident is None else self._incident.head
        now = StepTime(name=JOURNAL_STEP, began_s=0.0, took_s=0.0, status=Status.OK, words=head or "")
        return [] if head is None else [render_step(now)]

    def _start_packets(self) -> list[Packets]:
        if self._incident is None:
            self._clock.note("capture", Status.SKIPPED, "there is no folder for packets")
            return []
        packets = start_packets(self._incident, self.order.config, cut_s=self._clock.left_s(3600.0))
        return [packets] if packets else []

    def _gather(self) -> None:
        clock, incident, order = self._clock, self._incident, self.order
        if incident is None:
            clock.note("recon", Status.SKIPPED, "there is no folder for it")
            return
        budget_s = clock.left_s(3600.0, spare_s=self._mail_s() + min(_GRACE_S, clock.cut_s * _GRACE_SHARE))

        def gather() -> Done[None]:
            entries = start_recon(incident, order.config, order.findings, deadline_s=budget_s * 0.9).wait()
            good = sum(entry.status is Status.OK for entry in entries)
            rest = [f"{entry.step} {entry.status.value}" for entry in entries if entry.status not in (Status.OK, Status.ABSENT)]
            words = "; ".join([f"{good} of {len(entries)} steps gave all they have", *rest[:10]])
            return Done(value=None, words=words, status=worst(entries))

        clock.run("recon", gather, patience_s=budget_s)

    def _mail_s(self) -> float:
        """Give how long the mail may take; the recon before it keeps its share."""
        return min(float(self.order.config.mail.deadline_s), self._clock.cut_s * (1 - _RECON_SHARE))

    def _alarm(self) -> None:
        clock, order = self._clock, self.order
        with self._lock:
            added = tuple(finding for _, _, findings in self._added for finding in findings)
        addresses = clock.run("addresses", list_addresses, patience_s=clock.part_s(_GRACE_S)) or ()
        self._heads = heads = clock.run("heads", self._say_heads, patience_s=clock.part_s(_GRACE_S)) or ()
        alarm = plan_letter(
            replace(order, findings=(*order.findings, *added)), addresses=addresses, folder=self.folder,
            triggered_ns=self.triggered_ns, steps=clock.times(), can_cut=self._reply is not None, heads=heads,
        )
        if self._incident is not None:
            clock.run("letter", functools.partial(keep_letter, self._incident, alarm), patience_s=clock.part_s(_LOG_S))
        if order.nomail or order.config.mail.nomail:
            self._mail = "nomail: nobody was told; the letter is in the folder"
            clock.note("mail", Status.SKIPPED, self._mail)
        else:
            deadline_s = clock.left_s(self._mail_s(), spare_s=_GRACE_S)
            sending = clock.begin("mail", functools.partial(send_letter, order, alarm, deadline_s=deadline_s))
            self._receipt = sending.wait(clock.left_s(self._mail_s() + _GRACE_S))
            self._mail = sending.time().words
        self._tell(f"mail: {self._mail}")

    def _say_heads(self) -> Done[tuple[str, ...]]:
        lines = tuple(head_lines(self.order.config.host.state_dir))
        return Done(value=lines, words="; ".join(lines) or "the store has no chain that can be read")

    def _act(self) -> None:
        order, clock, helper = self.order, self._clock, self._helper
        if order.test:
            clock.note("cut", Status.SKIPPED, "a test: nothing was cut")
            return
        if order.nokill:
            if helper is None:
                clock.note("cut", Status.SKIPPED, "nokill: nothing was cut")
            else:
                clock.insist("cut", functools.partial(self._finish, helper), patience_s=_AFTER_S)
            return
        self._guarded(self._start_killswitch)
        if helper is None:
            clock.note("cut", Status.FAILED, "NOTHING WAS CUT: no helper answered")
            return
        part_s = max(_AFTER_S, order.config.panic.deadline_s - clock.now_s() + _AFTER_S)
        reply = clock.insist("cut", functools.partial(_cut, helper), patience_s=min(_CUT_S, part_s))
        if reply is None:
            # Its line is closed: that alone makes a helper cut that has begun, whatever keeps it from answering.
            clock.insist("close", functools.partial(_close, helper), patience_s=_GRACE_S)
        self._cut = reply
        self._tell(f"cut: {cut_words(reply)}" if reply else "cut: THE HELPER DID NOT CONFIRM IT: look at the links")

    def _finish(self, helper: HelperLine) -> Done[None]:
        with self._asking:
            self._is_finished = True
            helper.finish(f"incident {self.order.incident}: nokill, nothing was cut")
        return Done(value=None, words="nokill: nothing was cut; the host is armed as before", status=Status.SKIPPED)

    def _start_killswitch(self) -> None:
        commands = self.order.config.panic.killswitch
        if not commands:
            return
        if self._incident is None:
            self._incident = self._clock.run("folder", self._make_folder, patience_s=_GRACE_S)
        if self._incident is None:
            self._clock.note("killswitch", Status.FAILED, "there is no folder for its output")
            return
        self._killswitch, trouble = start_killswitch(self.order.switch, self._incident, commands)
        words = "; ".join(filter(None, (f"{len(commands)} command(s) begun beside the cut", trouble)))
        self._clock.note("killswitch", Status.TRUNCATED if trouble else Status.OK, words)

    def _finish_packets(self, packets: list[Packets]) -> None:
        for one in packets:

            def finish(one: Packets = one) -> Done[None]:
                entries = one.finish(least_s=_AFTER_CUT_S)
                words = "; ".join(f"{entry.file}: {entry.note}" for entry in entries)
                return Done(value=None, words=words, status=worst(entries))

            patience_s = self.order.config.panic.capture_s + _AFTER_CUT_S + 2 * _AFTER_S
            self._clock.run("capture", finish, patience_s=patience_s)
        if self._killswitch is not None:
            lane = self._killswitch
            entries = self._clock.run("killswitch_end", lambda: Done(value=lane.wait()), patience_s=_KILLSWITCH_S)
            if not entries:
                self._clock.note("killswitch", Status.FAILED, "nothing is known of what came of it")
            for entry in entries or ():
                self._clock.note(entry.step, entry.status, f"{entry.subject}: {entry.note}")

    # What is said of it in the end.

    def _phase(self) -> str:
        if self.order.test:
            return "test"
        if self.order.nokill:
            return "nokill"
        return "cut" if self._cut is not None and self._cut.complete else "cut not complete" if self._helper else "not cut"

    def _update_store(self) -> None:
        self._clock.run("store_end", functools.partial(self._store, self._phase()), patience_s=_AFTER_S)

    def _report(self) -> PanicReport:
        order, mail = self.order, self.order.config.mail
        told = order.nomail or mail.nomail or bool(self._receipt and self._receipt.mail and self._receipt.mail.complete)
        cut = order.test or order.nokill or (self._cut is not None and self._cut.complete)
        return PanicReport(
            incident=order.incident, folder=self.folder, steps=self._clock.times(), cut=self._cut, mail=self._mail,
            complete=told and cut and self._has_gathered and not self._folder_words,
        )

    @property
    def _has_gathered(self) -> bool:
        states = [one.status for one in self._clock.times() if one.name == "recon"]
        return bool(states) and not {Status.SKIPPED, Status.FAILED, Status.TIMEOUT} & set(states)

    def _write_report(self, report: PanicReport) -> None:
        incident = self._incident
        if incident is None:
            return

        def write() -> Done[None]:
            entries = incident.entries
            row = self._report_row(report) | {
                "files": [render_entry(entry) for entry in entries],
                "others": list_others(incident, entries, patience_s=_AFTER_S),
            }
            run_step(incident, write_json("report", row), patience_s=_AFTER_S)
            run_step(incident, write_lines("report", report_lines(row, report.steps)), patience_s=_AFTER_S)
            return Done(value=None)

        self._clock.run("report", write, patience_s=4 * _AFTER_S)

    def _report_row(self, report: PanicReport) -> dict[str, object]:
        order = self.order
        with self._lock:
            added = [
                {"time": render_time(time_ns), "cause": render_word(cause), "findings": [finding.id for finding in findings]}
                for time_ns, cause, findings in self._added
            ]
        return {
            "fimkit_report": 1,
            "incident": order.incident,
            "host": order.config.host.name,
            "cause": render_word(order.cause),
            "test": order.test,
            "nomail": order.nomail or order.config.mail.nomail,
            "nokill": order.nokill,
            "triggered": render_time(self.triggered_ns),
            "ended": render_time(time.time_ns()),
            "complete": report.complete,
            "phase": self._phase(),
            "folder": render_path(report.folder),
            "steps": [render_step(step) for step in report.steps],
            "mail": render_alarm(self._receipt) if self._receipt else None,
            "mail_words": report.mail,
            "cut": render_cut_reply(report.cut) if report.cut else None,
            "added": added,
        }

    def _say_end(self, report: PanicReport) -> None:
        state = "all was done" if report.complete else "NOT ALL WAS DONE"
        where = f"; evidence in {render_path(report.folder)}" if report.folder else "; there is no evidence"
        words = f"{'TEST of the panic' if self.order.test else 'panic'} {self.order.incident} over: {state}{where}"
        fields = journal_fields(self.order) | ({"FIMKIT_HEAD": self._heads[0].rpartition(" ")[2]} if self._heads else {})
        log_locally("; ".join([words, *self._heads[:1]]), priority=_NOTICE if self.order.test else _ALERT, fields=fields)
        self._tell(words)


def _cut(helper: HelperLine) -> Done[CutReply]:
    reply = helper.cut()
    return Done(value=reply, words=cut_words(reply), status=Status.OK if reply.complete else Status.FAILED)


def _close(helper: HelperLine) -> Done[None]:
    helper.close()
    return Done(value=None, words="the line to the helper is closed, so that it cuts by itself")
