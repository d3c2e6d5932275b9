"""Holds findings against the truth of an incident, row by row, as the samples' README reads it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fimkit.model.states import TIMES_ONLY
from fimkit.model.time import parse_time

SLACK_NS = 5_000_000


class Row(NamedTuple):
    """One step: what was done, what is said of it, and where the two differ."""

    step: str
    path: str
    said: str
    wrong: tuple[str, ...]


def _wrong(truth: Mapping[str, Any], finding: Mapping[str, Any]) -> list[str]:
    wrong = []
    for name in ("kind", "attribution", "moved_to"):
        if finding[name] != truth[name]:
            wrong.append(f"{name} is {finding[name]}, not {truth[name]}")
    before, after = ((finding[side] or {}).get("sha256") for side in ("before", "after"))
    if truth["kind"] != "transient" and before != truth["sha256_before"]:
        wrong.append(f"before is {before}, not {truth['sha256_before']}")
    if truth["kind"] not in ("transient", "moved") and after != truth["sha256_after"]:
        wrong.append(f"after is {after}, not {truth['sha256_after']}")
    if truth["attribution"] == "unattributed":
        return wrong + (["it has actors"] if finding["actors"] else []) + ([] if finding["reasons"] else ["it has no reasons"])
    if not finding["actors"]:
        return [*wrong, "it has no actors"]
    head = finding["actors"][0]
    for name in ("auid", "uid", "exe"):
        if head[name] != truth[name]:
            wrong.append(f"{name} is {head[name]}, not {truth[name]}")
    if truth["pid"] is not None and head["pid"] != truth["pid"]:
        wrong.append(f"pid is {head['pid']}, not {truth['pid']}")
    first, last = truth["time_ns"]
    if not first - SLACK_NS <= parse_time(head["time"]) <= last + SLACK_NS:
        wrong.append(f"its time is {head['time']}")
    return wrong


def hold_against(
    truths: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]], aside: Sequence[str] = ()
) -> list[Row]:
    """Compare; ``aside`` are paths that may have findings of their own (folders made on the way, temporary files).

    Returns:
        A row a step, then a row a finding that no step explains.
    """
    rows = []
    by_path: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        by_path.setdefault(finding["path"], []).append(finding)
    for truth in truths:
        found = by_path.get(truth["path"], [])
        said = ", ".join(f"{one['kind']} {one['attribution']}" for one in found) or "-"
        wrong: list[str] = []
        if truth["kind"] == "none":
            wrong = [
                f"{one['kind']} {one['changed']}"
                for one in found
                if one["kind"] != "attributes" or not TIMES_ONLY.issuperset(one["changed"])
            ]
        elif truth["kind"] != "any":
            wrong = _wrong(truth, found[0]) if len(found) == 1 else [f"{len(found)} findings"]
        rows.append(Row(truth["step"], truth["path"], said, tuple(wrong)))
    known = {truth["path"] for truth in truths} | set(aside)
    rows += [Row("(none)", path, found[0]["kind"], ("no step made it",)) for path, found in by_path.items() if path not in known]
    return rows


def render_rows(rows: Sequence[Row]) -> str:
    """Write the table that a test prints."""
    lines = [f"{'STEP':24}{'SAID':28}{'PATH':44}WRONG"]
    lines += [f"{row.step:24}{row.said:28}{row.path[-43:]:44}{'; '.join(row.wrong) or 'ok'}" for row in rows]
    return "\n".join(lines)
