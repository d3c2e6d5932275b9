"""Brings into the store what became of an incident whose runner died before it could: as the panic's record has it."""

import os
import time
from dataclasses import replace

from fimkit.evidence.incident_rows import IncidentRow
from fimkit.evidence.store import open_store
from fimkit.model.config import Config
from fimkit.model.errors import FimkitError
from fimkit.panic.incident import Status
from fimkit.panic.record import PanicRecord
from fimkit.verbs.panic_folder import incidents_folder
from fimkit.verbs.panic_order import StepTime, render_step

__all__ = ["store_incident_of"]

_STORE_S = 2.0
_BEGUN = "triggered"
_WORDS = "from the panic's record: who ran this panic died before it could store this"


def store_incident_of(config: Config, record: PanicRecord) -> bool:
    """Store the incident of a record where the store has none of that name, or only that it began; tell whether it had to be.

    What else the store has is fuller, and stays. Who still runs that panic puts its own in this one's place.

    Args:
        config: The host's name, and the state folder.
        record: Of a panic that has begun, and is over or not; of another nothing is stored.
    """
    if not record.incident or record.triggered_ns is None:
        return False
    try:
        with open_store(config.host.state_dir) as store:
            store.wait_at_most(_STORE_S)
            with store.transaction():
                stored = next((one for one in store.incidents() if one.id == record.incident), None)
                row = _bring_up(config, record, stored)
                if row is None:
                    return False
                store.add_incident(row)
    except FimkitError:
        return False  # a store that cannot be used is told of by those who need it
    return True


def _bring_up(config: Config, record: PanicRecord, stored: IncidentRow | None) -> IncidentRow | None:
    assert record.triggered_ns is not None
    phase, now_ns = _phase_of(record), time.time_ns()
    step = render_step(StepTime(name="runner", began_s=0.0, took_s=0.0, status=Status.FAILED, words=_WORDS))
    if stored is not None:
        is_behind = stored.phase == _BEGUN and phase != _BEGUN
        return replace(stored, phase=phase, updated_ns=now_ns, steps=(*stored.steps, step)) if is_behind else None
    folder = os.path.join(incidents_folder(config.host.state_dir), os.fsencode(record.incident))
    return IncidentRow(
        id=record.incident, host=config.host.name, cause=record.causes[0].words if record.causes else "",
        triggered_ns=record.triggered_ns, updated_ns=now_ns, phase=phase, folder=folder if os.path.isdir(folder) else b"",
        steps=(step,),
    )  # fmt: skip


def _phase_of(record: PanicRecord) -> str:
    """Give the phase in the words of the store: a restore ends no cut's having been."""
    if record.cut_ns is None:
        return "nokill" if record.nokill else record.phase.value
    return "cut" if record.cut is not None and record.cut.get("complete") else "cut not complete"
