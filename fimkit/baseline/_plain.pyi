"""What the compiled reader of files offers; who uses it: fimkit.baseline.thread_pool, listing and known_files."""

from collections.abc import Callable, Iterable, Sequence
from typing import final

from fimkit.model.states import FileState, FileType

__all__ = ["LANES", "REVISION", "TABLE", "WHY_ONE", "Readers", "find_changed", "hash_pair", "list_names"]

LANES: int
REVISION: int
TABLE: int
WHY_ONE: str

def find_changed(
    folder: int, names: Sequence[bytes], rows: Sequence[FileState | None], kind: FileType, /
) -> list[int]: ...

def hash_pair(first: bytes, second: bytes, /) -> tuple[bytes, bytes]: ...
def list_names(folder: int, most: int, /) -> tuple[list[bytes], list[bytes], list[bytes], bool]: ...

@final
class Readers:
    """Reads ordinary files of open folders, by threads of which each calls ``work()``."""

    def __new__(
        cls,
        state: type[FileState],
        kind: FileType,
        no_xattrs: dict[str, bytes],
        render: Callable[[bytes], str],
        lanes: int,
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
