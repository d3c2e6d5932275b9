"""What the compiled inner loop offers; fimkit.audit.compiled is who uses it."""

from collections.abc import Callable
from typing import Any, final

from fimkit.audit.draft import Draft, Held
from fimkit.model.records import AuditEvent

__all__ = ["REVISION", "Blocks"]

REVISION: int

@final
class Blocks:
    """Reads the commonest events' lines; what a text means is asked of the functions given."""

    def __new__(
        cls,
        event: type[tuple[Any, ...]],
        event_id: type[tuple[Any, ...]],
        path: type[tuple[Any, ...]],
        process: type[tuple[Any, ...]],
        held: type[tuple[Any, ...]],
        types: tuple[tuple[str, ...], ...],
        types_without_cwd: tuple[tuple[str, ...], ...],
        types_execve: tuple[tuple[str, ...], ...],
        types_openat2: tuple[tuple[str, ...], ...],
        heads: Callable[[bytes], tuple[Any, ...]],
        paths: Callable[[bytes], tuple[Any, ...]],
        rests: Callable[[bytes], tuple[Any, ...]],
        users: Callable[[bytes], tuple[Any, ...]],
        titles: Callable[[bytes], bytes | None],
        cwds: Callable[[bytes], bytes | None],
        kinds: Callable[[bytes], tuple[str]],
    ) -> Blocks: ...
    def take(
        self,
        lines: bytes,
        position: int,
        line: int,
        file: str,
        young: dict[bytes, AuditEvent],
        old: dict[bytes, AuditEvent],
        young_drafts: dict[bytes, Draft | Held],
        old_drafts: dict[bytes, Draft | Held],
        newest_ms: int,
        turn_ms: int,
        full: int,
        /,
    ) -> tuple[int, int, int, int, int]: ...
