"""What the letters say: what changed, who did it, when, what was done and what happens next. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fimkit.model.changes import Actor
from fimkit.model.findings import Finding, Kind, Severity
from fimkit.model.paths import render_path
from fimkit.model.states import TIMES_ONLY, FileState
from fimkit.model.time import render_time
from fimkit.notify.message import Letter, attach_findings, render_word

__all__ = ["PanicNews", "compose_notice", "compose_panic", "render_counts", "render_one", "weigh"]

_SAMPLE = 20
_LINE_CHARS = 900       # RFC 5322 has 998; a path can have 4096
_ACTORS = 3
_REASONS = 8             # of a suspicious file: its rules, its writer, its upload


@dataclass(frozen=True, slots=True, kw_only=True)
class PanicNews:
    """What there is to tell of a panic.

    ``done`` and ``next_steps`` are sentences in the order of time; ``folder`` is where the evidence is on the host. ``test``: it is
    none, and everything that is told says so first. ``heads`` are the evidence chain's, and the key of this host's bundles.
    """

    host: str
    addresses: tuple[str, ...]
    incident: str
    cause: str
    triggered_ns: int
    findings: tuple[Finding, ...]
    done: tuple[str, ...]
    next_steps: tuple[str, ...]
    folder: bytes
    test: bool = False
    heads: tuple[str, ...] = ()


def _path(path: bytes) -> str:
    return _line(render_word(render_path(path)))


def _line(text: str, most: int = _LINE_CHARS) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 3]}…{text[-(most - most // 3 - 1):]}"


def weigh(findings: Sequence[Finding]) -> list[Finding]:
    """Order findings: the most severe first, then by path."""
    return sorted(findings, key=lambda one: (-one.severity.rank, one.path, one.id))


def render_counts(findings: Sequence[Finding]) -> str:
    """Count findings by severity and kind.

    >>> render_counts([])
    'no findings'
    """
    if not findings:
        return "no findings"
    severities = Counter(one.severity for one in findings)
    kinds = Counter(one.kind for one in findings)
    parts = [f"{severities[one]} {one.value}" for one in reversed(list(Severity)) if severities[one]]
    what = [f"{kinds[one]} {one.value}" for one in Kind if kinds[one]]
    plural = "" if len(findings) == 1 else "s"
    return f"{len(findings)} finding{plural}: {', '.join(parts)} ({', '.join(what)})"


def render_one(finding: Finding) -> Iterator[str]:
    """Write one finding as lines of a letter: whole hashes, old and new, and who.

    Yields:
        Lines without their ends; the first one is not indented.
    """
    yield f"{finding.severity.value.upper()}  {finding.kind.value}  {_path(finding.path)}"
    if finding.moved_to is not None:
        yield f"    now at      {_path(finding.moved_to)}"
    yield f"    verdict     {finding.verdict.value}, {finding.tier.value} tier"
    seen = {render_time(finding.first_seen_ns): "first seen", render_time(finding.last_seen_ns): "last seen"}
    yield f"    when        {', '.join(f'{words} {time}' for time, words in seen.items())}"
    yield from _render_states(finding)
    yield f"    who         {finding.attribution.value}" + ("" if finding.actors else ": nobody recorded")
    for actor in finding.actors[:_ACTORS]:
        yield from _render_actor(actor)
    if len(finding.actors) > _ACTORS:
        yield f"                and {len(finding.actors) - _ACTORS} more"
    for reason in finding.reasons[:_REASONS]:
        yield f"    because     {_line(render_word(reason))}"


def _render_states(finding: Finding) -> Iterator[str]:
    before, after = finding.before, finding.after
    if before is None or after is None:
        for label, state in (("was", before), ("is", after)):
            if state is not None:
                yield f"    {label:<11} {_describe(state)}"
                yield from (f"    {'':<11} sha256 {state.sha256}" for _ in range(state.sha256 is not None))
        return
    for name in [one for one in finding.changed if one not in TIMES_ONLY] or finding.changed:
        if name == "sha256":
            yield f"    sha256 old  {before.sha256}"
            yield f"    sha256 new  {after.sha256}"
        else:
            yield f"    {name:<11} {_value(before, name)} -> {_value(after, name)}"


def _describe(state: FileState) -> str:
    parts = [state.type.value]
    parts += [f"mode {state.mode:04o}"] if state.mode is not None else []
    parts += [f"owner {state.uid}:{state.gid}"] if state.uid is not None else []
    parts += [f"{state.size} bytes"] if state.size is not None else []
    parts += [f"to {_path(state.target)}"] if state.target is not None else []
    return ", ".join(parts)


def _value(state: FileState, name: str) -> str:
    value = getattr(state, name)
    if value is None:
        return "?"
    if name == "mode":
        return f"{value:04o}"
    if name in ("mtime_ns", "ctime_ns"):
        return render_time(value)
    if name == "xattrs":
        return _line(render_word(", ".join(sorted(value)))) or "none"
    return _path(value) if isinstance(value, bytes) else _line(render_word(str(value)))


def _render_actor(actor: Actor) -> Iterator[str]:
    login = "no login" if actor.auid is None else f"login {render_word(actor.user or '?')} (auid {actor.auid})"
    program = "?" if actor.exe is None else _path(actor.exe)
    yield f"                {login}, uid {actor.uid}, euid {actor.euid}, pid {actor.pid}, ppid {actor.ppid}, {program}"
    terminal = f", tty {render_word(actor.tty)}" if actor.tty else ""
    yield f"                at {render_time(actor.time_ns)}, {render_word(actor.syscall or '?')}{terminal}, event {actor.event}"
    if actor.cmdline:
        words = "command" if actor.cmdline_verified else "command (not verified)"
        yield f"                {words}: {_line(render_word(actor.cmdline))}"


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", title, *(f"  {_line(render_word(line))}" for line in lines))


def _place(host: str, addresses: Sequence[str]) -> str:
    return f"{host} ({addresses[0]})" if addresses else host


def compose_panic(news: PanicNews) -> Letter:
    """Write the letter of a panic: a sample of the findings in words, all of them attached.

    Args:
        news: What there is to tell.
    """
    ordered = weigh(news.findings)
    attachment, attached = attach_findings(ordered)
    what = f"{render_counts(ordered)}: {_path(ordered[0].path)} {ordered[0].kind.value}" if ordered else news.cause
    lines = [
        *(["THIS IS A TEST: nothing is cut.", ""] if news.test else []),
        f"PANIC on {render_word(_place(news.host, news.addresses))}",
        "",
        f"Cause      {_line(render_word(news.cause))}",
        f"When       {render_time(news.triggered_ns)}",
        f"Incident   {render_word(news.incident)}",
        f"Addresses  {', '.join(map(render_word, news.addresses)) or 'not known'}",
        f"Found      {render_counts(ordered)}; {attached}",
        f"Evidence   {_path(news.folder)} on the host",
        *news.heads,
        *_section("What was done", news.done),
        *_section("What happens next", news.next_steps),
        *_sample(ordered),
    ]
    return Letter(
        subject=f"{'[TEST] ' if news.test else ''}[fimkit] {_place(news.host, news.addresses)} PANIC {what}",
        text="\n".join(lines) + "\n",
        attachments=(attachment,) if attachment else (),
        headers={"X-Fimkit-Incident": news.incident, "X-Fimkit-Host": news.host, "Importance": "high"},
    )


def _sample(ordered: Sequence[Finding]) -> Iterator[str]:
    for finding in ordered[:_SAMPLE]:
        yield ""
        yield from render_one(finding)
    if len(ordered) > _SAMPLE:
        yield ""
        yield f"and {len(ordered) - _SAMPLE} more, of which: {render_counts(ordered[_SAMPLE:])}"


def compose_notice(host: str, subject: str, sentences: Sequence[str]) -> Letter:
    """Write a short letter without findings: that a host was disarmed, a change announced, a watch stopped.

    Args:
        host: Its name.
        subject: What happened, in a few words.
        sentences: What there is to say, a line each.
    """
    text = "".join(f"{_line(render_word(sentence))}\n" for sentence in sentences)
    return Letter(subject=f"[fimkit] {host} {subject}", text=text, headers={"X-Fimkit-Host": host})
