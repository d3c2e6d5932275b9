"""A host that is armed: its record, as the helper writes it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fimkit.model.config import Config
from fimkit.model.config_json import freeze
from fimkit.model.errors import HostError
from fimkit.panic.namespaces import confined_namespace
from fimkit.panic.record import PanicRecord, Phase, render_record

__all__ = ["put_record"]


def put_record(
    config: Config, phase: Phase = Phase.ARMED, *, seen: Sequence[str] = (), endpoints: Sequence[dict[str, Any]] = ()
) -> PanicRecord:
    """Write the record of a host that was armed with this configuration.

    In the machine's own network nothing may ever be cut, whatever goes wrong in the test or in fimkit: the record says so.
    """
    try:
        confined_namespace()
    except HostError:
        config = replace(config, panic=replace(config.panic, nokill=True))
    settings = freeze(config) | {"endpoints": list(endpoints)}
    record = PanicRecord(phase=phase, by="root", settings=settings, seen=tuple(seen))
    folder = Path(config.host.state_dir.decode()) / "panic"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(render_record(record)))
    return record
