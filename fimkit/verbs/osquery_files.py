"""The osquery side of `install`: the pack for a configuration, and the files that bring it to osqueryd."""

import hashlib
import json
import os
from dataclasses import dataclass

from fimkit.model.advice import Level
from fimkit.model.config import Config
from fimkit.model.paths import render_path
from fimkit.osquery.config_file import load_osquery_config
from fimkit.osquery.osquery_config import OsqueryConfig
from fimkit.osquery.pack import MARK, PackPlan, plan_pack, render_pack
from fimkit.osquery.queries import load_queries
from fimkit.verbs.extension_files import findings_pack, known_extension_files, plan_extension_files, say_extension_flags
from fimkit.verbs.installed import Memory, Part, load_memory
from fimkit.verbs.osquery_advice import osquery_advice
from fimkit.verbs.own_files import scanned_watches
from fimkit.verbs.planned import Known, PlannedFile
from fimkit.verbs.viewpoint import Viewpoint, find_viewpoint
from fimkit.verbs.whole_files import below_root, read_file

__all__ = ["EMPTY_CONFIG", "OsqueryFiles", "known_osquery_files", "plan_osquery_files", "print_pack"]

EMPTY_CONFIG = b"{}\n"
"""Without the file of ``--config_path``, even an empty one, osqueryd's filesystem plugin reads nothing of ``osquery.conf.d``."""

_PACK = "fimkit"
_FINDINGS = "fimkit_findings"


@dataclass(frozen=True, slots=True, kw_only=True)
class OsqueryFiles:
    """What is to be written. ``words`` are for people, ``reread`` says when osqueryd takes a change up."""

    files: tuple[PlannedFile, ...] = ()
    words: tuple[str, ...] = ()
    reread: str = ""


def _base(root: str | None) -> bytes:
    return b"" if root is None else os.path.abspath(os.fsencode(root)).rstrip(b"/")


class _Paths:
    """Where the files are, as the host itself has them."""

    def __init__(self, config: Config) -> None:
        self.config = os.fsdecode(config.sources.osquery_config)
        folder = os.path.dirname(self.config)
        self.pack = os.path.join(folder, "packs", "fimkit.conf")
        self.findings_pack = os.path.join(folder, "packs", "fimkit-findings.conf")
        self.config_part = os.path.join(f"{self.config}.d", "fimkit.conf")

    @property
    def own(self) -> frozenset[bytes]:
        return frozenset(map(os.fsencode, (self.pack, self.findings_pack, self.config_part)))


def _pack(config: Config, installation: OsqueryConfig, view: Viewpoint) -> tuple[PackPlan, bytes]:
    own = _Paths(config).own
    others = tuple(one.pattern for one in installation.file_paths if one.file not in own)
    plan = plan_pack(scanned_watches(config, view.look), view.place, others=others)
    return plan, render_pack(plan, load_queries("pack"), interval_s=config.sources.osquery_interval_s)


def _advice(config: Config, pack: bytes, root: str | None, view: Viewpoint) -> list[str]:
    """What keeps osqueryd from telling of changes, with the pack in place; notes are `fimkit doctor`'s, but for no osquery."""
    own = render_path(os.fsencode(_Paths(config).pack))
    told = []
    for one in osquery_advice(config, root=root, rendered=pack, base=view.base):
        said = one.code == "osquery-absent" and one.where.startswith(own)  # by the pack's own notes
        if not said and (one.level is not Level.NOTE or one.code == "osquery-not-installed"):
            told.append(f"{one.where}: {one.problem} {one.remedy[0].upper()}{one.remedy[1:]}")
    return told


def print_pack(config: Config, *, root: str | None = None) -> tuple[bytes, tuple[str, ...]]:
    """Render the pack for a fleet manager, which hands it to osqueryd itself; nothing is changed.

    Returns:
        The pack's JSON, and words for people.
    """
    memory = None if root is None else load_memory(below_root(root, config.host.state_dir), rules_file="")
    view = find_viewpoint(config, root, memory)
    installation = load_osquery_config(config.sources.osquery_config, root=_base(root))
    plan, pack = _pack(config, installation, view)
    words = (
        'put it into the configuration that your fleet manager gives out, as "packs": {"fimkit": …}; print it again when '
        "fimkit's configuration or the watched folders change",
    )
    return pack, (*words, *view.words, *plan.notes)


def _config_part(packs: dict[str, tuple[str, bytes]]) -> bytes:
    """Name the packs. osqueryd reads a pack's file again only if the text that names it differs: so it holds the packs' hash."""
    digest = hashlib.sha256(b"".join(content for _, content in packs.values())).hexdigest()
    document = {"packs": {name: path for name, (path, _) in packs.items()}, "fimkit": {"note": MARK, "packs_sha256": digest}}
    return json.dumps(document, indent=2).encode("ascii") + b"\n"


def _empty_config(paths: _Paths, memory: Memory | None, root: str | None) -> list[PlannedFile]:
    """The minimal configuration, where there is none, or ours is there as we left it."""
    path = below_root(root, paths.config)
    now = read_file(path)
    known = memory.file_at(paths.config) if memory else None
    if path.is_symlink() or (now is not None and (known is None or now != known.written)):
        return []
    return [PlannedFile(path=paths.config, content=EMPTY_CONFIG, part=Part.OSQUERY, stays=True)]


def _reread(installation: OsqueryConfig) -> str:
    refresh = installation.value("config_refresh", installation.value("config_refresh_s", "0"))
    if refresh.strip("0") and refresh.isdecimal():
        return f"osqueryd takes the pack up within {int(refresh)} s (config_refresh)"
    return "osqueryd takes the pack up when it starts again: systemctl restart osqueryd"


def plan_osquery_files(
    config: Config, memory: Memory | None, root: str | None, *, extension: str | None, view: Viewpoint
) -> OsqueryFiles:
    """Plan the files of osquery's part; none where the configuration names no osquery, or osqueryd would not read them.

    Args:
        config: What to watch, and where osqueryd's configuration is.
        memory: What an earlier install left.
        root: The folder below which the host's files are.
        extension: fimkit's configuration as the extension is to read it; ``None``: no extension is asked for.
        view: Where the watched paths are looked up.
    """
    if not config.sources.osquery_config:
        none = "sources.osquery_config is empty: nothing of osquery is installed, and no extension"
        return OsqueryFiles(words=(none,) if extension is not None else ())
    paths = _Paths(config)
    installation = load_osquery_config(config.sources.osquery_config, root=_base(root))
    plan, pack = _pack(config, installation, view)
    started = () if extension is None else plan_extension_files(installation, extension)
    flags = [] if extension is None else say_extension_flags(installation, root)
    if installation.config_plugin != "filesystem":
        return OsqueryFiles(files=started, words=(_managed(installation), *flags, *_advice(config, pack, root, view)))
    packs = {_PACK: (paths.pack, pack)}
    files = [PlannedFile(path=paths.pack, content=pack, part=Part.OSQUERY)]
    known = memory.file_at(paths.findings_pack) if memory else None
    if extension is not None:
        findings = findings_pack(config.sources.osquery_interval_s)
        packs[_FINDINGS] = (paths.findings_pack, findings)
        started = (PlannedFile(path=paths.findings_pack, content=findings, part=Part.EXTENSION), *started)
    elif known is not None:
        packs[_FINDINGS] = (paths.findings_pack, known.written)
    files.append(PlannedFile(path=paths.config_part, content=_config_part(packs), part=Part.OSQUERY))
    files += _empty_config(paths, memory, root)
    words = (*_elsewhere(installation, paths), *flags, *plan.notes, *_advice(config, pack, root, view))
    return OsqueryFiles(files=(*files, *started), words=words, reread=_reread(installation))


def _managed(installation: OsqueryConfig) -> str:
    setting = installation.setting("config_plugin")
    where = f" ({setting.where})" if setting is not None else ""
    words = f"osqueryd takes its configuration from {installation.config_plugin}{where} and reads no files"
    return f"{words}: no pack is installed; `fimkit install --print-pack` prints it for your fleet manager"


def _elsewhere(installation: OsqueryConfig, paths: _Paths) -> list[str]:
    named = installation.setting("config_path")
    if named is None or named.value == paths.config:
        return []
    here = render_path(os.fsencode(paths.config))
    words = f"osqueryd's --config_path is {named.value} ({named.where}), and sources.osquery_config is {here}"
    return [f"{words}: the pack is put where it is not read"]


def known_osquery_files(config: Config, root: str | None) -> tuple[Known, ...]:
    """Where the files of osquery's part are, for an uninstall without a memory."""
    if not config.sources.osquery_config:
        return ()
    paths = _Paths(config)
    installation = load_osquery_config(config.sources.osquery_config, root=_base(root))
    own = map(Known, (paths.pack, paths.findings_pack, paths.config_part))
    return (*own, *known_extension_files(installation))
