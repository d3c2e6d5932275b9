"""The cause of a panic as files of its folder, the first and those that come later."""

import time

from fimkit.panic.incident import open_incident
from fimkit.panic.steps import Step, run_step
from fimkit.verbs.panic_folder import write_json, write_lines
from fimkit.verbs.panic_order import PanicOrder
from fimkit.verbs.panic_words import describe_cause, render_cause

__all__ = ["add_cause", "cause_steps"]

_WRITE_S = 2.0


def cause_steps(order: PanicOrder, cause: str, *, name: str, time_ns: int) -> list[Step]:
    """Give the steps that write a cause, with its findings whole, for programs and for people."""
    return [
        write_json(name, render_cause(order, cause, time_ns=time_ns)),
        write_lines(name, describe_cause(order, cause, time_ns=time_ns)),
    ]


def add_cause(order: PanicOrder, folder: bytes) -> None:
    """Add a cause to the folder of a panic that is over: what is found while the network is cut.

    Args:
        order: What came: its cause and findings.
        folder: Of the incident.

    Raises:
        HostError: If there is no such folder.
        OSError: If it takes nothing.
    """
    incident = open_incident(folder)
    try:
        taken = incident.names()
        number = next(number for number in range(2, len(taken) + 3) if f"cause-{number}.json" not in taken)
        for step in cause_steps(order, order.cause, name=f"cause-{number}", time_ns=time.time_ns()):
            run_step(incident, step, patience_s=_WRITE_S)
    finally:
        incident.close()
