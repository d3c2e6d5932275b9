"""What a watch makes of the records that its drain hands over."""

from typing import cast

from fimkit.audit.drain import Drain, Drained
from fimkit.model.records import AuditEvent, EventId
from fimkit.verbs.watch_records import _BLOCK, KernelRecords, _Known
from tests.audit.lines import event_lines, whole

LONG_AGO_MS = 1_795_314_095_180


class Parts:
    """Stands for a drain: hands over one part each time, then nothing."""

    def __init__(self, *parts: list[bytes]) -> None:
        self.backlog_bytes = 1 << 20
        self._parts = list(parts)

    def read(self, most_bytes: int) -> Drained:
        lines = self._parts.pop(0) if self._parts else []
        return Drained([b"\n".join(lines) + b"\n"] if lines else [], [], ended=False)


def records_of(*parts: list[bytes]) -> KernelRecords:
    return KernelRecords(cast(Drain, Parts(*parts)))


def test_an_event_that_comes_in_two_parts_long_after_it_was_made_is_whole() -> None:
    lines = event_lines(serial=1, time_ms=LONG_AGO_MS)
    for cut in range(1, len(lines)):
        records = records_of(lines[:cut], lines[cut:])
        first, second, rest = records.hear(), records.hear(), records.hear()
        assert first.changes == []
        at_once = records_of(lines).hear()
        assert [*second.changes, *rest.changes] == at_once.changes != []
        assert first.notes == second.notes == rest.notes == []


def test_an_event_without_its_rest_is_given_when_nothing_more_comes() -> None:
    records = records_of(event_lines(serial=1, time_ms=LONG_AGO_MS)[:2])
    assert records.hear().notes == []
    assert records.hear().notes != []


def test_what_the_log_tells_of_again_is_no_news() -> None:
    lines = event_lines(serial=1, time_ms=LONG_AGO_MS)
    (event,) = whole(lines)
    (other,) = whole(event_lines(serial=2, time_ms=LONG_AGO_MS))
    records = records_of(lines)
    assert records.is_news(event)
    records.hear()
    assert not records.is_news(event)
    assert records.is_news(other)
    assert records.is_news(event._replace(items=()))


def test_a_storm_that_was_heard_minutes_ago_is_no_news_and_its_memory_goes_with_the_reading() -> None:
    known = _Known(most_blocks=3)
    (event,) = whole(event_lines(serial=1, time_ms=LONG_AGO_MS))

    def at(serial: int) -> AuditEvent:
        return event._replace(event_id=EventId(LONG_AGO_MS + serial, serial))

    for serial in range(0, 3 * _BLOCK, 100):
        known.add(at(serial))
    assert all(known.has(at(serial)) is (serial % 100 == 0) for serial in range(0, 3 * _BLOCK, 50))
    assert not known.has(event._replace(event_id=EventId(LONG_AGO_MS, 100)))  # another boot's
    known.drop_before(2 * _BLOCK)
    assert len(known) == 2 and not known.has(at(0)) and known.has(at(_BLOCK + 100 - _BLOCK % 100))
    for number in range(2, 5):
        known.add(at(number * _BLOCK))
    assert len(known) == 3 and known.has(at(4 * _BLOCK))
