"""How the panic of this host stands: what the record says, and what the helper answers, each or why not."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

from fimkit.model.config import Config
from fimkit.model.config_json import freeze, thaw
from fimkit.model.errors import ConfigError, HostError
from fimkit.panic.helper_client import Hello, Helper, PlanReply, connect_helper
from fimkit.panic.namespaces import list_namespaces, machine_namespace
from fimkit.panic.record import PanicRecord, Phase, load_record

__all__ = ["IN_FORCE", "PanicView", "load_new_view", "load_panic_view"]

IN_FORCE = (Phase.ARMED, Phase.TRIGGERED, Phase.CUT)
"""The phases in which what was frozen at arming counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicView:
    """What was found out. ``record``, ``hello`` and ``plan`` are ``None`` where they are not to be had, and the words say why.

    ``config`` is the one that a panic would go by: with what was frozen at arming.
    """

    config: Config
    record: PanicRecord | None
    record_problem: str = ""
    hello: Hello | None = None
    plan: PlanReply | None = None
    helper_problem: str = ""

    @property
    def phase(self) -> Phase | None:
        """The phase, where it is known."""
        return self.record.phase if self.record else self.hello.phase if self.hello else None

    @property
    def armed(self) -> bool:
        """Whether this host is armed, or a panic is under way already."""
        return self.phase in IN_FORCE


def load_panic_view(config: Config, helper: Helper | None = None) -> PanicView:
    """Read the record and ask a helper, by what is frozen while this host is armed.

    Args:
        config: The file's.
        helper: One that answers already; else the resident one is asked, if there is one.
    """
    record, problem = _load(config)
    if record is not None and record.phase in IN_FORCE:
        try:
            config = thaw(config, record.settings)
        except ConfigError as error:
            problem = f"what was frozen at arming cannot be read: {error}"
    try:
        with nullcontext(helper) if helper else connect_helper(config.host.state_dir) as asked:
            return _view(config, asked, record, problem)
    except HostError as error:
        return PanicView(config=config, record=record, record_problem=problem, helper_problem=str(error))


def load_new_view(config: Config, helper: Helper | None) -> PanicView:
    """Read the record and ask a helper that answers already, by what the file says now, whatever is frozen.

    Args:
        config: The file's.
        helper: The helper, if there is one.
    """
    record, problem = _load(config)
    if helper is None:
        return PanicView(config=config, record=record, record_problem=problem)
    try:
        return _view(config, helper, record, problem)
    except HostError as error:
        return PanicView(config=config, record=record, record_problem=problem, helper_problem=str(error))


def _load(config: Config) -> tuple[PanicRecord | None, str]:
    try:
        return load_record(config.host.state_dir), ""
    except HostError as error:
        return None, str(error)


def _view(config: Config, helper: Helper, record: PanicRecord | None, problem: str) -> PanicView:
    hello, plan = helper.hello(), helper.plan(freeze(config))
    if hello.namespace == machine_namespace().inode:
        plan = _with_others(plan, config)
    return PanicView(config=config, record=record, record_problem=problem, hello=hello, plan=plan)


def _with_others(plan: PlanReply, config: Config) -> PlanReply:
    """Add the other network namespaces that can be seen from here: a helper that may only cut sees no other process's."""
    try:
        places = list_namespaces().places
    except (HostError, OSError):
        return plan
    named = " ".join(plan.namespaces).split()
    more = tuple(str(place) for place in places if str(place.namespace.inode) not in named)
    if not more:
        return plan
    why = "the helper does not see them" if config.panic.include_namespaces else "include_namespaces is false"
    warning = f"not cut, as {why}: {', '.join(more)}"
    return replace(plan, namespaces=(*plan.namespaces, *more), warnings=(*plan.warnings, warning))
