"""What a helper is asked to do, and does: arm, begin, cut, restore. One thread asks; the cut has threads and a clock of its own.

Every change is on the disk before it is answered. Where the disk takes nothing, it is done all the same, and said.
"""

import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from fimkit.model.errors import FimkitError, HostError
from fimkit.panic.containment import Containment
from fimkit.panic.cut import LinkCutter
from fimkit.panic.cut_settings import CutSettings, parse_cut_settings
from fimkit.panic.deadline import Deadline
from fimkit.panic.ground import Ground
from fimkit.panic.helper_wire import BeginReply, CutReply, Hello, PlanReply, RestoreReply
from fimkit.panic.kept_networks import KeptNetworks
from fimkit.panic.kept_record import KeptRecord, present_boot
from fimkit.panic.panic_folder import PanicFolder
from fimkit.panic.preview import preview_cut
from fimkit.panic.record import PanicRecord, Phase
from fimkit.panic.rights import held_rights

__all__ = ["Resident"]

_SAVE_S = 2.0
_QUICK_SAVE_S = 0.5
_MOST_COUNTED = 1_000_000
"""As many as any threshold: a file that is rewritten for days makes no record that is too large to be read."""

Say = Callable[[str], None]


class Resident:
    """The record of a host's panic, and the hand that cuts. All calls are made by one thread."""

    def __init__(self, ground: Ground, folder: PanicFolder, record: PanicRecord, *, say: Say, wake: Callable[[], None]) -> None:
        """Take over.

        Args:
            ground: What may be cut.
            folder: Open and locked.
            record: As it was found.
            say: Is given words for the journal; they are in the record's log too.
            wake: Is called, by any thread, when :meth:`tick` has something to do.
        """
        self._ground, self._folder, self._wake = ground, folder, wake
        self._record = KeptRecord(folder, record, journal=say)
        self._networks = KeptNetworks(ground, folder, say=self._record.say)
        self._told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._since_ns = time.time_ns()
        self._lines: set[int] = set()
        self._deadline = Deadline(self._at_deadline)
        self._why = ""
        self._cutter: LinkCutter | None = None
        self._containment: Containment | None = None
        self.problem = ""
        """What keeps it from its work, found at the start."""

    @property
    def record(self) -> PanicRecord:
        """The record that holds."""
        return self._record.now

    # Words, and what comes up by itself.

    def note(self, words: str) -> None:
        """Say something, and keep it in the record's log with the next change."""
        self._record.say(words)

    def tick(self) -> None:
        """Do what came up meanwhile: words of the hold, the end of the deadline, a record to be stored, the time to restore."""
        changed = False
        for words in self._folder.told():
            self._record.say(words)
            changed = True
        with suppress(queue.Empty):
            while True:
                self._record.say(self._told.get_nowait())
                changed = True
        held = self._containment
        if held is not None and held.reply is not None:
            if self.record.phase is Phase.TRIGGERED:
                self._note_cut(held.reply, self._why)
            lowered = tuple(dict.fromkeys((*self.record.lowered, *held.lowered)))
            if lowered != self.record.lowered:
                self._record.now, changed = replace(self.record, lowered=lowered), True
            if self.record.cut is not None and self.record.cut.get("action") != held.action:
                self._record.now, changed = replace(self.record, cut={**self.record.cut, "action": held.action}), True
        if changed:
            self._record.store(self.record)
        self._record.retry()
        due = self.record.restore_boottime_ns
        if self.record.phase is Phase.CUT and due is not None and time.clock_gettime_ns(time.CLOCK_BOOTTIME) >= due:
            self.restore(by="restore_after_s")

    # Before a panic.

    def prepare(self) -> None:
        """Open what a cut will need, where the host is armed: later there may be no descriptors left."""
        if self._cutter is not None:
            self._cutter.close()
            self._cutter = None
        if self.record.phase is not Phase.ARMED:
            return
        settings = parse_cut_settings(self.record.settings)
        try:
            self._cutter = LinkCutter(self._ground.where, keep=settings.keep if settings.action == "down" else ())
            self._cutter.plan()
        except FimkitError as error:
            self._record.say(f"not ready to cut: {error}")

    def hello(self) -> Hello:
        """Say who this is."""
        rights = tuple(sorted(held_rights()))
        can_cut = "NET_ADMIN" in rights
        lacks = "" if can_cut else "no right to cut: this needs CAP_NET_ADMIN"
        return Hello(
            pid=os.getpid(), phase=self.record.phase, can_cut=can_cut, rights=rights, namespace=self._ground.where.inode,
            since_ns=self._since_ns, problem="; ".join(filter(None, (lacks, self.problem, self._record.trouble))),
        )

    def plan(self, settings: Mapping[str, Any] | None) -> PlanReply:
        """Say what a cut would do now."""
        if settings is None and not self.record.settings:
            raise HostError("this host is not armed, and no settings were given to plan by")
        return preview_cut(self._ground, parse_cut_settings(self.record.settings if settings is None else settings))

    def arm(self, settings: Mapping[str, Any], by: str, seen: Sequence[str]) -> None:
        """Arm, or arm anew."""
        self._refuse_in_panic("arm")
        parse_cut_settings(settings)
        record = replace(
            PanicRecord(log=self.record.log), phase=Phase.ARMED, by=by, settings=settings, seen=tuple(dict.fromkeys(seen)),
            armed_ns=time.time_ns(),
        )
        self._record.must_store(record)
        self._record.say(f"armed by {by}")
        self.problem = ""
        if trouble := self._folder.keep_room():
            self._record.say(f"no room is kept for a full disk: {trouble}")
        self._record.store(self.record)
        self._let_go()
        self.prepare()

    def disarm(self, by: str) -> None:
        """Disarm."""
        self._refuse_in_panic("disarm")
        self._record.must_store(PanicRecord(log=self.record.log, by=by))
        self._record.say(f"disarmed by {by}")
        self._record.store(self.record)
        self._let_go()
        self.prepare()

    def _refuse_in_panic(self, what: str) -> None:
        if self.record.has_begun:
            raise HostError(f"cannot {what} while a panic goes on ({self.record.incident}): restore first")

    def judged(self, seen: Sequence[str], counted: Sequence[str]) -> None:
        """Add what has been judged; it holds also where it cannot be stored."""
        record = replace(
            self.record, seen=tuple(dict.fromkeys((*self.record.seen, *seen))),
            counted=tuple(dict.fromkeys((*self.record.counted, *counted)))[-_MOST_COUNTED:],
        )
        if trouble := self._record.store(record):
            raise HostError(f"this holds, and is not stored: {trouble[0]}")

    def forget(self, ids: Sequence[str]) -> None:
        """Take findings as not judged, for what they tell of was undone."""
        if set(ids).isdisjoint((*self.record.seen, *self.record.counted)):
            return
        if trouble := self._record.store(self.record.without(set(ids))):
            raise HostError(f"this holds, and is not stored: {trouble[0]}")

    # A panic.

    def begin(self, line: int, *, incident: str, cause: str, nokill: bool, armed_ns: int | None) -> BeginReply:
        """Begin, or add to what has begun; from now on, the end of this line cuts."""
        now, again = time.time_ns(), self.record.has_begun
        self._refuse_other_arming(armed_ns)
        if not again and self.record.phase is not Phase.ARMED:
            raise HostError(f"this host is {self.record.phase.value}, not armed")
        record, settings = self.record, parse_cut_settings(self.record.settings)
        if not again:
            record = replace(
                record, phase=Phase.TRIGGERED, incident=incident, causes=(), triggered_ns=now, deadline_s=settings.deadline_s,
                nokill=nokill, cut=None, cut_ns=None, restore_boottime_ns=None, restored_ns=None, lowered=(),
                begun_boot_id=present_boot(),
            )
        elif not nokill:
            record = replace(record, nokill=False)
        takes_over = not again or (self.record.nokill and not nokill)
        if self._containment is None:
            self._containment = self._contain(settings)
        # In memory, and with the clock running, before anything that may hang.
        self._record.now = record.because(now, cause)
        self._record.say(f"panic {self.record.incident}: {cause}" + " (nokill: nothing is cut)" * self.record.nokill)
        if takes_over:  # who only adds a cause may go: the one that began is still at work
            self._lines.add(line)
        if self.record.phase is Phase.TRIGGERED and self.record.must_be_cut:
            self._deadline.start(settings.deadline_s)
        errors = self._record.store(self.record)
        if not again:
            errors += self._save(settings, self._containment, _SAVE_S)
        saved = self._networks.is_saved
        return BeginReply(triggered_ns=self.record.triggered_ns or now, again=again, saved=saved, errors=tuple(errors))

    def _refuse_other_arming(self, armed_ns: int | None) -> None:
        if armed_ns is not None and armed_ns != self.record.armed_ns:
            raise HostError("this host was disarmed or armed anew since that was judged: it starts nothing, and adds to nothing")

    def add(self, cause: str, armed_ns: int | None) -> None:
        """Add a cause to the panic that goes on."""
        self._refuse_other_arming(armed_ns)
        if not self.record.has_begun:
            raise HostError(f"no panic goes on: this host is {self.record.phase.value}")
        self._record.now = self.record.because(time.time_ns(), cause)
        self._record.say(f"panic {self.record.incident}: {cause}")
        self._record.store(self.record)

    def _contain(self, settings: CutSettings) -> Containment:
        first, self._cutter = self._cutter, None
        return Containment(self._ground, settings, tell=self.tell, first=first)

    def tell(self, words: str) -> None:
        """Say something, from any thread or signal: it is kept with the next tick."""
        self._told.put(words)
        self._wake()

    def _at_deadline(self) -> None:
        held = self._containment
        if held is not None:
            self._why = self._why or f"at the deadline, {self.record.deadline_s} s after the trigger"
            try:
                held.cut()
            except Exception as error:  # a thread that dies says nothing
                self._told.put(f"the cut at the deadline failed: {type(error).__name__}: {error}")
            self._wake()

    def _save(self, settings: CutSettings, held: Containment, wait_s: float) -> list[str]:
        return self._networks.save(
            self.record.incident, with_others=settings.include_namespaces, began=held.began, wait_s=wait_s
        )

    def cut(self) -> CutReply:
        """Cut, now."""
        if not self.record.must_be_cut:
            why = "this panic is not to cut (nokill)" if self.record.nokill else "no panic has begun"
            raise HostError(f"nothing is cut: {why}")
        return self._cut("as it was asked to")

    def _cut(self, why: str) -> CutReply:
        if self._containment is None:
            self._containment = self._contain(parse_cut_settings(self.record.settings))
        self._why = self._why or why
        reply = self._containment.cut()
        if self.record.phase is not Phase.TRIGGERED:
            return reply
        return replace(reply, errors=(*reply.errors, *self._note_cut(reply, self._why)))

    def _note_cut(self, reply: CutReply, why: str) -> list[str]:
        """Put the receipt into the record, and end the clock."""
        self._deadline.call_off()
        self._lines.clear()
        now, boottime_ns = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        after_s = parse_cut_settings(self.record.settings).restore_after_s
        first = self.record.phase is Phase.TRIGGERED
        record = replace(
            self.record, phase=Phase.CUT, cut=asdict(reply), cut_ns=now if first else self.record.cut_ns,
            lowered=tuple(dict.fromkeys((*self.record.lowered, *reply.took_down))),
        )
        if first:
            record = replace(record, restore_boottime_ns=boottime_ns + after_s * 1_000_000_000 if after_s else None)
        self._record.now = record
        self._record.say(f"cut {why}: {_receipt(reply)}")
        return self._record.store(self.record)

    def gone(self, line: int) -> None:
        """Take note that a line has ended: where a panic was begun on it, this cuts."""
        if line not in self._lines:
            return
        self._lines.discard(line)
        if self.record.phase is Phase.TRIGGERED and self.record.must_be_cut:
            self._cut("as the process that began the panic is gone")
        elif self.record.phase is Phase.TRIGGERED and not self._lines:
            self.finish("the process that began it is gone")

    def finish(self, words: str) -> None:
        """End a panic that was not to cut."""
        if self.record.phase is not Phase.TRIGGERED or not self.record.nokill:
            raise HostError("only a panic that is not to cut ends so; what is cut is restored")
        self._lines.clear()
        self._let_go()
        self._record.say(f"panic {self.record.incident} ends without a cut: {words}")
        self._record.store(replace(self._record.now, phase=Phase.ARMED, counted=()))  # the next one needs its whole threshold
        self.prepare()

    # After a panic, and after a crash in it.

    def resume(self) -> None:
        """Go on where another helper, or another boot, has left off: cut first."""
        if self.record.phase is Phase.TRIGGERED and self.record.nokill:
            self.finish("the helper has started anew")
            return
        if not self.record.must_be_cut:
            self.prepare()
            return
        settings = parse_cut_settings(self.record.settings)
        held = self._containment = self._contain(settings)
        is_this_boot = self.record.boot_id == present_boot()
        self._networks.load(self.record.incident)
        if not self._networks.is_saved and not (is_this_boot and self.record.phase is Phase.CUT):
            self._save(settings, held, _QUICK_SAVE_S)  # what stands now is still whole
            if is_this_boot and not self._networks.leads_out:  # or was cut a moment before the crash: nothing to go back to
                self._networks.forget()
        if not is_this_boot:
            self._record.now = replace(self.record, lowered=(), restore_boottime_ns=self._due_in_this_boot(settings))
        reply = held.cut()
        self._note_cut(reply, "again, as the helper has started anew" + ("" if is_this_boot else ", in another boot"))

    def _due_in_this_boot(self, settings: CutSettings) -> int | None:
        """When to restore, by this boot's clock. Across a reboot only the wall clock goes on; after this, it is not asked again."""
        if not settings.restore_after_s or self.record.cut_ns is None:
            return None
        passed_ns = min(max(0, time.time_ns() - self.record.cut_ns), settings.restore_after_s * 1_000_000_000)
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + settings.restore_after_s * 1_000_000_000 - passed_ns

    def restore(self, *, by: str) -> RestoreReply:
        """End the hold and put the network back; again, put back what was missing."""
        if self.record.phase is Phase.TRIGGERED and self.record.nokill:
            self.finish(f"{by} restores")
            return RestoreReply(complete=True, words=("nothing was cut: this panic was not to",))
        if not self.record.has_begun and self.record.phase is not Phase.RESTORED:
            return RestoreReply(complete=True, words=(f"nothing is cut: this host is {self.record.phase.value}",))
        self._deadline.call_off()
        self._lines.clear()
        missing, notes = self._put_back(parse_cut_settings(self.record.settings))
        self._record.say(f"restored by {by}: " + "; ".join((*(f"missing: {each}" for each in missing), *notes)))
        record = replace(self.record, phase=Phase.RESTORED, restored_ns=time.time_ns(), by=by, restore_boottime_ns=None)
        unstored = self._record.store(record)
        words = (*(f"missing: {each}" for each in missing), *notes, *unstored)
        return RestoreReply(complete=not missing and not unstored, words=words)

    def _put_back(self, settings: CutSettings) -> tuple[list[str], list[str]]:
        held = self._containment or Containment(self._ground, settings, tell=self.tell)
        stuck = held.release()  # then nothing more goes down: before, the hold or the deadline may still be at work
        lowered = tuple(dict.fromkeys((*self.record.lowered, *held.lowered)))
        went_down = bool(lowered) or "down" in (held.action, (self.record.cut or {}).get("action"))
        if not stuck:
            held.close()
        self._containment, self._why = None, ""
        self._record.now = replace(self.record, lowered=lowered)
        self._networks.load(self.record.incident)
        has_booted = self.record.begun_boot_id not in ("", present_boot())
        missing, notes = self._networks.put_back(lowered, went_down=went_down, has_booted=has_booted)
        return stuck + missing, notes

    def _let_go(self) -> None:
        """Forget a containment that was not needed."""
        if self._containment is not None and self._containment.reply is None:
            self._deadline.call_off()
            if not self._containment.release():
                self._containment.close()
        self._containment, self._why = None, ""
        self._networks.forget()


def _receipt(reply: CutReply) -> str:
    still = "not known" if reply.still_up is None else ", ".join(reply.still_up) or "nothing"
    parts = [f"isolated, {', '.join(reply.words)}"] if reply.isolated else [
        f"{len(reply.took_down)} links down in {reply.took_s * 1000:.0f} ms, still up: {still}", *reply.words
    ]
    parts += [f"{place}: not complete" for place, row in reply.namespaces.items() if not row["complete"]]
    return "; ".join((*parts, *reply.errors))
