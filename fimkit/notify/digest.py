"""Who gets which findings in one mail: the general recipients all of them, those of a path its own alone. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fimkit.model.config import Config
from fimkit.model.findings import Finding
from fimkit.model.watches import WatchSet

__all__ = ["Digest", "plan_digests"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One mail: who gets it, and what is in it. ``general`` is the one of those who hear of the whole host."""

    recipients: tuple[str, ...]
    findings: tuple[Finding, ...]
    general: bool = False


def _own_readers(finding: Finding, watches: WatchSet) -> tuple[str, ...]:
    paths = [path for path in (finding.path, finding.moved_to) if path is not None]
    found = [watch for path in paths if (watch := watches.watch_of(path, is_folder=True))]
    return tuple(address for watch in found for address in watch.notify)


def plan_digests(findings: Sequence[Finding], config: Config) -> tuple[Digest, ...]:
    """Share findings out: those who hear of the same ones get the same mail, and nobody gets two.

    The general recipients have a mail of their own: what is told of the whole host in it is not for those of one path.

    Args:
        findings: That wait, in any order.
        config: Its ``[mail]`` and the ``notify`` of each path; where a path is a link, what it leads to must be among them.

    Returns:
        The mails; a finding that nobody is to hear of is in none.
    """
    general, watches = tuple(dict.fromkeys(config.mail.general_recipients)), WatchSet(config.paths)
    digests = [Digest(recipients=general, findings=tuple(findings), general=True)] if general and findings else []
    heard: dict[str, list[int]] = {}
    for number, finding in enumerate(findings):
        for address in dict.fromkeys(_own_readers(finding, watches)):
            if address not in general:
                heard.setdefault(address, []).append(number)
    return (*digests, *_shared(heard, findings))


def _shared(heard: Mapping[str, Sequence[int]], findings: Sequence[Finding]) -> list[Digest]:
    shared: dict[tuple[int, ...], list[str]] = {}
    for address, numbers in heard.items():
        shared.setdefault(tuple(numbers), []).append(address)
    return [
        Digest(recipients=tuple(addresses), findings=tuple(findings[number] for number in numbers))
        for numbers, addresses in shared.items()
    ]
