"""Whether a panic's news would reach anybody now: the mail servers are greeted and logged in to, the channels made ready."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fimkit.model.advice import Advice, Level
from fimkit.model.config import Config
from fimkit.model.errors import HostError
from fimkit.notify.channels import Channels, load_channels
from fimkit.notify.endpoint import Endpoint, render_endpoint
from fimkit.notify.mail import Mailer, load_mailer, probe_servers

__all__ = ["Reach", "check_reach", "render_endpoints"]

_MAIL, _CHANNELS = "[mail] smtp_server", "[syslog], [webhook]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What was found: servers with their addresses, ready to be kept; and what is the matter, each with its remedy."""

    mailer: Mailer | None
    channels: Channels | None
    advice: tuple[Advice, ...]


def check_reach(config: Config) -> Reach:
    """Resolve, connect, encrypt and log in, and send nothing; each server no longer than ``[mail].deadline_s`` for each of these.

    Args:
        config: Its ``[mail]``, ``[syslog]`` and ``[webhook]``. With ``nomail`` nothing of it keeps a panic from working.
    """
    found = list(_recipients(config))
    mailer, channels = None, None
    if config.mail.smtp_server or not config.mail.nomail:
        try:
            mailer = load_mailer(config)
        except HostError as error:
            found.append(_trap("panic-mail-server", _MAIL, f"{error}.", "name a mail server elsewhere, as mail.example.org:587"))
    if mailer is not None:
        found += _probe(mailer)
    try:
        channels = load_channels(config, deadline_s=config.mail.deadline_s)
    except HostError as error:
        found.append(_trap("panic-channel", _CHANNELS, f"{error}.", "name a server elsewhere, or take the table out"))
    if config.mail.nomail:
        found = [replace(one, level=Level.WARNING) if one.level is Level.TRAP else one for one in found]
    return Reach(mailer=mailer, channels=channels, advice=tuple(found))


def _trap(code: str, where: str, problem: str, remedy: str) -> Advice:
    return Advice(code=code, level=Level.TRAP, where=where, problem=problem, remedy=remedy)


def _recipients(config: Config) -> Iterator[Advice]:
    if config.mail.nomail:
        yield Advice(
            code="panic-nomail",
            level=Level.WARNING,
            where="[mail] nomail",
            problem="nomail is on: a panic writes its mail, and sends none.",
            remedy="in fimkit.toml, under [mail]: nomail = false",
        )
    if not config.mail.panic_recipients:
        yield _trap(
            "panic-recipients",
            "[mail] panic_recipients",
            "there are none: a panic would cut this host off, and nobody would know why.",
            'in fimkit.toml, under [mail]: panic_recipients = ["you@example.org"]',
        )


def _probe(mailer: Mailer) -> Iterator[Advice]:
    outcomes = probe_servers(mailer)
    none_works = not any(one.done for one in outcomes)
    for one in outcomes:
        if one.error is not None:
            yield Advice(
                code="panic-mail-unreachable",
                level=Level.TRAP if none_works else Level.WARNING,
                where=one.name,
                problem=f"this mail server would take nothing now: {one.error} ({one.stage}, after {one.took_s:.1f} s)"
                + ("." if none_works else "; another one would."),
                remedy="see to its name, port, certificate ([mail] ca_file) and login, and to what filters on the way there",
            )


def render_endpoints(reach: Reach) -> list[dict[str, Any]]:
    """Give the servers with the addresses that they have now as objects for JSON: in a panic no name is resolved."""
    endpoints: list[Endpoint] = list(reach.mailer.servers) if reach.mailer else []
    if reach.channels is not None:
        endpoints += [one.endpoint for one in (reach.channels.syslog, reach.channels.webhook) if one is not None]
    return [render_endpoint(one) for one in dict.fromkeys(endpoints)]
