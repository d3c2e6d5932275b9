"""What there is on this host that a configuration should know: programs, web roots, osquery, auditd. Reads only."""

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fimkit.model.paths import is_below, join_path, render_path

__all__ = ["HostFacts", "gather_host_facts", "resolve_below"]

_LINKS_MOST = 40  # as the kernel has it
_FILE_BYTES_MOST = 1 << 20

PROGRAMS = (b"/bin", b"/sbin", b"/usr/bin", b"/usr/sbin", b"/usr/local/bin", b"/usr/local/sbin", b"/boot")
LIBRARIES = (b"/lib", b"/lib64", b"/usr/lib", b"/usr/lib64", b"/usr/libexec", b"/usr/local/lib")
SETTINGS = (b"/etc", b"/root/.ssh", b"/var/spool/cron")
WEB_ROOTS = (b"/var/www", b"/srv/www", b"/srv/http", b"/usr/share/nginx/html")
# Where no web root lies, whatever a server's configuration says: the entry would take in half the system.
TOO_WIDE = frozenset({b"/", b"/usr", b"/var", b"/etc", b"/home", b"/srv", b"/opt", b"/root", b"/tmp"})
# What web applications write by themselves, many times a day; what an intruder leaves in there is not seen.
CACHES = (
    "wp-content/cache",           # WordPress
    "administrator/cache",        # Joomla
    "storage/framework/cache",    # Laravel
    "storage/framework/sessions",
    "var/cache",                  # Symfony, TYPO3
    "typo3temp",
)
_WEB_SERVERS = (
    ("etc/nginx", re.compile(rb"^\s*root\s+[\"']?([^;\"'$\n]+?)[\"']?\s*;", re.MULTILINE)),
    ("etc/apache2", re.compile(rb"^\s*DocumentRoot\s+[\"']?([^\"'$\n]+?)[\"']?\s*$", re.MULTILINE | re.IGNORECASE)),
    ("etc/httpd", re.compile(rb"^\s*DocumentRoot\s+[\"']?([^\"'$\n]+?)[\"']?\s*$", re.MULTILINE | re.IGNORECASE)),
    ("etc/lighttpd", re.compile(rb"^\s*server\.document-root\s*=\s*\"([^\"$\n]+)\"", re.MULTILINE)),
    ("etc/caddy", re.compile(rb"^\s*root\s+(?:\*\s+)?(/[^\s{]+)\s*$", re.MULTILINE)),
)
_AUDIT_LOG = re.compile(rb"^\s*log_file\s*=\s*(/\S+)\s*$", re.MULTILINE | re.IGNORECASE)
_FLAG = re.compile(rb"^\s*--(logger_path|extensions_socket)=[\"']?(/[^\"'\s]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What was found. Paths are real folders; ``links`` are the usual names that only lead to one, and where to.

    ``caches`` are folders that web applications fill by themselves. ``notes`` say in words what was seen and not taken.
    """

    name: str
    programs: tuple[bytes, ...]
    libraries: tuple[bytes, ...]
    settings: tuple[bytes, ...]
    web_roots: tuple[bytes, ...]
    caches: tuple[bytes, ...]
    links: tuple[tuple[bytes, bytes], ...]
    audit_log: bytes | None
    osquery_log: bytes | None
    osquery_socket: bytes | None
    notes: tuple[str, ...]


def _base(root: Path) -> bytes:
    return os.fsencode(root).rstrip(b"/")


def resolve_below(root: Path, path: bytes) -> bytes:
    """Follow every symlink in ``path`` as a process would whose root folder is ``root``.

    Raises:
        OSError: If there is no such path, or its links lead in a circle.
    """
    base, done, left = _base(root), b"/", [part for part in path.split(b"/") if part]
    links = 0
    while left:
        part = left.pop(0)
        here = join_path(done, part)
        try:
            target = os.readlink(base + here)
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: no symlink
                raise
            done = here
            continue
        links += 1
        if links > _LINKS_MOST:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        left = [piece for piece in target.split(b"/") if piece] + left
        done = b"/" if target.startswith(b"/") else done
    return done


class _Survey:
    """One look at one host; collects notes on the way."""

    def __init__(self, root: Path) -> None:
        self.root, self.base = root, _base(root)
        self.links: dict[bytes, bytes] = {}
        self.notes: list[str] = []

    def real_folders(self, paths: Iterable[bytes]) -> tuple[bytes, ...]:
        """Give the real folders among ``paths``, each once, none inside another."""
        found: list[bytes] = []
        for path in paths:
            try:
                real = resolve_below(self.root, path)
            except OSError:
                continue
            if not os.path.isdir(self.base + real):
                continue
            if not _is_text(real):
                self.notes.append(f"{render_path(real)} has a name that this file, which is UTF-8 text, cannot hold")
                continue
            if real != path:
                self.links[path] = real
            found.append(real)
        kept = [path for path in found if not any(path != other and is_below(path, other) for other in found)]
        return tuple(dict.fromkeys(kept))

    def read(self, file: Path) -> bytes:
        """Read a configuration of another program; a device, a fifo or what is not there is empty."""
        try:
            if not file.is_file():
                return b""
            with file.open("rb") as opened:
                return opened.read(_FILE_BYTES_MOST)
        except OSError as error:
            self.notes.append(f"{render_path(os.fsencode(file))} could not be read: {error.strerror}")
            return b""

    def named_web_roots(self) -> Iterator[bytes]:
        """Give what the web servers' configurations name, as they name it."""
        for folder, pattern in _WEB_SERVERS:
            for file in sorted(self.root.joinpath(folder).rglob("*")):
                for name in pattern.findall(self.read(file)):
                    if name.startswith(b"/"):
                        yield join_path(b"/", name)
                    else:
                        self.notes.append(f"{render_path(name)} is named a web root by a web server, and is no absolute path")

    def web_roots(self) -> tuple[bytes, ...]:
        """Give the real web roots, the ones that a web server names and the usual ones."""
        taken = []
        for path in dict.fromkeys([*WEB_ROOTS, *self.named_web_roots()]):
            noted = len(self.notes)
            real = self.real_folders([path])
            if real and real[0] in TOO_WIDE:
                self.notes.append(f"{render_path(path)} is named a web root by a web server, and too wide to watch as one")
            elif real:
                taken.append(path)
            elif path not in WEB_ROOTS and len(self.notes) == noted:
                self.notes.append(f"{render_path(path)} is named a web root by a web server, and is not there")
        return self.real_folders(taken)

    def caches(self, web_roots: Iterable[bytes]) -> Iterator[bytes]:
        """Give the folders that web applications fill by themselves, up to two folders below a web root."""
        for web_root in web_roots:
            for cache in CACHES:
                for depth in ("", "*/", "*/*/"):
                    for folder in sorted(Path(os.fsdecode(self.base + web_root)).glob(depth + cache)):
                        name = os.fsencode(folder)[len(self.base) :]
                        if folder.is_dir() and _is_text(name):
                            yield name

    def osquery(self) -> dict[str, bytes]:
        """Give ``logger_path`` and ``extensions_socket`` where osquery's flags or its configuration set them."""
        found: dict[str, bytes] = {}
        try:
            options = json.loads(self.read(self.root / "etc/osquery/osquery.conf") or b"{}")["options"]
            found = {key: os.fsencode(options[key]) for key in ("logger_path", "extensions_socket") if key in options}
        except KeyError:
            pass
        except (ValueError, TypeError, RecursionError):
            self.notes.append("/etc/osquery/osquery.conf is not plain JSON; its options were not looked at")
        flags = self.read(self.root / "etc/osquery/osquery.flags")
        found |= {key.decode(): value for key, value in _FLAG.findall(flags)}
        return {key: join_path(b"/", value) for key, value in found.items() if value.startswith(b"/") and _is_text(value)}


def _is_text(path: bytes) -> bool:
    try:
        return bool(path.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def gather_host_facts(root: Path = Path("/")) -> HostFacts:
    """Look at the host whose root folder is ``root``.

    Returns:
        Only what is there; what could not be read or is not usable is in ``notes``.
    """
    survey = _Survey(root)
    web_roots = survey.web_roots()
    osquery = survey.osquery()
    audit_log = _AUDIT_LOG.search(survey.read(root / "etc/audit/auditd.conf"))
    logger_path, socket = osquery.get("logger_path"), osquery.get("extensions_socket")
    return HostFacts(
        name=os.uname().nodename,
        programs=survey.real_folders(PROGRAMS),
        libraries=survey.real_folders(LIBRARIES),
        settings=survey.real_folders(SETTINGS),
        web_roots=web_roots,
        caches=tuple(dict.fromkeys(survey.caches(web_roots))),
        links=tuple(survey.links.items()),
        audit_log=audit_log[1] if audit_log else None,
        osquery_log=join_path(logger_path, b"osqueryd.results.log") if logger_path else None,
        osquery_socket=socket,
        notes=tuple(dict.fromkeys(survey.notes)),
    )
