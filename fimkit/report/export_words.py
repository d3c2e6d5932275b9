"""A finding in one sentence, for those who read no table: what, where, by whom. Pure."""

from fimkit.model.changes import Actor
from fimkit.model.findings import Attribution, Finding, Kind
from fimkit.model.paths import render_path, render_terminal

__all__ = ["render_sentence", "render_who"]

_DID = {
    Kind.DELETED: "was deleted",
    Kind.CREATED: "was created",
    Kind.MOVED: "was moved",
    Kind.MODIFIED: "was modified",
    Kind.ATTRIBUTES: "has other attributes",
    Kind.ATTEMPTED: "was tried and denied",
    Kind.TRANSIENT: "came and went",
    Kind.TAMPERED: "was tampered with",
    Kind.OVERDUE: "was to change, and did not",
}


def render_who(actor: Actor) -> str:
    """Name a process by its login, or that there was none, and its program."""
    if actor.auid is None:
        login = "no login" if actor.uid is None else f"uid {actor.uid}, no login"
    else:
        login = f"auid {actor.auid}" if actor.user is None else f"{actor.user} (auid {actor.auid})"
    program = actor.exe if actor.exe is not None else actor.comm
    return render_terminal(login if program is None else f"{login} with {render_path(program)}")


def render_sentence(finding: Finding) -> str:
    """Say what was found; every name is escaped."""
    path = render_terminal(render_path(finding.path))
    where = "" if finding.moved_to is None else f" to {render_terminal(render_path(finding.moved_to))}"
    by = f" by {render_who(finding.actors[0])}" if finding.actors else ", by nobody who is known"
    unsure = ", or by another" if finding.actors and finding.attribution is Attribution.AMBIGUOUS else ""
    return f"{finding.severity.value}: {path} {_DID[finding.kind]}{where}{by}{unsure}"
