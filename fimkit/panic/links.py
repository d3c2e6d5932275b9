"""A link as the kernel tells of it: what a message RTM_NEWLINK says. Pure."""

import struct
from dataclasses import dataclass

from fimkit.model.errors import RecordError
from fimkit.model.paths import render_path
from fimkit.panic.attributes import find_attribute, split_attributes, text_of

__all__ = ["IFF_LOOPBACK", "IFF_UP", "LINK_DUMP", "Link", "parse_link", "set_flags"]

# Source: linux/if.h.
IFF_UP = 1
IFF_LOOPBACK = 8

# Source: linux/if_link.h and linux/rtnetlink.h.
_INFO = struct.Struct("=BxHiII")
_ADDRESS, _NAME, _LOWER, _MASTER, _LINKINFO, _LOWER_NETNS, _PROPERTIES, _ALT_NAME = 1, 3, 5, 10, 18, 37, 52, 53
_LINKINFO_KIND = 1
_WANTED = frozenset({_ADDRESS, _NAME, _LOWER, _MASTER, _LINKINFO, _LOWER_NETNS, _PROPERTIES})

LINK_DUMP = _INFO.pack(0, 0, 0, 0, 0) + struct.pack("=HHI", 8, 29, 8)
"""The request for all links, without their counters (IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network interface.

    ``name`` and ``alt_names`` are text of :func:`fimkit.model.paths.render_path`. ``kind`` is empty for hardware, else the
    driver of a virtual link (bridge, veth, macvlan …). ``lower`` is the index of the link that carries it, in the same namespace;
    ``master`` of the bridge or bond that it is a port of.
    """

    index: int
    flags: int
    name: str
    alt_names: tuple[str, ...] = ()
    kind: str = ""
    lower: int | None = None
    master: int | None = None
    address: str = ""

    @property
    def is_up(self) -> bool:
        """Whether it was told to be up; it may lack a carrier all the same."""
        return bool(self.flags & IFF_UP)

    @property
    def is_loopback(self) -> bool:
        """Whether it is ``lo``."""
        return bool(self.flags & IFF_LOOPBACK)


def parse_link(message: bytes) -> Link:
    r"""Read a message's body.

    Raises:
        RecordError: If it is too short or has no name.

    >>> from fimkit.panic.attributes import pack_attribute
    >>> parse_link(_INFO.pack(0, 1, 2, IFF_UP, 0) + pack_attribute(_NAME, b"eth0\0"))
    Link(index=2, flags=1, name='eth0', alt_names=(), kind='', lower=None, master=None, address='')
    """
    if len(message) < _INFO.size:
        raise RecordError(f"a link's message has {len(message)} bytes, expected {_INFO.size} or more")
    _, _, index, flags, _ = _INFO.unpack_from(message)
    found = dict(split_attributes(message, _INFO.size, _WANTED))
    if _NAME not in found:
        raise RecordError(f"link {index} has no name")
    properties = split_attributes(found.get(_PROPERTIES, b""))
    return Link(
        index=index,
        flags=flags,
        name=_name(found[_NAME]),
        alt_names=tuple(_name(value) for kind, value in properties if kind == _ALT_NAME),
        kind=_name(find_attribute(found.get(_LINKINFO, b""), 0, _LINKINFO_KIND) or b""),
        # A link's lower one in another namespace has an index there, not here.
        lower=None if _LOWER_NETNS in found else _number(found.get(_LOWER)),
        master=_number(found.get(_MASTER)),
        address=found.get(_ADDRESS, b"").hex(":"),
    )


def _name(raw: bytes) -> str:
    return render_path(text_of(raw))


def _number(raw: bytes | None) -> int | None:
    if raw is None or len(raw) != 4:
        return None
    return int(struct.unpack("=I", raw)[0]) or None


def set_flags(index: int, flags: int, change: int) -> bytes:
    """Write the request that changes a link's flags, and nothing else of it.

    >>> set_flags(2, 0, IFF_UP).hex()
    '00000000020000000000000001000000'
    """
    return _INFO.pack(0, 0, index, flags, change)
