"""The evidence chain of a host: its head, whether the store still agrees with it, and what a check makes of it if not."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fimkit.evidence.chain_verify import Broken, ChainVerdict
from fimkit.evidence.connection import store_path
from fimkit.evidence.folder import check_private_file
from fimkit.evidence.reader import open_reader
from fimkit.evidence.store import Store
from fimkit.model.chain import Head, parse_head, render_head
from fimkit.model.config import Config
from fimkit.model.errors import HostError, UsageError
from fimkit.model.findings import Finding, Tier
from fimkit.model.paths import render_path
from fimkit.model.time import render_time
from fimkit.verbs.own_findings import find_tampering

__all__ = [
    "HEAD_FILE", "find_chain_findings", "has_seen_chain", "load_head", "note_head", "render_broken", "render_verdict",
    "verify_evidence",
]  # fmt: skip

HEAD_FILE = b"evidence-head.json"
_POINT_BYTES = 4096
_WHOLE_NS = 86_400 * 1_000_000_000
_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """How far the chain was verified, when the whole of it was, and where it ended when that look had stored what it found."""

    head: Head
    whole_ns: int
    last: Head | None = None

    @property
    def heads(self) -> list[Head]:
        """All that was seen of the chain."""
        return [self.head, *([] if self.last is None else [self.last])]


def load_head(state_dir: bytes) -> Head | None:
    """Read the last link of a state folder's store; nothing where there is none yet.

    Raises:
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read.
    """
    with open_reader(state_dir) as reader:
        return reader.head()


def verify_evidence(state_dir: bytes, heads: Sequence[str] = ()) -> ChainVerdict:
    """Verify the whole store of a state folder, or of a copy of one; only reads.

    Args:
        state_dir: The folder.
        heads: Heads that were seen elsewhere, as mails, logs and exports carry them.

    Raises:
        UsageError: If one of them is none.
        StoreError: If there is no store, or it cannot be used.
        HostError: If it may not be read.
    """
    parsed = [parse_head(text) for text in heads]
    with open_reader(state_dir, deadline_s=86_400.0) as reader:
        return reader.verify_chain(heads=parsed)


def render_verdict(verdict: ChainVerdict) -> dict[str, Any]:
    """Give what verifying came to as an object for JSON."""
    unsure = verdict.unsure
    return {
        "whole": not verdict.broken,
        "head": None if verdict.head is None else render_head(verdict.head),
        "first": verdict.first,
        "links": verdict.links,
        "rows": verdict.rows,
        "broken": [render_broken(one) for one in verdict.broken],
        "unsure": None if unsure is None else {"first": unsure[0], "last": unsure[1]},
        "notes": list(verdict.notes),
    }


def render_broken(one: Broken) -> dict[str, Any]:
    """Give one thing that is not as the chain has it as an object for JSON."""
    return {"link": one.seq, "time": None if one.time_ns is None else render_time(one.time_ns), "words": one.words}


def find_chain_findings(config: Config, store: Store, *, now_ns: int | None = None) -> tuple[list[Finding], list[str]]:
    """Verify what was stored since the last time, and once a day everything; what does not hold is a finding.

    The caller holds the state folder's lock. How far it was verified is kept in a file of its own beside the store, so that an end
    that is cut off with its counter shows here, too.

    Returns:
        The findings, and words.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    state_dir = config.host.state_dir
    point, words = _load_point(state_dir)
    is_due = point is None or not 0 <= now_ns - point.whole_ns < _WHOLE_NS
    verdict = store.verify_chain(after=None if is_due or point is None else point.head, heads=point.heads if point else [])
    if verdict.broken:
        return list(_findings(config, verdict, now_ns)), words
    if verdict.head is not None and (point is None or is_due or verdict.head != point.head):
        whole_ns = now_ns if is_due or point is None else point.whole_ns
        words += _save_point(state_dir, _Point(head=verdict.head, whole_ns=whole_ns, last=None if point is None else point.last))
    return [], words


def note_head(config: Config, store: Store) -> list[str]:
    """Keep where the chain ends now that a look has stored what it found: what is cut off before the next look shows in that.

    For a look that found the chain whole: of one that is broken, what was seen before is what proves it.

    Returns:
        Words on what kept it from being written.
    """
    point, last = _load_point(config.host.state_dir)[0], store.head()
    if point is None or last in (None, point.last):
        return []
    return _save_point(config.host.state_dir, replace(point, last=last))


def _findings(config: Config, verdict: ChainVerdict, now_ns: int) -> Iterator[Finding]:
    """Make findings of what is broken. An older copy of the store may have been put back by who keeps it: that starts no panic."""
    unsure = verdict.unsure
    later = [f"links {unsure[0]} to {unsure[1]} came later and prove nothing of what was before"] if unsure else []
    for one in verdict.broken[:_NAMED]:
        time_ns = now_ns if one.time_ns is None else min(one.time_ns, now_ns)
        yield find_tampering(
            config.host.name, store_path(config.host.state_dir), key=f"chain {one.key}",
            tier=Tier.WATCH if one.is_end else Tier.CRITICAL,
            reasons=(f"the evidence store does not agree with its chain: {one.words}", *later, *_more(verdict)),
            time_ns=time_ns,
        )  # fmt: skip


def _more(verdict: ChainVerdict) -> list[str]:
    left = len(verdict.broken) - _NAMED
    return [f"and {left} more; `fimkit evidence verify` names them"] if left > 0 else []


def has_seen_chain(state_dir: bytes) -> bool:
    """Tell whether a check ever verified a chain in this state folder."""
    return _load_point(state_dir)[0] is not None


def _load_point(state_dir: bytes) -> tuple[_Point | None, list[str]]:
    path = os.path.join(state_dir, HEAD_FILE)
    try:
        check_private_file(path)
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            said = json.loads(file.read(_POINT_BYTES))
        last = parse_head(said["last"]) if "last" in said else None
        return _Point(head=parse_head(said["head"]), whole_ns=int(said["whole_ns"]), last=last), []
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError, HostError, RecursionError) as error:
        return None, [f"{render_path(path)} cannot be read ({_why(error)}): the whole evidence chain is verified"]


def _save_point(state_dir: bytes, point: _Point) -> list[str]:
    """Write it in place, so that no name comes and goes in a state folder that is watched; half of one is read as none."""
    path = os.path.join(state_dir, HEAD_FILE)
    last = {} if point.last is None else {"last": render_head(point.last)}
    text = json.dumps({"head": render_head(point.head), "whole_ns": point.whole_ns, **last}).encode() + b"\n"
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        with open(number, "wb", closefd=True) as file:  # opened without O_TRUNC: only now is it known to be a file of our own
            check_private_file(path)
            file.write(text)
            file.truncate()
    except (HostError, OSError) as error:
        return [f"{render_path(path)} cannot be written ({_why(error)}): the next check verifies the whole evidence chain"]
    return []


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
