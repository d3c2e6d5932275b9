"""Events of real logs, beside the results that were looked at once. ``FIMKIT_REWRITE_GOLDEN=1`` writes them anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fimkit.audit.logfile import load_events
from fimkit.model.paths import render_path
from fimkit.model.records import AuditEvent
from tests.audit.lines import LOGS, order

GOLDEN = Path(__file__).parent / "golden"


def plain(value: Any) -> Any:
    """Bytes as text, named tuples as objects without what is not said."""
    if isinstance(value, bytes):
        return render_path(value)
    if hasattr(value, "_asdict"):
        return {name: plain(one) for name, one in value._asdict().items() if one not in (None, ())}
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def rows_of(events: list[AuditEvent]) -> list[str]:
    rows = [plain(event._replace(file="")) for event in order(events)]
    return [json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows]


@pytest.mark.parametrize("log", LOGS[1:], ids=lambda log: str(log.parent.name + "-" + log.stem))
def test_events_of_real_logs_are_as_they_were(log: Path) -> None:
    file = GOLDEN / f"{log.parent.name}-{log.stem}.jsonl"
    rows = rows_of(list(load_events([log])))
    if os.environ.get("FIMKIT_REWRITE_GOLDEN"):
        file.write_text("".join(row + "\n" for row in rows))
    assert rows == file.read_text().splitlines()


def test_labelled_sections_have_the_events_that_were_made() -> None:
    """Counts by call and outcome, in the sections of the sample that its README names."""
    sections: dict[str, list[tuple[str | None, bool | None]]] = {}
    name = "pre"
    for event in order(list(load_events([LOGS[0]]))):
        if event.types == ("USER",) and b"fimkit-section " in event.extra[0][1]:
            name = event.extra[0][1].partition(b"fimkit-section ")[2].split(b" ")[0].decode()
        elif event.syscall is not None:
            sections.setdefault(name, []).append((event.syscall, event.success))
    assert sections["exchange"] == [("openat", True), ("openat", True), ("renameat2", True)]
    assert sections["atomic-replace"] == [("openat", True), ("renameat2", False), ("renameat", True)]
    assert sections["openat2"] == [("openat2", True)]
    assert {outcome for _, outcome in sections["failed"]} == {False}
    assert "utimes" not in sections
