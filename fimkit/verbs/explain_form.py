"""The question that a watch asks about packages, and the answer, as plain values between two processes of its own. Pure.

They are marshalled rows, which take a sixth of the time of JSON: a watch does nothing else while it writes and reads the
thousands of findings of an upgrade. Only plain values can come out of them, and each is given its type again here.
"""

import marshal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from fimkit.evidence.pin_rows import PinsRow
from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.config import Config
from fimkit.model.config_json import parse_config_row, render_config
from fimkit.model.findings import Attribution, ContentMark, Finding, Kind, Severity, Tier, Verdict
from fimkit.model.states import FileState, FileType
from fimkit.verbs.explain import Explanation

if TYPE_CHECKING:
    from fimkit.packages.pins import PinnedKey
    from fimkit.packages.proof import Proof

__all__ = ["Question", "parse_answer", "parse_question", "render_answer", "render_question"]

Row = tuple[Any, ...]

_ACTOR = tuple(field.name for field in fields(Actor))
_MARK = tuple(field.name for field in fields(ContentMark))
_CHANGE = tuple(field.name for field in fields(Change))
_get_actor: Callable[[Actor], Row] = attrgetter(*_ACTOR)
_get_mark: Callable[[ContentMark], Row] = attrgetter(*_MARK)
_get_change: Callable[[Change], Row] = attrgetter(*_CHANGE)
_word = str.__str__


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What :func:`fimkit.verbs.explain.explain` takes."""

    config: Config
    findings: tuple[Finding, ...]
    pins: PinsRow | None
    was_open: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = ()


def render_question(question: Question) -> bytes:
    """Write a question."""
    pins = question.pins
    return marshal.dumps((
        render_config(question.config),
        list(map(_finding_row, question.findings)),
        None if pins is None else (dict(pins.body), pins.who, pins.time_ns),
        list(map(_finding_row, question.was_open)),
        list(map(_change_row, question.changes)),
    ))  # fmt: skip


def parse_question(text: bytes) -> Question:
    """Read what :func:`render_question` wrote.

    Raises:
        ValueError: If it is something else.
    """
    try:
        config, findings, pins, was_open, changes = marshal.loads(text)
        return Question(
            config=parse_config_row(config),
            findings=tuple(map(_finding, findings)),
            pins=None if pins is None else PinsRow(body=pins[0], who=pins[1], time_ns=pins[2]),
            was_open=tuple(map(_finding, was_open)),
            changes=tuple(map(_change, changes)),
        )
    except (EOFError, LookupError, TypeError) as error:
        raise ValueError(f"no question: {error!r}") from error


def render_answer(answer: Explanation) -> bytes:
    """Write an answer."""
    return marshal.dumps((
        list(map(_finding_row, answer.findings)),
        list(answer.words),
        list(map(_proof_row, answer.proofs)),
        list(map(tuple, answer.keys)),
        answer.pinned_ns,
    ))  # fmt: skip


def parse_answer(text: bytes) -> Explanation:
    """Read what :func:`render_answer` wrote.

    Raises:
        ValueError: If it is something else.
    """
    try:
        findings, words, proofs, keys, pinned_ns = marshal.loads(text)
        return Explanation(
            findings=list(map(_finding, findings)), words=tuple(words), proofs=tuple(map(_proof, proofs)),
            keys=tuple(map(_key, keys)), pinned_ns=pinned_ns,
        )  # fmt: skip
    except (EOFError, LookupError, TypeError) as error:
        raise ValueError(f"no answer: {error!r}") from error


def _state_row(state: FileState | None) -> Row | None:
    return None if state is None else tuple(state._replace(type=_word(state.type)))  # type: ignore[arg-type]


def _state(row: Row | None) -> FileState | None:
    return None if row is None else FileState(row[0], FileType(row[1]), *row[2:])


def _actor(row: Sequence[Any]) -> Actor:
    return Actor(**dict(zip(_ACTOR, row, strict=True)))


def _finding_row(finding: Finding) -> Row:
    return (
        finding.id, finding.host, finding.path, _word(finding.kind), _word(finding.tier), _word(finding.severity),
        _word(finding.verdict), finding.changed, _state_row(finding.before), _state_row(finding.after), finding.moved_to,
        list(map(_get_actor, finding.actors)), _word(finding.attribution), finding.reasons, list(map(_word, finding.sources)),
        finding.first_seen_ns, finding.last_seen_ns, finding.evidence,
        None if finding.content is None else list(map(_get_mark, finding.content)),
    )  # fmt: skip


def _finding(row: Row) -> Finding:
    (number, host, path, kind, tier, severity, verdict, changed, before, after, moved_to, actors, attribution, reasons, sources,
     first_ns, last_ns, evidence, content) = row  # fmt: skip
    return Finding(
        id=number, host=host, path=path, kind=Kind(kind), tier=Tier(tier), severity=Severity(severity), verdict=Verdict(verdict),
        changed=changed, before=_state(before), after=_state(after), moved_to=moved_to, actors=tuple(map(_actor, actors)),
        attribution=Attribution(attribution), reasons=reasons, sources=tuple(map(Source, sources)), first_seen_ns=first_ns,
        last_seen_ns=last_ns, evidence=evidence,
        content=None if content is None else tuple(ContentMark(**dict(zip(_MARK, mark, strict=True))) for mark in content),
    )  # fmt: skip


def _change_row(change: Change) -> Row:
    source, action, *rest = _get_change(change)
    actor = None if change.actor is None else _get_actor(change.actor)
    return (_word(source), _word(action), actor, [None if value is change.actor else value for value in rest])


def _change(row: Row) -> Change:
    source, action, actor, rest = row
    values = dict(zip(_CHANGE, (Source(source), Action(action), *rest), strict=True))
    return Change(**values | {"actor": None if actor is None else _actor(actor)})


def _proof_row(proof: "Proof") -> Row:
    return (
        proof.path, sorted(proof.proved), proof.package, proof.version, proof.architecture, proof.older, proof.archive_sha256,
        proof.reasons,
    )  # fmt: skip


def _proof(row: Row) -> "Proof":
    from fimkit.packages.proof import Proof

    path, proved, package, version, architecture, older, sha256, reasons = row
    return Proof(
        path=path, proved=frozenset(proved), package=package, version=version, architecture=architecture, older=older,
        archive_sha256=sha256, reasons=reasons,
    )  # fmt: skip


def _key(row: Row) -> "PinnedKey":
    from fimkit.packages.pins import PinnedKey

    return PinnedKey(*row)
