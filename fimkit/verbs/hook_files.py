"""The package managers' side of `install`: what has apt, dnf and dnf5 call fimkit after an upgrade; only where they are."""

import glob
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fimkit.osquery.pack import MARK
from fimkit.verbs.installed import Part
from fimkit.verbs.planned import Known, PlannedFile
from fimkit.verbs.whole_files import below_root

__all__ = ["HookFiles", "hook_command", "known_hook_files", "plan_hook_files"]

_APT_PARTS = "/etc/apt/apt.conf.d"
_APT_FILE = f"{_APT_PARTS}/90fimkit"
_DNF5_ACTIONS = "/etc/dnf/libdnf5-plugins/actions.d"
_DNF5_FILE = f"{_DNF5_ACTIONS}/fimkit.actions"
_DNF4_PLUGINS = "/usr/lib/python3*/site-packages/dnf-plugins"
_DNF4_NAME = "fimkit_hook.py"
_SAFE = re.compile(r"[A-Za-z0-9_@%+=,./-]+")
"""What needs no quoting for the shell that apt starts, in apt's configuration, and in an actions file."""
_TIMEOUT = ("/usr/bin/timeout", "--kill-after=5", "20")
"""An upgrade never waits longer for fimkit than this, whatever hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFiles:
    """What is to be written, and words for people."""

    files: tuple[PlannedFile, ...] = ()
    words: tuple[str, ...] = ()


def hook_command(config_path: str, manager: str, python: str = sys.executable) -> tuple[str, ...]:
    """Give what a package manager calls: it hands over to a process of fimkit's own, and is done at once."""
    return (
        *_TIMEOUT, python, "-I", "-m", "fimkit", "--config", config_path, "baseline", "accept", "--expected", "--hook", manager,
    )  # fmt: skip


def _render_apt(command: Sequence[str]) -> bytes:
    # apt gives it to a shell; what it ends with is apt's own status, so it must end well.
    words = f"// {MARK}: what is proved of an upgrade goes into the baseline."
    return f'{words}\nDPkg::Post-Invoke {{ "{" ".join(command)} || true"; }};\n'.encode("ascii")


def _render_dnf4(command: Sequence[str]) -> bytes:
    return f'''\
# {MARK}: what is proved of an upgrade goes into the baseline.
"""Calls fimkit after a transaction; whatever comes of that, the transaction is done."""

import subprocess

import dnf

COMMAND = {list(command)!r}


class FimkitHook(dnf.Plugin):
    name = "fimkit_hook"

    def transaction(self):
        try:
            subprocess.run(COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30, check=False)
        except (OSError, subprocess.SubprocessError):
            pass
'''.encode("ascii")


def _render_dnf5(command: Sequence[str]) -> bytes:
    # callback, no filter: once a transaction; no direction, no options; the command, which no shell reads
    words = f"# {MARK}: what is proved of an upgrade goes into the baseline."
    return f"{words}\npost_transaction::::{' '.join(command)}\n".encode("ascii")


def _dnf4_folders(root: str | None) -> list[str]:
    base = "" if root is None else os.path.abspath(root)
    found = sorted(glob.glob(glob.escape(base) + _DNF4_PLUGINS))
    return [path[len(base) :] for path in found if os.path.isdir(path)]


def plan_hook_files(config_path: str | None, root: str | None) -> HookFiles:
    """Plan the hooks of the package managers that are there.

    Args:
        config_path: fimkit's configuration, as the host itself has it; ``None``: no hook is wanted.
        root: The folder below which the host's files are.
    """
    if config_path is None:
        return HookFiles()
    odd = [word for word in hook_command(config_path, "apt") if not _SAFE.fullmatch(word)]
    if odd:
        return HookFiles(words=(f"no package manager's hook: its files cannot hold the name {odd[0]!r}",))
    files, words = [], []
    if below_root(root, _APT_PARTS).is_dir():
        files.append(PlannedFile(path=_APT_FILE, part=Part.HOOK, content=_render_apt(hook_command(config_path, "apt"))))
    dnf = hook_command(config_path, "dnf")
    for folder in _dnf4_folders(root):
        files.append(PlannedFile(path=f"{folder}/{_DNF4_NAME}", part=Part.HOOK, content=_render_dnf4(dnf)))
    if below_root(root, _DNF5_ACTIONS).is_dir():
        files.append(PlannedFile(path=_DNF5_FILE, part=Part.HOOK, content=_render_dnf5(dnf)))
    elif below_root(root, "/usr/bin/dnf5").exists():
        words.append(f"dnf5 calls nobody, for there is no {_DNF5_ACTIONS}: dnf5 install libdnf5-plugin-actions, then install again")
    if not files:
        words.append("[packages] hook: there is neither apt nor dnf here to call fimkit after an upgrade")
    return HookFiles(files=tuple(files), words=tuple(words))


def known_hook_files(root: str | None) -> tuple[Known, ...]:
    """Where they are, for an uninstall without a memory."""
    paths = [_APT_FILE, _DNF5_FILE, *(f"{folder}/{_DNF4_NAME}" for folder in _dnf4_folders(root))]
    return tuple(map(Known, paths))
