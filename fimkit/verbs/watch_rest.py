"""What a watch that ends leaves unread or unlooked at, counted and in words. Pure."""

from dataclasses import dataclass

__all__ = ["Rest", "render_rest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """``records_bytes`` of the kernel's records and ``log_bytes`` of auditd's log were not read, ``paths`` not looked at.

    ``has_log`` is whether there is a log that also has what the kernel told. ``log_bytes`` is at least so much: a rotation is
    not counted.
    """

    records_bytes: int = 0
    log_bytes: int = 0
    paths: int = 0
    has_log: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether records are gone that nobody can read any more."""
        return self.records_bytes > 0 and not self.has_log


def render_rest(rest: Rest) -> tuple[str, ...]:
    """Say what is left, and who comes to it.

    >>> render_rest(Rest()), render_rest(Rest(paths=2))[0]
    ((), '2 paths are not looked at yet: the next start looks at everything')
    """
    words = []
    if rest.is_lost:
        words.append(
            f"{_size(rest.records_bytes)} of the kernel's records were not read in time, and no audit log has them: what changed is"
            " found at the next start, by whom is not known"
        )
    elif rest.records_bytes or rest.log_bytes:
        size = _size(max(rest.records_bytes, rest.log_bytes))
        words.append(f"{size} of records are not read yet: the next start reads them from the audit log")
    if rest.paths:
        words.append(f"{rest.paths} paths are not looked at yet: the next start looks at everything")
    return tuple(words)


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{max(1, count >> 10)} KiB"
