"""What the compiled reader of files offers; fimkit.baseline.compiled is who makes one, fimkit.baseline.thread_pool who uses it."""

from collections.abc import Callable, Iterable
from typing import final

from fimkit.model.states import FileState, FileType

__all__ = ["REVISION", "Readers"]

REVISION: int

@final
class Readers:
    """Reads ordinary files of open folders, by threads of which each calls ``work()``."""

    def __new__(
        cls, state: type[FileState], kind: FileType, no_xattrs: dict[str, bytes], render: Callable[[bytes], str]
    ) -> Readers: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    def clear(self) -> None: ...
    def put(self, folder: int, start: bytes, names: Iterable[bytes], /) -> None: ...
    def stop(self) -> None: ...
    def take(self, least: int, wait_ms: int, /) -> tuple[list[FileState], list[tuple[int, bytes, list[bytes]]]]: ...
    def work(self) -> None: ...
