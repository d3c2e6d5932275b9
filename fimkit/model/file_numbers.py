"""Which files are known by device and inode, of millions of them in little memory. Pure."""

from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable
from heapq import merge

__all__ = ["FileNumbers"]

_FEW = 50_000
_SLOTS = 1 << 23
_PIECE = 1 << 16
_TOP = 1 << 64


class FileNumbers:
    """Devices and inodes. Few are in sets; of many, which those would need hundreds of megabytes for, each takes eight bytes.

    Attributes:
        keys: The files, by device and inode.
        inodes: Their numbers, on whichever device.
        devices: The devices.

    >>> known = FileNumbers([(1, 7), (2, 8)])
    >>> (1, 7) in known.keys, (1, 8) in known.keys, 8 in known.inodes, known.devices == {1, 2}
    (True, False, True, True)
    """

    __slots__ = ("devices", "inodes", "keys")

    def __init__(self, keys: Iterable[tuple[int, int]], *, few: int = _FEW) -> None:
        """Take them, as often as they come; up to ``few`` are kept in sets."""
        pairs: set[tuple[int, int]] = set()
        rest = iter(keys)
        for key in rest:
            pairs.add(key)
            if len(pairs) > few:
                break
        self.keys: Container[tuple[int, int]] = frozenset(pairs)
        self.inodes: Container[int] = frozenset(inode for _, inode in pairs)
        self.devices = frozenset(dev for dev, _ in pairs)
        if len(pairs) > few:
            many = _Many()
            many.add(pairs)
            pairs.clear()
            many.add(rest)
            many.sort()
            self.keys, self.inodes, self.devices = many, _Inodes(many), many.devices()


class _Many:
    """The numbers of each device, sorted; and beside them a table in which nearly all is missing that is not among them."""

    __slots__ = ("_by_device", "_odd", "_slots")

    def __init__(self) -> None:
        self._by_device: dict[int, array[int]] = {}
        self._slots = bytearray(_SLOTS)
        self._odd: set[tuple[int, int]] = set()

    def add(self, keys: Iterable[tuple[int, int]]) -> None:
        for dev, inode in keys:
            if 0 <= inode < _TOP:
                self._slots[inode % _SLOTS] = 1
                self._by_device.setdefault(dev, array("Q")).append(inode)
            else:
                self._odd.add((dev, inode))

    def sort(self) -> None:
        for dev in list(self._by_device):
            self._by_device[dev] = array("Q", merge(*_sorted_pieces(self._by_device.pop(dev))))

    def devices(self) -> frozenset[int]:
        return frozenset({*self._by_device, *(dev for dev, _ in self._odd)})

    def has_inode(self, inode: int) -> bool:
        if self._slots[inode % _SLOTS] and any(_is_in(inodes, inode) for inodes in self._by_device.values()):
            return True
        return any(inode == odd for _, odd in self._odd)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, tuple):
            return False
        dev, inode = key
        if self._slots[inode % _SLOTS] and dev in self._by_device and _is_in(self._by_device[dev], inode):
            return True
        return key in self._odd


def _sorted_pieces(inodes: "array[int]") -> "list[array[int]]":
    """Sort some at a time: as one list of numbers they would take five times the room."""
    return [array("Q", sorted(inodes[start : start + _PIECE])) for start in range(0, len(inodes), _PIECE)]


class _Inodes:
    __slots__ = ("_many",)

    def __init__(self, many: _Many) -> None:
        self._many = many

    def __contains__(self, inode: object) -> bool:
        return isinstance(inode, int) and self._many.has_inode(inode)


def _is_in(inodes: "array[int]", inode: int) -> bool:
    place = bisect_left(inodes, inode) if 0 <= inode < _TOP else len(inodes)
    return place < len(inodes) and inodes[place] == inode
