"""What a panic says of itself: the cause, what was done and what happens next, for the letter, the log and the report. Pure."""

from collections.abc import Sequence
from typing import Any

from fimkit.model.config import Config
from fimkit.model.json_form import render_finding
from fimkit.model.time import render_time
from fimkit.notify.alarm import AlarmReceipt
from fimkit.notify.compose import render_counts, render_one, weigh
from fimkit.notify.message import render_word
from fimkit.panic.helper_client import CutReply
from fimkit.panic.incident import Status
from fimkit.verbs.panic_order import PanicOrder, StepTime

__all__ = [
    "cut_words",
    "describe_cause",
    "done_words",
    "journal_fields",
    "mail_words",
    "next_words",
    "render_cause",
    "report_lines",
]

_NAMES = 12


def render_cause(order: PanicOrder, cause: str, *, time_ns: int) -> dict[str, Any]:
    """Give a cause as an object for JSON, with every finding whole."""
    return {
        "fimkit_cause": 1,
        "incident": order.incident,
        "host": order.config.host.name,
        "time": render_time(time_ns),
        "cause": render_word(cause),
        "test": order.test,
        "nokill": order.nokill,
        "findings": [render_finding(finding) for finding in weigh(order.findings)],
    }


def describe_cause(order: PanicOrder, cause: str, *, time_ns: int) -> list[str]:
    """Write the cause for people."""
    ordered = weigh(order.findings)
    lines = [f"{render_time(time_ns)}  {render_word(order.config.host.name)}  incident {render_word(order.incident)}"]
    lines += ["this is a test"] if order.test else []
    lines += [f"cause: {render_word(cause)}", render_counts(ordered)]
    for finding in ordered:
        lines += ["", *render_one(finding)]
    return lines


def journal_fields(order: PanicOrder) -> dict[str, str]:
    """Give what the journal keeps beside the words."""
    ordered = weigh(order.findings)
    fields = {"FIMKIT_INCIDENT": render_word(order.incident), "FIMKIT_FINDINGS": str(len(ordered))}
    return fields | ({"FIMKIT_FINDING": ordered[0].id} if ordered else {})


def done_words(steps: Sequence[StepTime]) -> tuple[str, ...]:
    """Say what was done until now: a sentence a step."""
    return tuple(_step_line(step) for step in steps)


def _step_line(step: StepTime) -> str:
    state = "" if step.status is Status.OK else f" {step.status.value}:"
    return f"{step.began_s:6.2f} s  {step.name}:{state} {render_word(step.words)} ({step.took_s:.2f} s)"


def next_words(order: PanicOrder, *, can_cut: bool, due_ns: int) -> tuple[str, ...]:
    """Say what happens next.

    Args:
        order: The panic.
        can_cut: Whether a helper has answered.
        due_ns: When the cut is done at the latest.
    """
    if order.test:
        return ("this was a test: nothing is cut, and the host stays as it was",)
    if order.nokill:
        return ("nokill: nothing is cut; this host stays on the network, look at it",)
    panic = order.config.panic
    if not can_cut:
        return ("THE NETWORK MAY NOT BE CUT: no helper answers on this host (fimkit-panic.service); cut it from outside",)
    words = [f"{_cut_plan(order.config)}, now, and at {render_time(due_ns)} at the latest"]
    words += [f"{len(panic.killswitch)} killswitch command(s) run beside it"] if panic.killswitch else []
    back = f"by itself {panic.restore_after_s} s later, or before by" if panic.restore_after_s else "only by"
    return (*words, f"the network comes back {back} `fimkit panic restore` on the host's console; a reboot does not bring it back")


def _cut_plan(config: Config) -> str:
    panic = config.panic
    if panic.action == "isolate":
        return f"all that this host sends and gets is cut off but for {', '.join(panic.allow)}"
    kept = f", lo and {', '.join(panic.keep_interfaces)}" if panic.keep_interfaces else " lo"
    return f"every network interface goes down but{kept}"


def cut_words(reply: CutReply) -> str:
    """Say what a cut did, in one line."""
    words = [f"{reply.action}: {_names(reply.took_down)} down" if reply.took_down else f"{reply.action}:"]
    words += ["isolated"] if reply.isolated else []
    words += [f"kept {_names(reply.kept)}"] if reply.kept else []
    words += [f"STILL UP: {_names(reply.still_up)}"] if reply.still_up else []
    words += [] if reply.complete else ["NOT COMPLETE"]
    return render_word("; ".join([*words, *reply.errors, *reply.words]))


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def mail_words(receipt: AlarmReceipt, *, asked: int) -> str:
    """Say what came of an alarm, in one line.

    Args:
        receipt: From :func:`fimkit.notify.alarm.send_alarm`.
        asked: How many recipients there are.
    """
    words = [receipt.note] if receipt.note else []
    if receipt.mail is not None:
        words += [f"mail taken for {len(receipt.mail.taken)} of {asked}"]
        words += [f"not for {one}: {why}" for one, why in receipt.mail.refused.items()]
    words += [f"{one.name}: {one.words if one.done else one.error}" for one in receipt.others]
    return render_word("; ".join(words))


def report_lines(row: dict[str, Any], steps: Sequence[StepTime]) -> list[str]:
    """Write a report for people.

    Args:
        row: The same as JSON.
        steps: What was done.
    """
    state = "all was done" if row["complete"] else "NOT ALL WAS DONE"
    lines = [
        f"{'TEST of the panic' if row['test'] else 'Panic'} on {row['host']}: incident {row['incident']}, {state}",
        f"triggered  {row['triggered']}",
        f"cause      {row['cause']}",
        "",
        *done_words(steps),
    ]
    if row["added"]:
        lines += ["", "Came later", *(f"  {one['time']}  {one['cause']}" for one in row["added"])]
    lines += ["", "Evidence (SHA-256, bytes, file, what became of it)"]
    for one in (*row["files"], *row["others"]):
        about = " ".join(filter(None, (one.get("status", ""), one.get("note", ""), one.get("subject", ""))))
        name = render_word(one["file"] or one["step"])
        lines.append(f"  {one['sha256'] or '-':64}  {one['bytes']:>10}  {name}  {render_word(about)}")
    return lines
