"""Configurations for the notifier's tests: a server in the peer's namespace, a web root with a customer's folder, and channels."""

from dataclasses import dataclass

from fimkit.model.channels import Channel
from fimkit.model.config import Config, Host, Mail, Watch

__all__ = ["CUSTOMER", "NEIGHBOUR", "OPS", "ConfigWithChannels", "MailWithAlerts", "notify_config"]

OPS, CUSTOMER, NEIGHBOUR = "ops@example.org", "customer@example.org", "neighbour@example.org"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailWithAlerts(Mail):
    """``[mail]`` with how many alerts go out in an hour."""

    alerts_per_h: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWithChannels(Config):
    """A configuration with channels beside mail."""

    channels: tuple[Channel, ...] = ()


def notify_config(state_dir: bytes, *, channels: tuple[Channel, ...] = (), **mail: object) -> ConfigWithChannels:
    """Make one; without more, mail goes to the server of the tests."""
    usual = {"smtp_server": "192.0.2.25:587", "general_recipients": (OPS,), "sender": "fim@example.org", "deadline_s": 20}
    paths = (
        Watch(path=b"/sbin"),
        Watch(path=b"/srv/www"),
        Watch(path=b"/srv/www/anna", notify=(CUSTOMER,)),
        Watch(path=b"/srv/www/berta", notify=(NEIGHBOUR,)),
    )
    return ConfigWithChannels(
        host=Host(name="web01", state_dir=state_dir),
        mail=MailWithAlerts(**{**usual, **mail}),  # type: ignore[arg-type]
        paths=paths,
        channels=channels,
    )
