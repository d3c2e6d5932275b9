"""What administrators and intruders do, in shell and Python, with what must be found of each. Paths are below the work's folder.

``made`` prepares before the baseline (``$OUT`` is a folder that nobody watches); each step is a login id and a script. ``found``
has path: (kind, attribution, login id at the head, new path). What a work may leave beside that is in ``aside``.
"""

from typing import NamedTuple

from fimkit.model.findings import Attribution, Kind
from fimkit.model.paths import render_path

__all__ = ["WORKS", "Found", "Work"]

EXACT, AMBIGUOUS, UNATTRIBUTED = Attribution.EXACT, Attribution.AMBIGUOUS, Attribution.UNATTRIBUTED
FILES = "for i in a b c d; do echo $i > $i; done"


class Found(NamedTuple):
    """One finding; ``who`` is the login id of its first actor."""

    kind: Kind
    who: int | None
    attribution: Attribution = EXACT
    moved_to: str | None = None


class Work(NamedTuple):
    """One piece of work."""

    name: str
    made: str
    steps: tuple[tuple[int, str], ...]
    found: dict[str, Found]
    aside: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def _changed(who: int) -> Found:
    return Found(Kind.MODIFIED, who)


def _made(who: int) -> Found:
    return Found(Kind.CREATED, who)


def _gone(who: int) -> Found:
    return Found(Kind.DELETED, who)


def _python(script: str) -> str:
    return f"exec /usr/bin/python3 - <<'END'\n{script}\nEND"


WORKS = (
    Work(
        "editor",
        FILES,
        ((1, "vim -u NONE -n -es -c 'set backup writebackup backupcopy=no' -c 'normal Goxx' -c wq a"),),
        {"a": _changed(1)},
        aside=("a~", "4913"),
        needs=("vim",),
    ),
    Work(
        "package",
        "mkdir -p $OUT/p/DEBIAN $OUT/p$PWD $OUT/adm/info $OUT/adm/updates; : > $OUT/adm/status; : > $OUT/adm/available;"
        " printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' > $OUT/p/DEBIAN/control;"
        " echo new > $OUT/p$PWD/hi; echo old > hi; dpkg-deb -b $OUT/p $OUT/p.deb",
        ((1, "dpkg --force-all --log=/dev/null --admindir=$OUT/adm -i $OUT/p.deb"),),
        {"hi": _changed(1)},
        aside=("hi.dpkg-tmp", "hi.dpkg-new"),
        needs=("dpkg-deb",),
    ),
    Work(
        "users",
        "mkdir -p r/etc; cp /etc/login.defs r/etc; echo root:x:0:0:root:/root:/bin/sh > r/etc/passwd; echo 'root:*:1::::::' >"
        " r/etc/shadow; echo root:x:0: > r/etc/group; echo 'root:*::' > r/etc/gshadow",
        ((1, "useradd -R $PWD/r bob"),),
        {
            **{f"r/etc/{name}": _changed(1) for name in ("passwd", "shadow", "group", "gshadow")},
            **{f"r/etc/{name}-": _made(1) for name in ("passwd", "shadow", "group", "gshadow")},
            "r/etc/.pwd.lock": _made(1),
        },
        aside=("*+", "*.lock", "*.[0-9]*", "r/etc/subuid*", "r/etc/subgid*"),
        needs=("useradd",),
    ),
    Work(
        "archive",
        "mkdir -p $OUT/t/x/y; echo 1 > $OUT/t/x/y/f; ln $OUT/t/x/y/f $OUT/t/x/h; tar cf $OUT/t.tar -C $OUT/t x; mkdir x;"
        " echo old > x/h",
        ((1, "tar xf $OUT/t.tar"),),
        {"x/h": _changed(1), "x/y": _made(1), "x/y/f": _made(1)},
    ),
    Work(
        "rotation",
        "for i in '' .1 .2; do echo l$i > log$i; done",
        ((1, "mv log.2 log.3; mv log.1 log.2; mv log log.1; echo n > log"),),
        {"log": _changed(1), "log.1": _changed(1), "log.2": _changed(1), "log.3": _made(1)},
    ),
    Work(
        "links",
        FILES + "; ln a a2; ln -s b bl; ln -s c cl; ln -s a cur",
        ((1, "sed -i s/a/A/ a2"), (2, "sed -i s/b/B/ bl"), (3, "sed -i --follow-symlinks s/c/C/ cl"), (4, "ln -sfn b cur")),
        {"a": Found(Kind.ATTRIBUTES, 1), "a2": _changed(1), "bl": _changed(2), "c": _changed(3), "cur": _changed(4)},
        aside=("Cu*",),
    ),
    Work(
        "folder_renamed_and_made_again",
        "mkdir d; for i in 1 2 3 4; do echo $i > d/$i; done",
        (
            (1, "echo x >> d/1"),
            (2, "mv d d2"),
            (3, "echo y >> d2/2"),
            (4, "rm d2/3; echo new > d2/new"),
            (5, "mkdir d; echo again > d/4"),
        ),
        {
            "d": Found(Kind.ATTRIBUTES, 5),
            "d/1": Found(Kind.MOVED, 1, moved_to="d2/1"),
            "d/2": Found(Kind.MOVED, 3, moved_to="d2/2"),
            "d/3": _gone(4),
            "d/4": _changed(5),
            "d2": _made(2),
            "d2/4": _made(2),
            "d2/new": _made(4),
        },
    ),
    Work(
        "folder_brought",
        "mkdir -p $OUT/in/s; for i in 1 2 3 s/4; do echo $i > $OUT/in/$i; done",
        ((1, "mv $OUT/in ."), (2, "echo z >> in/2"), (3, "chmod 600 in/3"), (4, "rm in/1; chown 1000 in/s/4")),
        {
            "in": _made(1),
            "in/1": Found(Kind.TRANSIENT, 1),
            "in/2": _made(2),
            "in/3": _made(1),
            "in/s": _made(1),
            "in/s/4": _made(1),
        },
    ),
    Work(
        "folder_taken",
        "mkdir -p d/s; echo 1 > d/1; echo 2 > d/s/2",
        ((1, "mv d $OUT/taken"),),
        {name: _gone(1) for name in ("d", "d/1", "d/s", "d/s/2")},
    ),
    Work(
        "tree_removed",
        "mkdir -p d/e/f; echo 1 > d/1; echo 2 > d/e/2; echo 3 > d/e/f/3",
        ((1, "mv d q; mkdir d; rm -rf q; echo other > d/1"),),
        {
            "d": Found(Kind.ATTRIBUTES, 1),
            "d/1": _changed(1),
            **{name: _gone(1) for name in ("d/e", "d/e/2", "d/e/f", "d/e/f/3")},
        },
    ),
    Work(
        "folder_that_came_and_went",
        FILES,
        (
            (
                1,
                _python(
                    "import os, shutil\nhere = os.getcwd()\nos.makedirs('t/u')\nopen('t/u/f', 'w').write('x')\nos.chdir('/')\n"
                    "shutil.rmtree(here + '/t')"
                ),
            ),
        ),
        {name: Found(Kind.TRANSIENT, 1) for name in ("t", "t/u", "t/u/f")},
    ),
    Work(
        "passing_file_of_a_renamed_folder",
        FILES,
        ((1, "mkdir n; echo 1 > n/x; mv n m"), (2, "rm m/x; rmdir m")),
        {"m": Found(Kind.TRANSIENT, 1), "m/x": Found(Kind.TRANSIENT, 1)},
    ),
    Work(
        "removed_under_the_new_name",
        "mkdir d; echo x > d/x; ln d/x keep",
        ((1, "mv d e"), (2, "rm e/x")),
        {"d": Found(Kind.MOVED, 1, moved_to="e"), "d/x": _gone(2)},
    ),
    Work(
        "two_users",
        FILES,
        ((1, "echo 1 >> a; echo 1 > b"), (2, "echo 2 >> a"), (3, "chmod 755 b"), (4, "chmod 700 b"), (5, "chmod 755 b")),
        {"a": Found(Kind.MODIFIED, 2, AMBIGUOUS), "b": _changed(1)},
    ),
    Work(
        "temporary_file_of_a_tool",
        FILES,
        ((1, "T=$(mktemp tmp.XXXXXX); echo x > $T; chown 0:0 $T; mv $T tab"),),
        {"tab": Found(Kind.CREATED, 1, AMBIGUOUS)},
    ),
    Work(
        "access_lists",
        FILES + "; setfacl -m u:1001:rw a; setfacl -m u:1001:rw b; chmod 600 c",
        ((1, "chmod 600 a"), (2, "setfacl -m u:1002:rwx b"), (3, "chmod 640 c"), (4, "setfacl -m u:1001:rw c")),
        {"a": Found(Kind.ATTRIBUTES, 1), "b": Found(Kind.ATTRIBUTES, 2), "c": Found(Kind.ATTRIBUTES, 3)},
        needs=("setfacl",),
    ),
    Work(
        "capabilities",
        "for i in a b c; do cp /bin/true $i; setcap cap_net_raw+ep $i; done;"
        " cp /bin/true d; chmod 4755 d; cp /bin/true e; chmod 6755 e",
        (
            (1, "echo x >> a"),
            (2, "chown 1000 b"),
            (3, "setcap -r c"),
            (4, "chown 1000 d"),
            (5, "chmod 4700 e"),
            (6, "chown 1001 e"),
        ),
        {
            "a": _changed(1),
            **{name: Found(Kind.ATTRIBUTES, who) for name, who in (("b", 2), ("c", 3), ("d", 4), ("e", 5))},
        },
        needs=("setcap",),
    ),
    Work(
        "special_files",
        FILES,
        ((1, "mkfifo p; mknod n c 1 3"), (2, _python("import socket\nsocket.socket(socket.AF_UNIX).bind('s')"))),
        {"p": _made(1), "n": _made(1), "s": _made(2)},
    ),
    Work(
        "made_again",
        FILES,
        (
            (1, "cp a $OUT/saved"),
            (2, "rm a; cat $OUT/saved > a"),
            (3, "rm b; echo other > b"),
            (4, "rm c"),
            (5, "mkdir c"),
            (6, "mv d e; mv e f"),
        ),
        {"a": Found(Kind.ATTRIBUTES, 2), "b": _changed(3), "c": _changed(5), "d": Found(Kind.MOVED, 6, moved_to="f")},
    ),
    Work(
        "numbers_given_again",
        FILES,
        (
            (
                1,
                _python(
                    "import os\nfor i in range(300):\n    open('t', 'w').write('x')\n    os.unlink('t')\n"
                    "open('last', 'w').write('x')"
                ),
            ),
            (2, "echo later > later; rm a; echo z > a"),
        ),
        {"t": Found(Kind.TRANSIENT, 1), "last": _made(1), "later": _made(2), "a": _changed(2)},
    ),
    Work(
        "exchange",
        "echo 1 > a; echo 2 > b; mkdir x y x/s y/t; echo 1 > x/s/1; echo 2 > y/t/2",
        (
            (
                1,
                _python(
                    "import ctypes\nswap = ctypes.CDLL(None).renameat2\n"
                    "assert swap(-100, b'a', -100, b'b', 2) == swap(-100, b'x', -100, b'y', 2) == 0"
                ),
            ),
            (2, "echo more >> y/s/1"),
        ),
        {
            "a": _changed(1),
            "b": _changed(1),
            "x": Found(Kind.ATTRIBUTES, 1),
            "y": Found(Kind.ATTRIBUTES, 1),
            "x/s": Found(Kind.MOVED, 1, moved_to="y/s"),
            "y/t": Found(Kind.MOVED, 1, moved_to="x/t"),
            "x/s/1": Found(Kind.MOVED, 2, moved_to="y/s/1"),
        },
    ),
    Work(
        "another_root",
        FILES + "; mkdir sub $OUT/alias; echo s > sub/s",
        (
            (1, 'unshare -m sh -c "mount --bind . $OUT/alias && echo v >> $OUT/alias/a && rm -r $OUT/alias/sub"'),
            (2, _python("import os\nos.chroot('.')\nos.chdir('/')\nopen('/b', 'a').write('x')\nos.rename('/c', '/e')")),
            (3, 'unshare -m sh -c "mkdir m; mount -t tmpfs t m; echo h > m/hidden; rm m/hidden; umount m; rmdir m; echo x >> d"'),
        ),
        {
            "a": _changed(1),
            "sub": _gone(1),
            "sub/s": _gone(1),
            "b": _changed(2),
            "c": Found(Kind.MOVED, 2, moved_to="e"),
            "d": _changed(3),
        },
        aside=("m",),
        needs=("unshare",),
    ),
    Work(
        "folders_by_number",
        FILES + "; mkdir x y; for i in 1 2 3 4; do echo $i > x/$i; done",
        (
            (
                1,
                _python("""import os
x, y = os.open('x', 0), os.open('y', 0)
os.chdir('/')
os.rename('1', '1', src_dir_fd=x, dst_dir_fd=y)
os.write(os.open('2', os.O_WRONLY | os.O_APPEND, dir_fd=x), b'x')
os.unlink('3', dir_fd=x)
os.link('4', '4', src_dir_fd=x, dst_dir_fd=y)
os.symlink('t', 's', dir_fd=y)
os.write(os.open('n', os.O_WRONLY | os.O_CREAT, dir_fd=y), b'x')
os.close(os.open('t', os.O_WRONLY | os.O_CREAT, dir_fd=y))
os.unlink('t', dir_fd=y)"""),
            ),
        ),
        {
            "x/1": Found(Kind.MOVED, 1, moved_to="y/1"),
            "x/2": _changed(1),
            "x/3": _gone(1),
            "y/4": _made(1),
            "y/s": _made(1),
            "y/n": _made(1),
            "y/t": Found(Kind.TRANSIENT, 1),
        },
    ),
    Work(
        "one_process_in_many_shapes",
        FILES,
        (
            (1, "exec 3>>a; exec sh -c 'echo hi >&3; exec sh -c \"echo c >> a\"'"),
            (
                2,
                _python(
                    "import os\nfd = os.open('b', os.O_WRONLY)\n"
                    "if os.fork() == 0:\n    os.write(fd, b'child')\nelse:\n    os.wait()"
                ),
            ),
            (
                3,
                _python(
                    "import threading\nall = [threading.Thread(target=lambda: open('c', 'a').write('x')) for _ in 'ab']\n"
                    "[one.start() for one in all]\n[one.join() for one in all]"
                ),
            ),
        ),
        {"a": _changed(1), "b": _changed(2), "c": _changed(3)},
    ),
    Work(
        "out_of_sight",
        FILES + "; for i in a b c; do ln $i $OUT/hidden-$i; done",
        ((1, "for i in a b c; do echo h >> $OUT/hidden-$i; done"), (2, "mv a z"), (3, "mv b d")),
        {
            "a": Found(Kind.MOVED, 2, UNATTRIBUTED, moved_to="z"),
            "b": Found(Kind.MOVED, 3, UNATTRIBUTED, moved_to="d"),
            "c": Found(Kind.MODIFIED, None, UNATTRIBUTED),
            "d": Found(Kind.MODIFIED, 3, UNATTRIBUTED),
        },
    ),
    Work(
        "every_byte",
        FILES,
        ((1, _python("for i in set(range(1, 256)) - {47}:\n    open(b'n' + bytes([i]), 'w').write('x')")),),
        {"n" + render_path(bytes([number])): _made(1) for number in set(range(1, 256)) - {47}},
    ),
)
