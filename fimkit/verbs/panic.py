"""What a person does with the panic of this host beside arming it: disarm, try, trigger, restore."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from fimkit.evidence.store import open_shared_store
from fimkit.model.config import Config
from fimkit.model.config_json import thaw
from fimkit.model.errors import HostError, StoreError, UsageError
from fimkit.model.findings import Finding, Severity
from fimkit.panic.helper_client import RestoreReply, start_helper
from fimkit.panic.record import PanicRecord, Phase, load_record
from fimkit.panic.rights import drop_rights, held_rights
from fimkit.verbs.panic_armed import parse_endpoints
from fimkit.verbs.panic_link import LastingHelper
from fimkit.verbs.panic_notices import send_notice
from fimkit.verbs.panic_order import KEPT_RIGHTS, PanicOrder, PanicReport, name_incident
from fimkit.verbs.panic_run import run_panic
from fimkit.verbs.panic_view import PanicView

__all__ = ["Triggered", "disarm", "restore", "take_runners_rights", "trigger", "try_panic"]

_STORE_S = 2.0  # a store that is locked keeps nobody waiting in a panic

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """What came of a panic by hand; ``report`` is ``None`` where one had begun before, and the reason was added to it."""

    report: PanicReport | None
    incident: str


def disarm(config: Config, *, by: str) -> str | None:
    """Disarm this host, and tell the panic recipients.

    Args:
        config: The file's.
        by: Who it is.

    Returns:
        What came of the notice, in words; ``None`` where there was nothing to disarm.

    Raises:
        UsageError: While a panic goes on.
        HostError: If there is no helper, or it refuses.
    """
    record = load_record(config.host.state_dir)
    if record.phase is Phase.DISARMED:
        return None
    if record.has_begun:
        raise UsageError(f"a panic goes on (phase {record.phase}): fimkit panic restore first")
    with start_helper(config.host.state_dir) as helper:
        helper.disarm(by=by)
    lines = [f"The panic of this host was disarmed by {by}.", "What changes is told, and cuts nothing any more."]
    return send_notice(config, record, "disarmed", lines)


def _armed(config: Config) -> PanicRecord:
    record = load_record(config.host.state_dir)
    if record.phase is not Phase.ARMED and not record.has_begun:
        raise UsageError(f"this host is not armed (phase {record.phase}): fimkit panic arm first; fimkit panic test is for a trial")
    return record


def trigger(config: Config, reason: str, *, by: str, nomail: bool, nokill: bool, tell: Tell) -> Triggered:
    """Panic now. From the begin on no signal of a terminal ends it.

    Args:
        config: The file's; what was frozen at arming counts.
        reason: Why.
        by: Who it is.
        nomail: Write the mail, and send none.
        nokill: Cut nothing.
        tell: Is given words as it goes on.

    Raises:
        UsageError: If this host is not armed.
        HostError: If no helper is to be had: nothing was begun then.
    """
    if not reason.strip():
        raise UsageError("--reason is empty: whoever reads of this panic should know why")
    record = _armed(config)
    cause, name = f"by hand, {by}: {reason.strip()}", name_incident(time.time_ns())
    frozen = thaw(config, record.settings)
    helper = LastingHelper(config.host.state_dir)
    helper.start(include_namespaces=frozen.panic.include_namespaces)
    with closing(helper), _undisturbed():
        if record.has_begun:
            helper.begin(record.incident, cause, nokill=nokill, armed_ns=record.armed_ns)
            return Triggered(report=None, incident=record.incident)
        order = PanicOrder(
            config=frozen, incident=name, cause=cause, findings=_open_critical(config), nomail=nomail or frozen.mail.nomail,
            nokill=nokill or frozen.panic.nokill, endpoints=parse_endpoints(record.settings), armed_ns=record.armed_ns,
        )
        report = run_panic(order, helper, tell=tell)
        return Triggered(report=report, incident=report.incident)


def take_runners_rights() -> None:
    """Give up, for good, what the panic's runner has not got: a trial is to fail here where the panic would.

    Raises:
        HostError: If the kernel refuses.
    """
    held = held_rights()
    drop_rights([name for name in KEPT_RIGHTS if name in held])


def try_panic(view: PanicView, *, by: str, nomail: bool, tell: Tell) -> PanicReport:
    """Do everything but the cut, for real, by the configuration that a panic would go by now; phases stay as they are.

    Args:
        view: How it stands.
        by: Who it is.
        nomail: Write the mail, and send none.
        tell: Is given words as it goes on.
    """
    config, known = view.config, view.record.settings if view.record and view.armed else {}
    order = PanicOrder(
        config=config, incident=name_incident(time.time_ns()) + "-test", cause=f"a test, by {by}", findings=_open_critical(config),
        nomail=nomail or config.mail.nomail, test=True, endpoints=parse_endpoints(known),
    )
    return run_panic(order, None, tell=tell)


def restore(state_dir: bytes, *, by: str) -> RestoreReply | None:
    """Put the network back as it was before the cut.

    Args:
        state_dir: Where the record is; nothing else of a configuration is needed.
        by: Who it is.

    Returns:
        What was put back and what not; ``None`` where nothing was cut.

    Raises:
        HostError: If no helper is to be had, or it refuses.
    """
    try:
        if load_record(state_dir).phase in (Phase.DISARMED, Phase.ARMED):
            return None
    except HostError:
        pass  # a damaged record is the helper's to judge
    with start_helper(state_dir) as helper:
        return helper.restore(by=by)


def _open_critical(config: Config) -> tuple[Finding, ...]:
    """Give what is open and critical, for the evidence; nothing where the store does not answer in a moment."""
    found = list[tuple[Finding, ...]]()

    def read() -> None:
        try:
            with open_shared_store(config.host.state_dir) as store:
                found.append(tuple(one for one in store.findings() if one.severity is Severity.CRITICAL))
        except (StoreError, HostError):
            return  # a panic by hand goes on without

    thread = threading.Thread(target=read, name="fimkit open findings", daemon=True)
    thread.start()
    thread.join(_STORE_S)
    return found[0] if found else ()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no terminal's end and no Ctrl-C stop what has begun: the cut itself may end the connection of who asked for it."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
