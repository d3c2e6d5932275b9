"""Judges one host of a fleet: a collected folder or archive, a store, or findings; text in, text out, on whatever machine.

The one function that a loop calls, and that Dask calls on its workers: a host's place goes in as text, and all that was found there
comes out as JSON. Nothing of another host is known here, so findings cannot cross hosts.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fimkit.evidence.past_rows import Span
from fimkit.model.errors import FimkitError, clip
from fimkit.model.findings import Finding
from fimkit.model.json_form import parse_finding, render_finding
from fimkit.verbs.archive import open_archive
from fimkit.verbs.archive_parts import CollectedPart, Part

__all__ = ["JudgedPlace", "judge_place", "parse_judged", "state_failure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPlace:
    """What one place gave: the hosts that were judged (none where it is broken), what is open on them, and words."""

    place: str
    hosts: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()


def judge_place(place: str, now_ns: int) -> str:
    """Judge what lies at one place.

    Args:
        place: A collected folder or archive, a state folder, or findings as JSON lines or Parquet.
        now_ns: The present: when a host was looked at whose files do not say it.

    Returns:
        JSON for :func:`parse_judged`. Whatever is wrong with the files is words in it, and never an error: the other hosts are
        not to wait for it, nor to end by it.
    """
    try:
        row = _judge(place, now_ns)
    except FimkitError as error:
        row = {"place": place, "problems": [str(error)]}
    except Exception as error:  # the edge of one host: what nobody thought of in its files ends this host's judgement alone
        row = {"place": place, "problems": [_unforeseen(error)]}
    return json.dumps(row, ensure_ascii=True, separators=(",", ":"))


def _unforeseen(error: BaseException) -> str:
    return f"it could not be judged: {type(error).__name__}: {clip(str(error))}"


def _judge(place: str, now_ns: int) -> dict[str, Any]:
    archive = open_archive(Path(place))
    hosts: dict[str, None] = {}
    findings: list[Finding] = []
    problems: list[str] = []
    for part in archive.parts:
        if isinstance(part, CollectedPart):
            part.look_at(now_ns)
        try:
            found = _open_findings(part)
            hosts |= dict.fromkeys(part.hosts())
        except FimkitError as error:
            problems.append(str(error))
            continue
        findings += found
    return {
        "place": place,
        "hosts": list(hosts),
        "findings": [render_finding(finding) for finding in findings],
        "problems": list(dict.fromkeys([*problems, *archive.problems])),
    }


def _open_findings(part: Part) -> list[Finding]:
    return [row.finding for row in part.findings(Span()) if row.status == "open"]


def parse_judged(text: str) -> JudgedPlace:
    """Read what :func:`judge_place` gave; a worker may be of another version, and its answer is held to the form.

    Raises:
        ValueError: If it is none.
    """
    try:
        row = json.loads(text)
        return JudgedPlace(
            place=str(row["place"]),
            hosts=tuple(map(str, row.get("hosts", ()))),
            findings=tuple(map(parse_finding, row.get("findings", ()))),
            problems=tuple(map(str, row.get("problems", ()))),
        )
    except (KeyError, TypeError, AttributeError, RecursionError, FimkitError) as error:
        raise ValueError(f"no judged host: {type(error).__name__} {clip(str(error))}") from error


def state_failure(place: str, error: BaseException) -> JudgedPlace:
    """Say of a place that its judgement did not come to an end at all: its worker was killed, say."""
    return JudgedPlace(place=place, problems=(_unforeseen(error),))
