"""What the configuration says of notifications beside the mail servers: how many alerts an hour, and the channels. Pure."""

from fimkit.model.channels import Channel, Gets
from fimkit.model.config import Config

__all__ = ["alerts_per_h", "channels_for", "channels_of"]

_ALERTS_PER_H = 12


def alerts_per_h(config: Config) -> int:
    """Give how many alerts an hour go out at once; a configuration of before this key has the default."""
    return int(getattr(config.mail, "alerts_per_h", _ALERTS_PER_H))


def channels_of(config: Config) -> tuple[Channel, ...]:
    """Give the channels; a configuration of before them has none."""
    return tuple(getattr(config, "channels", ()))


def channels_for(config: Config, gets: Gets) -> tuple[Channel, ...]:
    """Give the channels that are told something."""
    return tuple(channel for channel in channels_of(config) if gets in channel.gets)
