"""The eight tamperings of the demonstration, and how a child does one under a login id of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STEPS", "TREE_FILES", "Step", "make_tree", "render_demo_config", "run_step"]

_ALICE, _BOB, _WWW_DATA, _NOBODY = 1001, 1002, 33, 65534

# Sets the login id as PAM does at a login, then starts the program as the user. The login id can be fixed by the kernel
# (auditctl --loginuid-immutable): then the children keep the caller's. The program gets a process of its own: the kernel keeps
# a process's first command line for good, and setting the login id is recorded already.
_CHILD = """
import os, sys
auid, uid, *argv = sys.argv[1:]
if auid != "-":
    try:
        with open("/proc/self/loginuid", "w") as file:
            file.write(auid)
    except OSError:
        pass
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if uid != "0":
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
os.execv(argv[0], argv)
"""

TREE_FILES = {
    "sbin/login": 0o755,
    "sbin/backup": 0o755,
    "etc/app.conf": 0o644,
    "etc/hosts.allow": 0o644,
    "etc/audit.conf": 0o644,
    "etc/secrets": 0o600,
    "www/uploads/readme.txt": 0o644,
}
"""The files of the throw-away tree, with their modes."""

_CONFIG = """[host]
name = "{host}"

[[paths]]
path = "{tree}/sbin"
tier = "critical"

[[paths]]
path = "{tree}/etc"
tier = "watch"

[[paths]]
path = "{tree}/www"
tier = "watch"
scan_content = true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tampering: what it is in words, the path below the tree, the program and its arguments, and as whom."""

    words: str
    path: str
    kind: str
    argv: tuple[str, ...]
    auid: int | None = None
    uid: int = 0


def _shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


STEPS = (
    Step(
        words="a trojan copied over a program",
        path="sbin/login",
        kind="modified",
        argv=("/bin/cp", "/bin/true", "sbin/login"),
        auid=_ALICE,
    ),
    Step(words="a set-user-id bit", path="sbin/backup", kind="attributes", argv=("/bin/chmod", "4755", "sbin/backup"), auid=_ALICE),
    Step(
        words="a file replaced by rename",
        path="etc/app.conf",
        kind="modified",
        argv=("/bin/sed", "-i", "s/on/off/", "etc/app.conf"),
        auid=_BOB,
    ),
    Step(
        words="a line appended",
        path="etc/hosts.allow",
        kind="modified",
        argv=_shell("echo 'ALL: ALL' >> etc/hosts.allow"),
        auid=_BOB,
    ),
    Step(words="a file deleted", path="etc/audit.conf", kind="deleted", argv=("/bin/rm", "etc/audit.conf"), auid=_ALICE),
    Step(
        words="a web shell uploaded",
        path="www/uploads/x.php",
        kind="created",
        argv=_shell("echo '<?php system($_GET[c]);' > www/uploads/x.php"),
        uid=_WWW_DATA,
    ),
    Step(
        words="a file that comes and goes",
        path="etc/.stage",
        kind="transient",
        argv=_shell("echo payload > etc/.stage; rm etc/.stage"),
        auid=_BOB,
    ),
    Step(
        words="a denied try", path="etc/secrets", kind="attempted", argv=_shell("echo mine >> etc/secrets"), auid=_BOB, uid=_NOBODY
    ),
)
"""What is done to the tree, in this order."""


def make_tree(tree: Path) -> None:
    """Make the throw-away tree; others may pass through it, and write to the upload folder."""
    for name, mode in TREE_FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\nlogging = on\n")
        path.chmod(mode)
    for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    (tree / "www/uploads").chmod(0o777)


def render_demo_config(tree: Path, host: str) -> str:
    """Write the configuration that belongs to the tree."""
    return _CONFIG.format(tree=tree, host=host)


def run_step(step: Step, tree: Path) -> int:
    """Do one tampering in a child that is gone when this returns.

    Returns:
        The child's exit status: a denied try fails, as it should.
    """
    login = "-" if step.auid is None else str(step.auid)
    command: Sequence[str] = [sys.executable, "-I", "-S", "-c", _CHILD, login, str(step.uid), *step.argv]
    return subprocess.run(
        command,
        cwd=tree,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        check=False,
    ).returncode
