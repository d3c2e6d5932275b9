"""The words for why a change has no record: auditing that was off says so for the time when it was, and for no other."""

import pytest

from fimkit.correlate.reasons import _was_off
from fimkit.model.changes import Note, NoteKind, Source

S = 1_000_000_000


def switched(kind: NoteKind, at_s: int) -> Note:
    return Note(source=Source.AUDIT, kind=kind, time_ns=at_s * S, text="auditing was switched")


OFF, ON = switched(NoteKind.AUDIT_DISABLED, 100), switched(NoteKind.AUDIT_ENABLED, 200)
OFF_AGAIN = switched(NoteKind.AUDIT_DISABLED, 300)


@pytest.mark.parametrize(
    ("at_s", "first", "second"), [(50, False, False), (150, True, False), (250, False, False), (350, False, True)]
)
def test_auditing_was_off_from_its_switching_off_to_its_switching_on(at_s: int, first: bool, second: bool) -> None:
    notes = [OFF, ON, OFF_AGAIN]
    assert (_was_off(notes, OFF, at_s * S), _was_off(notes, OFF_AGAIN, at_s * S)) == (first, second)


def test_a_change_of_unknown_time_may_have_been_made_while_it_was_off() -> None:
    assert _was_off([OFF, ON], OFF, None)
