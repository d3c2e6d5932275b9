"""The configuration, typed, with its defaults. Pure. Reading and checking it is :mod:`fimkit.model.config_text`."""

from dataclasses import dataclass, field
from enum import StrEnum

from fimkit.model.channels import Channel
from fimkit.model.findings import Tier

__all__ = [
    "Config", "Content", "Host", "Live", "Mail", "Packages", "Panic", "Scanning", "SealPolicy", "SelfWatch", "Sources",
    "StoreLimits", "Syslog", "Transport", "Watch", "Webhook",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """``[host]``: the name in findings, and where fimkit keeps its state."""

    name: str
    state_dir: bytes = b"/var/lib/fimkit"
    report_file: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One ``[[paths]]`` entry: what the user asked to have observed.

    ``include`` are patterns on the name (empty takes all); ``exclude`` are patterns on the whole path, or on the name when they
    have no slash. ``cross_mounts`` goes into file systems mounted below the path. ``keep_content`` keeps what its text files say,
    so that findings show the lines that changed.
    """

    path: bytes
    tier: Tier = Tier.WATCH
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    cross_mounts: bool = False
    scan_content: bool = False
    keep_content: bool = False
    notify: tuple[str, ...] = ()
    handler: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """``[sources]``: where this host's own records are.

    ``osquery_config`` is osqueryd's ``--config_path``: the pack is put beside it; empty is a host without osquery.
    ``osquery_interval_s`` is how often the pack's queries run. ``package_root`` is where the tree is that the package databases are
    in and speak of; empty is a host whose packages explain nothing.
    """

    audit_log: bytes = b"/var/log/audit/audit.log"
    osquery_log: bytes = b"/var/log/osquery/osqueryd.results.log"
    osquery_socket: bytes = b"/var/osquery/osquery.em"
    osquery_config: bytes = b"/etc/osquery/osquery.conf"
    osquery_interval_s: int = 60
    package_root: bytes = b"/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """``[watch]``: what `fimkit watch` does beside following the records; ``rescan_s`` 0 is only when it is asked to."""

    rescan_s: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanning:
    """``[scan]``: what a look at the files may take from the host's other work; 0 is no limit.

    ``nice`` gives way to every other process, for the processor and for the disk, and leaves the page cache as it was found.
    """

    nice: bool = False
    mb_per_s: int = 0
    files_per_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """``[content]``: what is looked for in files below paths with ``scan_content``, and by whom.

    ``rules`` are folders of a site's own rules, beside fimkit's where ``built_in``. Of a file over ``most_mb`` the head and the
    tail are read. ``user`` is who the reading processes run as; ``access_logs`` are a web server's, in the common or combined
    format, and ``web_users`` the names of the users that web servers run as.
    """

    rules: tuple[bytes, ...] = ()
    built_in: bool = True
    most_mb: int = 8
    file_s: int = 30
    user: str = "fimkit-scan"
    access_logs: tuple[bytes, ...] = ()
    web_users: tuple[str, ...] = ("www-data", "apache", "nginx", "http", "httpd", "wwwrun", "lighttpd", "caddy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """``[mail]``: the external server, and who is told."""

    smtp_server: str = ""
    starttls: bool = True
    username: str = ""
    password_file: bytes = b""
    ca_file: bytes = b""
    sender: str = ""
    panic_recipients: tuple[str, ...] = ()
    general_recipients: tuple[str, ...] = ()
    deadline_s: int = 10
    digest_s: int = 300
    alerts_per_h: int = 12
    nomail: bool = False


class Transport(StrEnum):
    """How a syslog server is reached."""

    TLS = "tls"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Syslog:
    """``[syslog]``: a server elsewhere that hears of a panic beside the mail; empty is none."""

    server: str = ""
    transport: str = "tls"
    ca_file: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """``[webhook]``: a URL that a panic is posted to beside the mail; empty is none."""

    url: str = ""
    ca_file: bytes = b""
    token_file: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """``[store]``: how long and how much evidence is kept.

    Of files below paths with ``keep_content`` those of at most ``keep_content_kb`` are kept. What a pattern of ``mask`` matches
    (its first group, where it has one) is masked before, beside the secrets that are known by their form or name.
    """

    keep_days: int = 90
    max_mb: int = 4096
    keep_content_kb: int = 256
    mask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealPolicy:
    """``[seal]``: whose seal the baseline is to bear.

    Where there is no file at the default ``public_key``, the key of the first seal is trusted. ``require`` makes findings of a
    baseline without a seal, and of what was accepted since.
    """

    public_key: bytes = b"/etc/fimkit/seal.pub"
    require: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfWatch:
    """``[self]``: whether what fimkit itself stands on is watched as if it were configured, and in which tier.

    That is its program, configuration, units and hooks, and the configuration of auditd and osqueryd. The files of the state folder
    are not among it, for they change all the time: the seal, the chain and each look's own findings cover them.
    """

    watch: bool = False
    tier: Tier = Tier.WATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """``[packages]``: what an upgrade does by itself.

    With ``hook``, ``install`` has apt and dnf call fimkit after an upgrade, which takes what is proved of it into the baseline.
    """

    hook: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panic:
    """``[panic]``: what happens when something changes that must never change.

    ``windows`` are texts of :func:`fimkit.model.windows.parse_window`. ``include_namespaces`` cuts the other network
    namespaces too, those of containers.
    """

    action: str = "down"
    include_namespaces: bool = False
    keep_interfaces: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    threshold: int = 1
    windows: tuple[str, ...] = ()
    deadline_s: int = 30
    recon: tuple[tuple[str, ...], ...] = ()
    recon_queries: tuple[str, ...] = ()
    packetgrab: tuple[tuple[str, ...], ...] = ()
    killswitch: tuple[tuple[str, ...], ...] = ()
    package_hold_s: int = 120
    capture_s: int = 10
    restore_after_s: int = 0
    nokill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole checked configuration."""

    host: Host
    paths: tuple[Watch, ...] = ()
    sources: Sources = field(default_factory=Sources)
    watch: Live = field(default_factory=Live)
    scan: Scanning = field(default_factory=Scanning)
    content: Content = field(default_factory=Content)
    mail: Mail = field(default_factory=Mail)
    syslog: Syslog = field(default_factory=Syslog)
    webhook: Webhook = field(default_factory=Webhook)
    channels: tuple[Channel, ...] = ()
    store: StoreLimits = field(default_factory=StoreLimits)
    seal: SealPolicy = field(default_factory=SealPolicy)
    self: SelfWatch = field(default_factory=SelfWatch)
    packages: Packages = field(default_factory=Packages)
    panic: Panic = field(default_factory=Panic)
