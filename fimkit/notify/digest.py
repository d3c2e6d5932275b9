"""The general mail: when it is due, who gets what in it, and what it says: groups with counts, and a few samples. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fimkit.model.config import Config, Watch
from fimkit.model.findings import Finding, Verdict
from fimkit.model.paths import is_below, render_path
from fimkit.model.time import render_time
from fimkit.notify.compose import render_counts, render_one, weigh
from fimkit.notify.message import Letter, attach_findings, render_word

__all__ = ["Digest", "compose_digest", "due_ns", "pause_s", "plan_digests", "readers_of"]

_GROUPS, _SAMPLES, _WHOLE = 40, 3, 10
_PATH_CHARS = 300
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 60, 3600
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One mail: who gets it, and what is in it."""

    recipients: tuple[str, ...]
    findings: tuple[Finding, ...]


def due_ns(*, oldest_ns: int | None, last_ns: int | None, digest_s: int) -> int | None:
    """Tell when the next general mail is due: it waits for what else comes, so that a burst is one mail.

    Args:
        oldest_ns: When the oldest finding that waits came; ``None`` where none waits.
        last_ns: When the last mail was made, if ever.
        digest_s: ``[mail].digest_s``.

    >>> due_ns(oldest_ns=100 * 10**9, last_ns=None, digest_s=300) // 10**9, due_ns(oldest_ns=None, last_ns=5, digest_s=300)
    (400, None)
    """
    if oldest_ns is None:
        return None
    return max(oldest_ns, last_ns or 0) + digest_s * _NS


def pause_s(tries: int) -> int:
    """Tell how long to wait after so many vain tries.

    >>> [pause_s(tries) for tries in (1, 2, 3, 20)]
    [60, 120, 240, 3600]
    """
    return min(_FIRST_PAUSE_S << min(tries - 1, 16), _LONGEST_PAUSE_S)


def _watch_of(path: bytes, watches: Sequence[Watch]) -> Watch | None:
    """Give the innermost watched path that this one is in."""
    return max((one for one in watches if is_below(path, one.path)), key=lambda one: len(one.path), default=None)


def readers_of(finding: Finding, config: Config) -> tuple[str, ...]:
    """Give who hears of a finding: the general recipients, and those of the path that it, or where it went, is in."""
    paths = [path for path in (finding.path, finding.moved_to) if path is not None]
    watches = [watch for path in paths if (watch := _watch_of(path, config.paths))]
    own = [address for watch in watches for address in watch.notify]
    return tuple(dict.fromkeys([*config.mail.general_recipients, *own]))


def plan_digests(findings: Sequence[Finding], config: Config) -> tuple[Digest, ...]:
    """Share findings out: those who hear of the same ones get the same mail, and nobody gets two.

    Args:
        findings: That wait, in any order.
        config: Its ``[mail]`` and the ``notify`` of each path.

    Returns:
        The mails; a finding that nobody is to hear of is in none.
    """
    heard: dict[str, list[int]] = {}
    for number, finding in enumerate(findings):
        for address in readers_of(finding, config):
            heard.setdefault(address, []).append(number)
    shared: dict[tuple[int, ...], list[str]] = {}
    for address, numbers in heard.items():
        shared.setdefault(tuple(numbers), []).append(address)
    return tuple(
        Digest(recipients=tuple(addresses), findings=tuple(findings[number] for number in numbers))
        for numbers, addresses in shared.items()
    )


def _folder(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


def _writer(finding: Finding) -> str:
    if not finding.actors:
        return "nobody recorded"
    actor = finding.actors[0]
    return f"{render_path(actor.exe) if actor.exe else '?'} (uid {'?' if actor.uid is None else actor.uid})"


def _groups(ordered: Sequence[Finding]) -> Mapping[tuple[str, str, bytes, str], list[Finding]]:
    groups: dict[tuple[str, str, bytes, str], list[Finding]] = {}
    for finding in ordered:
        key = (finding.severity.value, finding.kind.value, _folder(finding.path), _writer(finding))
        groups.setdefault(key, []).append(finding)
    return groups


def _shown(path: bytes) -> str:
    text = render_word(render_path(path))
    return text if len(text) <= _PATH_CHARS else f"…{text[1 - _PATH_CHARS:]}"


def _render_groups(groups: Mapping[tuple[str, str, bytes, str], list[Finding]]) -> Iterator[str]:
    for (severity, kind, folder, writer), members in list(groups.items())[:_GROUPS]:
        yield f"{len(members):>6} {severity} {kind} in {_shown(folder)} by {render_word(writer)[:_PATH_CHARS]}"
        yield from (f"         {_shown(finding.path)}" for finding in members[:_SAMPLES])
        if len(members) > _SAMPLES:
            yield f"         and {len(members) - _SAMPLES} more"
    left = list(groups.values())[_GROUPS:]
    if left:
        yield f"{sum(map(len, left)):>6} more in {len(left)} more groups"


def _subject(findings: Sequence[Finding]) -> str:
    verdicts = Counter(finding.verdict for finding in findings)
    number, words = (
        (verdicts[Verdict.SUSPECT], "suspicious file") if verdicts[Verdict.SUSPECT]
        else (verdicts[Verdict.UNEXPLAINED], "unexplained change") if verdicts[Verdict.UNEXPLAINED]
        else (len(findings), "expected change")
    )
    return f"{number} {words}{'' if number == 1 else 's'}"


def compose_digest(host: str, addresses: Sequence[str], findings: Sequence[Finding], *, folded: int = 0) -> Letter:
    """Write a general mail.

    Args:
        host: Its name.
        addresses: Of the host; the first one is in the subject.
        findings: At least one, in any order.
        folded: How many more there were that are not here one by one.
    """
    ordered = weigh(findings)
    attachment, attached = attach_findings(ordered)
    first, last = min(one.first_seen_ns for one in ordered), max(one.last_seen_ns for one in ordered)
    place = f"{host} ({addresses[0]})" if addresses else host
    lines = [
        f"{render_word(place)}: {render_counts(ordered)}",
        f"from {render_time(first)} to {render_time(last)}; {attached}",
        *([f"{folded} more came than are kept for a mail: `fimkit report` on the host has them all"] if folded else []),
        "",
        *_render_groups(_groups(ordered)),
    ]
    for finding in ordered[:_WHOLE]:
        lines += ["", *render_one(finding)]
    if len(ordered) > _WHOLE:
        lines += ["", f"The {_WHOLE} weightiest are told in full."]
    return Letter(
        subject=f"[fimkit] {place} {_subject(ordered)}",
        text="\n".join(lines) + "\n",
        attachments=(attachment,) if attachment else (),
        headers={"X-Fimkit-Host": host},
    )
