"""A channel beside mail: chat, pager or webhook by one URL, and what it is told. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Channel", "Gets", "channels_for"]


class Gets(StrEnum):
    """What is told: digests of all that happens, what cannot wait, a panic."""

    GENERAL = "general"
    ALERTS = "alerts"
    PANIC = "panic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One ``[[channels]]`` entry. ``name`` is what every output calls it; the URL is a secret, in a file of its own."""

    name: str
    url_file: bytes
    gets: tuple[Gets, ...] = (Gets.ALERTS, Gets.PANIC)


def channels_for(channels: Iterable[Channel], gets: Gets) -> tuple[Channel, ...]:
    """Give the channels that are told something."""
    return tuple(channel for channel in channels if gets in channel.gets)
