"""An incident that the panic's record has and the store has not is stored; what is there stays."""

import os
from dataclasses import replace
from pathlib import Path

from fimkit.evidence.store import open_store
from fimkit.model.config import Config, Host
from fimkit.panic.record import Cause, PanicRecord, Phase
from fimkit.verbs.evidence_incidents import verify_incidents
from fimkit.verbs.panic_books import store_incident_of
from fimkit.verbs.panic_folder import incidents_folder

__all__: list[str] = []

RECORD = PanicRecord(
    phase=Phase.CUT,
    incident="2026-11-22T103000Z",
    triggered_ns=5,
    armed_ns=1,
    causes=(Cause(5, "modified /sbin/x"), Cause(6, "more")),
)


def test_it_is_stored_once_and_what_is_there_stays(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=bytes(tmp_path / "state")))
    open_store(config.host.state_dir, create=True).close()
    assert store_incident_of(config, RECORD)
    assert not store_incident_of(config, replace(RECORD, phase=Phase.RESTORED))
    with open_store(config.host.state_dir) as store:
        (row,) = store.incidents()
        assert store.verify_chain().broken == ()
    assert (row.id, row.host, row.cause, row.phase, row.folder) == (RECORD.incident, "web01", "modified /sbin/x", "cut", b"")
    assert "died before it could store this" in row.steps[0]["words"]


def test_one_of_which_only_the_beginning_is_stored_is_brought_up_to_date_once(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=bytes(tmp_path / "state")))
    open_store(config.host.state_dir, create=True).close()
    begun = replace(RECORD, phase=Phase.TRIGGERED, cut_ns=None, cut=None)
    assert [store_incident_of(config, one) for one in (begun, begun, RECORD, RECORD)] == [True, False, True, False]
    with open_store(config.host.state_dir) as store:
        assert [(one.id, one.phase, len(one.steps)) for one in store.incidents()] == [(RECORD.incident, "cut", 2)]


def test_its_folder_is_named_and_its_missing_journal_is_no_break(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=bytes(tmp_path / "state")))
    open_store(config.host.state_dir, create=True).close()
    folder = os.path.join(incidents_folder(config.host.state_dir), os.fsencode(RECORD.incident))
    os.makedirs(folder)
    assert store_incident_of(config, RECORD)
    verdict = verify_incidents(config.host.state_dir)
    assert verdict.broken == [] and len(verdict.notes) == 1


def test_of_no_panic_and_in_no_store_nothing_is_stored(tmp_path: Path) -> None:
    config = Config(host=Host(name="web01", state_dir=bytes(tmp_path / "state")))
    assert not store_incident_of(config, RECORD)
    open_store(config.host.state_dir, create=True).close()
    assert not store_incident_of(config, PanicRecord())
    assert not store_incident_of(config, replace(RECORD, triggered_ns=None))
