"""Makes incidents for live tests: a tree, steps under login ids, and the truth of each. Names, users and order come from a seed."""

import hashlib
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fimkit.model.paths import render_path
from tests.live import LiveAudit, Ran

PYTHON = "/usr/bin/python3"
CONFIG = """
[host]
name = "{name}"
state_dir = "{state}"

[sources]
audit_log = "{log}"
osquery_log = "{state}/none.log"
osquery_config = ""

[[paths]]
path = "{tree}/sbin"
tier = "critical"

[[paths]]
path = "{tree}/etc"

[[paths]]
path = "{tree}/home"

[[paths]]
path = "{tree}/www"
exclude = ["{tree}/www/cache/*"]
scan_content = true
"""


def _sha256(path: bytes) -> str | None:
    if os.path.islink(path) or not os.path.isfile(path):
        return None
    return hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()


def real(program: str) -> str:
    """Give the file that a program's name leads to: what the kernel calls its exe."""
    return os.path.realpath(program)


class Incident:
    """One incident on a tree of its own; ``truths`` grows by a row a step, in the form of the samples."""

    def __init__(self, tree: Path, seed: int) -> None:
        self.tree = tree
        self.chance = random.Random(seed)
        self.truths: list[dict[str, Any]] = []
        self.aside: list[str] = []
        self.users = self.chance.sample(range(2000, 60000), 4)
        words = ["alpha", "mail", "proxy", "sync", "relay", "vault", "queue", "cron", "ident", "motd", "lease", "route"]
        self.chance.shuffle(words)
        self.names = iter(f"{word}{number}.conf" for number in range(9) for word in words)
        for folder in ("sbin", "etc/conf.d", "etc/old.d/deep", "home/user", "www/cache", "www/uploads"):
            (tree / folder).mkdir(parents=True)
        (tree / "www/uploads").chmod(0o777)
        tree.chmod(0o755)
        for name in ("one", "two", "three"):
            self._put(f"sbin/{name}", 0o755)
        for folder in ("etc/conf.d", "etc/old.d", "etc/old.d/deep"):
            for name in ("x", "y"):
                self._put(f"{folder}/{name}", 0o644)

    def _put(self, name: str, mode: int) -> Path:
        path = self.tree / name
        path.write_bytes(b"".join(b"option%d = %d\n" % (line, self.chance.randrange(1000)) for line in range(20)))
        path.chmod(mode)
        return path

    def fresh(self, folder: str = "etc") -> str:
        """Make one more file for a step, and give its name below the tree."""
        name = f"{folder}/{next(self.names)}"
        self._put(name, 0o644)
        return name

    def prepare(self) -> None:
        """Draw the steps and make their files; to be called before the baseline."""
        self.steps: list[tuple[str, Callable[[LiveAudit], None]]] = []
        for name in sorted(step for step in dir(self) if step.startswith("step_")):
            prepared = getattr(self, name)()
            self.steps.append((name.removeprefix("step_"), prepared))
        self.chance.shuffle(self.steps)

    def run(self, live: LiveAudit) -> None:
        """Do all steps, in the order drawn."""
        for _, step in self.steps:
            step(live)
            time.sleep(self.chance.choice([0, 0.02, 0.05]))

    def _does(
        self,
        step: str,
        path: str | bytes,
        argv: Sequence[str | bytes],
        kind: str,
        *,
        exe: str | None = None,
        auid: int | None = None,
        uid: int = 0,
        attribution: str = "exact",
        moved_to: str | None = None,
        child: bool = False,
    ) -> Callable[[LiveAudit], None]:
        whole = os.path.join(os.fsencode(self.tree), os.fsencode(path))
        login = self.chance.choice([None, *self.users]) if auid is None else auid

        def go(live: LiveAudit) -> None:
            before, start = _sha256(whole), time.time_ns()
            ran = live.run(argv, auid=login, uid=uid or None, cwd=self.tree)
            self.truths.append(
                self._truth(
                    step,
                    whole,
                    kind,
                    ran,
                    (start, time.time_ns()),
                    before,
                    exe=exe or real(os.fsdecode(argv[0])),
                    auid=login,
                    uid=uid,
                    attribution=attribution,
                    moved_to=moved_to,
                    child=child,
                )
            )
            assert ran.returncode == 0 or kind == "attempted", ran

        return go

    def _truth(
        self,
        step: str,
        path: bytes,
        kind: str,
        ran: Ran,
        times: tuple[int, int],
        before: str | None,
        *,
        exe: str,
        auid: int | None,
        uid: int,
        attribution: str,
        moved_to: str | None,
        child: bool,
    ) -> dict[str, Any]:
        return {
            "step": step,
            "path": render_path(path),
            "kind": kind,
            "attribution": attribution,
            "pid": None if child else ran.pid,
            "auid": auid,
            "uid": uid,
            "exe": exe,
            "time_ns": list(times),
            "sha256_before": before,
            "sha256_after": _sha256(path),
            "moved_to": None if moved_to is None else render_path(os.path.join(os.fsencode(self.tree), os.fsencode(moved_to))),
        }

    def _shell(self, step: str, path: str, script: str, kind: str, **more: Any) -> Callable[[LiveAudit], None]:
        return self._does(step, path, ["/bin/sh", "-c", script], kind, **more)

    def _python(self, step: str, path: str | bytes, script: str, kind: str, **more: Any) -> Callable[[LiveAudit], None]:
        return self._does(step, path, [PYTHON, "-c", script], kind, **more)

    def step_append(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._shell("append", name, f"echo evil >> {name}", "modified")

    def step_truncate_write(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._shell("truncate_write", name, f"echo fresh > {name}", "modified")

    def step_truncate(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("truncate", name, ["/usr/bin/truncate", "-s", "3", name], "modified")

    def step_truncate_call(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._python("truncate_call", name, f"import os; os.truncate({name!r}, 5)", "modified")

    def step_sed(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("sed", name, ["/bin/sed", "-i", "s/option/0ption/", name], "modified")

    def step_atomic_replace(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._python(
            "atomic_replace",
            name,
            f"import os; open({name + '.tmp'!r},'w').write('new'); os.replace({name + '.tmp'!r},{name!r})",
            "modified",
        )

    def step_replace_by_other_hands(self) -> Callable[[LiveAudit], None]:
        """One process makes the bytes, another moves them into place: the maker comes first."""
        name = self.fresh()
        return self._shell(
            "replace_two_hands",
            name,
            f"cp /bin/true {name}.new; mv -f {name}.new {name}; true",
            "modified",
            exe=real("/bin/cp"),
            child=True,
        )

    def step_same_content(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._python("same_content", name, f"d=open({name!r}).read(); open({name!r},'w').write(d)", "none")

    def step_touch(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("touch", name, ["/bin/touch", name], "none")

    def step_trojan(self) -> Callable[[LiveAudit], None]:
        return self._does("trojan", "sbin/two", ["/bin/cp", "/bin/true", "sbin/two"], "modified")

    def step_create_tool(self) -> Callable[[LiveAudit], None]:
        return self._does("create_tool", "sbin/newtool", ["/bin/cp", "/bin/ls", "sbin/newtool"], "created")

    def step_set_id(self) -> Callable[[LiveAudit], None]:
        return self._does("set_id", "sbin/three", ["/bin/chmod", "4755", "sbin/three"], "attributes")

    def step_setuid_copy(self) -> Callable[[LiveAudit], None]:
        return self._shell(
            "setuid_copy",
            "home/user/sh",
            "cp /bin/sh home/user/sh; chmod 4755 home/user/sh",
            "created",
            exe=real("/bin/cp"),
            child=True,
        )

    def step_chown(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("chown", name, ["/bin/chown", "1000:1000", name], "attributes")

    def step_xattr(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._python("xattr", name, f"import os; os.setxattr({name!r}, 'user.note', b'x')", "attributes")

    def step_unlink(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("unlink", name, ["/bin/rm", name], "deleted")

    def step_remove_tree(self) -> Callable[[LiveAudit], None]:
        """Works with real dirfds: the names in the records are wrong."""
        folder = self.tree / "home/user/stale/inner"
        folder.mkdir(parents=True)
        (folder / "left.txt").write_text("left\n")
        step = self._does("remove_tree", "home/user/stale/inner/left.txt", ["/bin/rm", "-rf", "home/user/stale"], "deleted")
        self.aside += [render_path(os.fsencode(self.tree / name)) for name in ("home/user/stale", "home/user/stale/inner")]
        return step

    def step_rename(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("rename", name, ["/bin/mv", name, name + ".bak"], "moved", moved_to=name + ".bak")

    def step_rename_over(self) -> Callable[[LiveAudit], None]:
        name, other = self.fresh(), self.fresh()
        self.aside.append(render_path(os.fsencode(self.tree / name)))
        return self._does("rename_over", other, ["/bin/mv", "-f", name, other], "modified")

    def step_rename_folder(self) -> Callable[[LiveAudit], None]:
        return self._does(
            "rename_folder", "etc/conf.d", ["/bin/mv", "etc/conf.d", "etc/conf.moved"], "moved", moved_to="etc/conf.moved"
        )

    def step_change_in_renamed_folder(self) -> Callable[[LiveAudit], None]:
        """A folder is renamed, and one file in it changed: the file has a finding of its own."""
        self.aside.append(render_path(os.fsencode(self.tree / "etc/old.d")))
        return self._shell(
            "renamed_and_changed",
            "etc/old.d/deep/y",
            "mv etc/old.d etc/new.d; echo more >> etc/new.d/deep/y",
            "moved",
            moved_to="etc/new.d/deep/y",
        )

    def step_move_in(self) -> Callable[[LiveAudit], None]:
        outside = self.tree.parent / "brought"
        outside.write_text("from elsewhere\n")
        return self._does("move_in", "etc/brought", ["/bin/mv", str(outside), "etc/brought"], "created")

    def step_move_out(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("move_out", name, ["/bin/mv", name, str(self.tree.parent / "taken")], "deleted")

    def step_hard_link_outside(self) -> Callable[[LiveAudit], None]:
        os.link(self.tree / "sbin/one", self.tree.parent / "alias")
        return self._shell(
            "hard_link_outside", "sbin/one", f"echo x >> {self.tree.parent}/alias", "modified", attribution="unattributed"
        )

    def step_hard_link(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("hard_link", "etc/hard", ["/bin/ln", name, "etc/hard"], "created")

    def step_symlink(self) -> Callable[[LiveAudit], None]:
        return self._does("symlink", "etc/link", ["/bin/ln", "-s", "nowhere", "etc/link"], "created")

    def step_write_by_symlink(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        os.symlink(os.path.basename(name), self.tree / "etc/alias.conf")
        return self._shell("write_by_symlink", name, "echo via >> etc/alias.conf", "modified")

    def step_two_writers(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        script = f"(exec 3>>{name}; sleep 0.1; echo a >&3) & (exec 4>>{name}; sleep 0.05; echo b >&4) & wait"
        return self._shell("two_writers", name, script, "modified", attribution="ambiguous", child=True)

    def step_mmap(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        script = f"import mmap,os; m=mmap.mmap(os.open({name!r},os.O_RDWR),0); m[0:1]=b'X'; m.close()"
        return self._python("mmap", name, script, "modified")

    def step_tmpfile(self) -> Callable[[LiveAudit], None]:
        script = (
            "import os; f=os.open('etc',os.O_TMPFILE|os.O_WRONLY,0o644); os.write(f,b'x'); "
            "os.link(f'/proc/self/fd/{f}','etc/tmpfiled',src_dir_fd=os.open('.',os.O_RDONLY),follow_symlinks=True)"
        )
        return self._python("tmpfile", "etc/tmpfiled", script, "created")

    def step_names(self) -> Callable[[LiveAudit], None]:
        name = self.chance.choice(
            [
                b"etc/with space",
                b"etc/new\nline",
                b"etc/bad\xffname",
                "etc/\u00fcn\u00ef-\uc124".encode(),
                b"etc/100%",
                b'etc/quo"te',
                b"etc/(null)",
            ]
        )
        return self._python("names", name, f"open({name!r},'w').write('n')", "created")

    def step_transient(self) -> Callable[[LiveAudit], None]:
        return self._shell("transient", "etc/blink", "echo gone > etc/blink; rm etc/blink", "transient")

    def step_denied(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._python("denied", name, f"open({name!r},'a')", "attempted", uid=self.users[0], auid=self.users[0])

    def step_denied_unlink(self) -> Callable[[LiveAudit], None]:
        name = self.fresh()
        return self._does("denied_unlink", name, ["/bin/rm", "-f", name], "attempted", uid=self.users[1], auid=self.users[1])

    def step_webshell(self) -> Callable[[LiveAudit], None]:
        return self._python(
            "webshell", "www/uploads/a.php", "open('www/uploads/a.php','w').write('<?php system(1);')", "created", uid=33
        )

    def step_excluded(self) -> Callable[[LiveAudit], None]:
        return self._shell("excluded", "www/cache/c1", "for i in 1 2 3; do echo $i > www/cache/c$i; done", "none")

    def step_made_on_the_way(self) -> Callable[[LiveAudit], None]:
        self.aside += [render_path(os.fsencode(self.tree / name)) for name in ("etc/a", "etc/a/b")]
        return self._shell("made_on_the_way", "etc/a/b/f", "mkdir -p etc/a/b && echo x > etc/a/b/f", "created")
