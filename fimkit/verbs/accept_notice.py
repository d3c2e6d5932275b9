"""Has the panic recipients of an armed host told what was taken as good: by whom, why, and which paths."""

from collections.abc import Sequence

from fimkit.model.config import Config
from fimkit.model.paths import render_path
from fimkit.verbs.panic_notices import notify_if_armed

__all__ = ["notify_accepted", "notify_pinned", "notify_recreated"]

_NAMED = 50


def _by(who: str, why: str) -> str:
    return f"By {who}, with the reason: {why}." if why else f"By {who}, who gave no reason."


def notify_accepted(config: Config, paths: Sequence[bytes], *, who: str, why: str) -> str | None:
    """Tell that findings and differences were taken into the baseline.

    Returns:
        What came of it, in words; ``None`` where this host is not armed, or nothing was accepted.
    """
    if not paths:
        return None
    count = "1 path was" if len(paths) == 1 else f"{len(paths)} paths were"
    named = [f"  {render_path(path)}" for path in paths[:_NAMED]]
    more = [f"  and {len(paths) - _NAMED} more"] if len(paths) > _NAMED else []
    lines = [f"{count} taken into the baseline: what they are now starts no panic any more.", _by(who, why), *named, *more]
    return notify_if_armed(config, "baseline accepted", lines)


def notify_recreated(config: Config, count: int, *, who: str, why: str) -> str | None:
    """Tell that the whole baseline was taken anew."""
    lines = [f"The baseline was taken anew, with {count} paths as they are now.", _by(who, why)]
    return notify_if_armed(config, "baseline taken anew", lines)


def notify_pinned(config: Config, added: Sequence[str], dropped: Sequence[str], *, who: str) -> str | None:
    """Tell that other keys of packages are trusted now; ``None`` too where they are the same."""
    if not added and not dropped:
        return None
    named = [f"  + {key}" for key in added[:_NAMED]] + [f"  - {key}" for key in dropped[:_NAMED]]
    lines = [f"Keys of packages that are trusted: {len(added)} more, {len(dropped)} fewer.", f"By {who}.", *named]
    return notify_if_armed(config, "package keys pinned", lines)
