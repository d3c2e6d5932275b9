"""What install writes for osquery: held against what osqueryd was seen to do, read by an osqueryd, and undone exactly."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fimkit.cli import main
from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.model.config_text import load_foreign_config
from fimkit.model.errors import HostError
from fimkit.testing.kernel import FakeKernel
from fimkit.verbs.effective import effective_watches
from fimkit.verbs.install import install, uninstall
from fimkit.verbs.place import look_at
from tests.osquery.pack_rules import check_pack
from tests.osqueryd import start_osqueryd, wait_for

PACK = "etc/osquery/packs/fimkit.conf"
PART = "etc/osquery/osquery.conf.d/fimkit.conf"
CONFIG = "etc/osquery/osquery.conf"


def entry(path: str, tier: str = "watch", **more: Any) -> str:
    keys = {"path": path, "tier": tier, **more}
    return "[[paths]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def make(root: Path, *files: str | bytes) -> None:
    for file in files:
        path = os.fsencode(root) + (file if isinstance(file, bytes) else file.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not path.endswith(b"/"):
            with open(path, "wb"):
                pass


def tree_of(root: Path) -> dict[str, tuple[int, bytes | None]]:
    found = {}
    for path in root.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        found[str(path.relative_to(root))] = (mode, path.read_bytes() if path.is_file() and not path.is_symlink() else None)
    return found


def folders_and_files(root: Path) -> tuple[list[bytes], list[bytes]]:
    base, folders, files = os.fsencode(root), [], []
    for folder, below, names in os.walk(base):
        shown = folder[len(base) :]
        folders.append(shown or b"/")
        files += [shown + b"/" + name for name in names]
        files += [shown + b"/" + name for name in below if os.path.islink(os.path.join(folder, name))]
    return folders, files


def fimkit(tmp_path: Path, *words: str, entries: Iterable[str] = (), osquery: str = "/etc/osquery/osquery.conf") -> int:
    config = tmp_path / "fimkit.toml"
    if entries:
        text = f'[host]\nname = "h"\n[sources]\nosquery_config = "{osquery}"\nosquery_interval_s = 7\n'
        config.write_text(text + "".join(entries), encoding="utf-8")
    return main(["--config", str(config), *words])


ODD = ["a b", 'qu"ote\'s', "100%", "br[a]ck{e}ts?", "back\\slash", "new\nline", "ünï-日本", "star*", ".hid%den", "#hash", "~tilde"]

CONFIGURATIONS: dict[str, tuple[list[str], list[str | bytes]]] = {
    "one path": ([entry("/sbin", "critical")], ["/sbin/a/b/init"]),
    "a single file": ([entry("/etc/passwd", "critical")], ["/etc/passwd", "/etc/group"]),
    "overlapping tiers": (
        [entry("/etc"), entry("/etc/ssh", "critical"), entry("/etc/ssh/moduli"), entry("/srv", "critical"), entry("/srv/tmp")],
        ["/etc/ssh/moduli", "/etc/ssh/keys/a", "/etc/hosts", "/srv/tmp/x/y"],
    ),
    "three deep": (
        [entry("/a"), entry("/a/b", "critical"), entry("/a/b/c"), entry("/a/b/c/d.txt", "critical")],
        ["/a/b/c/d.txt", "/a/b/c/e/f", "/a/x/y"],
    ),
    "excludes": (
        [
            entry(
                "/var/www",
                exclude=["*.swp", "/var/www/cache/*", "/var/www/one.log", "/var/www/old", "/var/www/*/tmp/*", "/var/www/in/*"],
            ),
            entry("/var/www/in/site", "critical"),
        ],
        [f"/var/www/{name}" for name in ("cache/a/b", "one.log", "old/x/y", "in/site/index", "z/tmp/t", "a.swp")],
    ),
    "a missing path": (
        [entry("/srv/later/on", "critical"), entry("/opt/file"), entry("/srv/here/sub")],
        ["/srv/x", "/srv/here/y", "/opt/"],
    ),
    "odd names": ([entry(f"/odd/{name}") for name in ODD], [f"/odd/{name}/sub/file" for name in ODD]),
    "500 paths": (
        [
            entry(f"/data/{number % 20}/{number}", "critical" if number % 3 else "watch", recursive=number % 2 == 0)
            for number in range(500)
        ],
        [f"/data/{number % 20}/{number}/x/y" for number in range(500)],
    ),
    "non-recursive": (
        [
            entry("/etc", recursive=False),
            entry("/etc/ssh"),
            entry("/etc/ssh/keys", "critical", recursive=False),
            entry("/etc/cron.d/a"),
        ],
        ["/etc/ssh/keys/a/b", "/etc/cron.d/a", "/etc/x/y"],
    ),
    "include": (
        [entry("/app", include=["*.conf"]), entry("/app/bin", "critical")],
        ["/app/a.conf", "/app/sub/b.txt", "/app/bin/run"],
    ),
    "the whole system": (
        [entry("/", exclude=["/proc/*", "/sys/*", "/dev/*"]), entry("/sbin", "critical")],
        ["/proc/1/x", "/sbin/y"],
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_nothing_wanted_is_lost(tmp_path: Path, name: str) -> None:
    entries, files = CONFIGURATIONS[name]
    root = tmp_path / "root"
    root.mkdir()
    make(root, *files)
    folders, plain = folders_and_files(root)
    assert fimkit(tmp_path, "install", "--root", str(root), entries=entries) == 0
    watches = load_foreign_config(tmp_path / "fimkit.toml").paths
    news = [b"new", b".new", b"x.conf", b"[", "é".encode()]
    pack = check_pack((root / PACK).read_bytes(), watches, folders=folders, files=plain, news=news)
    assert pack["queries"]["file_events"]["interval"] == 7


def test_excludes_are_written_in_forms_that_osqueryd_honours(tmp_path: Path) -> None:
    entries, files = CONFIGURATIONS["excludes"]
    make(tmp_path / "root", *files)
    fimkit(tmp_path, "install", "--root", str(tmp_path / "root"), entries=entries)
    pack = json.loads((tmp_path / "root" / PACK).read_text())
    assert pack["exclude_paths"] == {"fimkit_watch": ["/var/www/cache/%%", "/var/www/old/%%", "/var/www/one.log"]}


def test_links_are_followed_and_watched_by_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root, "/usr/sbin/init", b"/data/b\xffd/x", "/real/target/file", "/real/sub/x")
    (root / "sbin").symlink_to("usr/sbin")
    os.symlink(b"/data/b\xffd", os.fsencode(root) + b"/odd")
    (root / "link").symlink_to("/real/target/file")
    (root / "via").symlink_to("/real")
    (root / "gone").symlink_to("/nowhere/at/all")
    folders, plain = folders_and_files(root)
    paths = ["/sbin", "/odd", "/link", "/via/sub", "/gone"]
    assert fimkit(tmp_path, "install", "--root", str(root), entries=[entry(path) for path in paths]) == 0
    watches = effective_watches(load_foreign_config(tmp_path / "fimkit.toml").paths, lambda path: look_at(path, os.fsencode(root)))
    # What lies behind a link is known to osqueryd, and to the checker, by its real place alone.
    real = [watch for watch in watches if watch.path != b"/via/sub"]
    pack = check_pack((root / PACK).read_bytes(), real, folders=folders, files=plain)
    assert pack["file_paths"]["fimkit_watch"] == [
        "/%", "/data/b%d/%%", "/nowhere/at/all/%%", "/real/sub/%%", "/real/target/%", "/usr/sbin/%%",
    ]  # fmt: skip


# What is written where.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path / "root", "/srv/www/index")
    return tmp_path / "root"


WWW = [entry("/srv/www", "critical")]


def test_the_pack_is_named_in_a_part_of_the_configuration_and_an_empty_one_is_made(tmp_path: Path, root: Path) -> None:
    before = tree_of(root)
    assert fimkit(tmp_path, "install", "--root", str(root), entries=WWW) == 0
    assert json.loads((root / PART).read_text())["packs"] == {"fimkit": f"/{PACK}"}
    assert json.loads((root / CONFIG).read_text()) == {}
    assert {tree_of(root)[path][0] for path in (PACK, PART, CONFIG)} == {0o644}
    assert {tree_of(root)[path][0] for path in ("etc/osquery", "etc/osquery/packs", "etc/osquery/osquery.conf.d")} == {0o755}
    after = tree_of(root)
    assert fimkit(tmp_path, "install", "--root", str(root)) == 0 and tree_of(root) == after
    assert fimkit(tmp_path, "uninstall", "--root", str(root)) == 0 and tree_of(root) == before


def test_the_naming_text_changes_with_the_pack_or_osqueryd_would_not_read_it_again(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    first = (root / PART).read_bytes()
    fimkit(tmp_path, "install", "--root", str(root), entries=[*WWW, entry("/srv")])
    assert (root / PART).read_bytes() != first


def test_an_existing_configuration_is_left_as_it_is(tmp_path: Path, root: Path) -> None:
    text = '// ours\n{\n  # a comment\n  "schedule": {}, "file_paths": {"theirs": ["/srv/www/cache/%%"]}\n}\n'
    make(root, f"/{CONFIG}", "/srv/www/cache/x", "/srv/www/logs/y")
    (root / CONFIG).write_text(text)
    before = tree_of(root)
    entries = [entry("/srv/www", exclude=["/srv/www/cache/*", "/srv/www/logs/*"])]
    assert fimkit(tmp_path, "install", "--root", str(root), entries=entries) == 0
    assert (root / CONFIG).read_text() == text
    # What osqueryd leaves out for us it leaves out for all.
    assert json.loads((root / PACK).read_text())["exclude_paths"] == {"fimkit_watch": ["/srv/www/logs/%%"]}
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert tree_of(root) == before


def test_an_empty_configuration_that_somebody_fills_is_theirs(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    (root / CONFIG).write_text('{"schedule": {}}')
    assert fimkit(tmp_path, "install", "--root", str(root)) == 0
    assert (root / CONFIG).read_text() == '{"schedule": {}}'
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert (root / CONFIG).read_text() == '{"schedule": {}}' and not (root / PACK).exists()


def test_one_filled_after_the_last_install_stays_at_uninstall_and_is_told(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    (root / CONFIG).write_text('{"schedule": {}}')
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert (root / CONFIG).exists() and "so it stays" in capsys.readouterr().err


def test_a_pack_changed_by_hand_is_kept_aside_where_osqueryd_does_not_read(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    (root / PART).write_text('{"packs": {}}')
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert (root / (PART + ".changed")).read_text() == '{"packs": {}}' and not (root / PART).exists()


def test_another_file_of_that_name_is_put_back(tmp_path: Path, root: Path) -> None:
    make(root, f"/{PART}")
    (root / PART).write_text('{"schedule": {}}')
    (root / PART).chmod(0o600)
    before = tree_of(root)
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    fimkit(tmp_path, "install", "--root", str(root), entries=[*WWW, entry("/srv")])
    assert (root / PART).read_text() != '{"schedule": {}}'
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert tree_of(root) == before


def test_uninstall_without_a_memory_knows_its_files(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    (root / "var/lib/fimkit/install.json").unlink()
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert not (root / PACK).exists() and not (root / PART).exists()
    assert (root / CONFIG).exists()  # nothing tells whose it is


def test_no_osquery_here_means_none_of_its_files_and_takes_earlier_ones_away(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW, osquery="")
    assert not [path for path in tree_of(root) if path.endswith(".conf")]
    assert (root / "etc/audit/rules.d/40-fimkit.rules").exists()


def test_a_fleet_manager_gets_no_files_and_is_pointed_to_print_pack(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(root, "/etc/osquery/osquery.flags")
    (root / "etc/osquery/osquery.flags").write_text("--config_plugin=tls\n")
    assert fimkit(tmp_path, "install", "--root", str(root), entries=WWW) == 0
    words = capsys.readouterr().err
    assert "from tls (/etc/osquery/osquery.flags:1)" in words and "--print-pack" in words
    assert not (root / PACK).exists() and (root / "etc/audit/rules.d/40-fimkit.rules").exists()


def test_a_configuration_elsewhere_is_told(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(root, "/etc/osquery/osquery.flags")
    (root / "etc/osquery/osquery.flags").write_text("--config_path=/opt/osquery.conf\n")
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    assert "--config_path is /opt/osquery.conf" in capsys.readouterr().err


def test_print_pack_prints_the_pack_alone_and_changes_nothing(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree_of(root)
    entries = [*WWW, entry("/srv/none")]
    assert fimkit(tmp_path, "install", "--print-pack", "--root", str(root), entries=entries) == 0
    printed = capsys.readouterr()
    assert tree_of(root) == before and "/srv/none does not exist" in printed.err
    fimkit(tmp_path, "install", "--root", str(root))
    assert printed.out == (root / PACK).read_text()


def test_dry_run_shows_every_file_and_changes_nothing(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree_of(root)
    assert fimkit(tmp_path, "install", "--dry-run", "--root", str(root), entries=WWW) == 0
    printed = capsys.readouterr().out
    assert tree_of(root) == before
    assert all(f"+++ {root / path}\n" in printed for path in (PACK, PART, CONFIG))
    assert '+      "/srv/www/%%"\n' in printed
    fimkit(tmp_path, "install", "--root", str(root))
    capsys.readouterr()
    fimkit(tmp_path, "install", "--dry-run", "--root", str(root))
    assert capsys.readouterr().out == ""
    fimkit(tmp_path, "uninstall", "--dry-run", "--root", str(root))
    assert '-      "/srv/www/%%"\n' in capsys.readouterr().out


def test_a_failure_half_way_leaves_all_as_it_was(tmp_path: Path, root: Path) -> None:
    make(root, f"/{CONFIG}.d")  # a file where a folder must be
    before = tree_of(root)
    assert fimkit(tmp_path, "install", "--root", str(root), entries=WWW) == 3
    assert tree_of(root) == before


def test_a_kernel_that_refuses_leaves_no_pack(tmp_path: Path, root: Path) -> None:
    config = Config(
        host=Host(name="h", state_dir=os.fsencode(root / "state")),
        paths=(Watch(path=os.fsencode(root / "srv")),),
        sources=Sources(osquery_config=os.fsencode(root / "osquery/osquery.conf")),
    )
    before = tree_of(root)
    with pytest.raises(HostError, match="no right"):
        install(config, rules_file=str(root / "40.rules"), open_kernel=lambda: FakeKernel(deny=HostError("no right")))
    assert tree_of(root) == before
    kernel = FakeKernel()
    install(config, rules_file=str(root / "40.rules"), open_kernel=lambda: kernel)
    assert (root / "osquery/packs/fimkit.conf").exists() and kernel.rules()
    uninstall(config, rules_file=str(root / "40.rules"), open_kernel=lambda: kernel)
    assert tree_of(root) == before and not kernel.rules()


def test_the_memory_of_the_first_version_is_read(tmp_path: Path, root: Path) -> None:
    rules = root / "etc/audit/rules.d/40-fimkit.rules"
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW, osquery="")
    memory = root / "var/lib/fimkit/install.json"
    row = json.loads(memory.read_text())
    [file] = row["files"]
    old = {"version": 1, "before": "IyB0aGVpcnMK", "written": file["written"], "folders": row["folders"], "rules": row["rules"]}
    memory.write_text(json.dumps(old))
    fimkit(tmp_path, "install", "--root", str(root), entries=WWW)
    assert json.loads(memory.read_text())["version"] == 2
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert rules.read_text() == "# theirs\n" and not (root / PACK).exists()


def test_a_link_for_a_configuration_is_left_alone(tmp_path: Path, root: Path) -> None:
    make(root, "/etc/osquery/packs/theirs.conf")
    (root / CONFIG).symlink_to("elsewhere.conf")
    assert fimkit(tmp_path, "install", "--root", str(root), entries=WWW) == 0
    assert os.readlink(root / CONFIG) == "elsewhere.conf" and (root / PACK).exists()
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert os.readlink(root / CONFIG) == "elsewhere.conf" and (root / "etc/osquery/packs/theirs.conf").exists()


def test_what_is_wrong_with_this_osquery_is_said(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(root, f"/{CONFIG}", "/usr/bin/osqueryd")
    (root / CONFIG).write_text('{"file_paths": {"theirs": ["/srv/%%/logs"]}}')
    fimkit(tmp_path, "install", "--dry-run", "--root", str(root), entries=WWW)
    words = capsys.readouterr().err
    assert "/srv/%%/logs" in words and "--enable_file_events=true" in words


# Read by an osqueryd.


def events_of(running: Any) -> set[tuple[str, str]]:
    lines = [line for line in running.results() if line["name"] == "pack_fimkit_file_events"]
    return {(line["columns"]["action"], line["columns"]["target_path"]) for line in lines if "columns" in line}


def install_for_osqueryd(tmp_path: Path, tree: Path, *names: str) -> list[str]:
    """Install for watched ``names`` of a tree, with the kernel's part on a double; give osqueryd's flags."""
    file = tmp_path / "osquery/osquery.conf"
    file.parent.mkdir(exist_ok=True)
    config = Config(
        host=Host(name="h", state_dir=os.fsencode(tmp_path / "state")),
        paths=tuple(Watch(path=os.fsencode(tree / name), exclude=(f"{tree}/www/cache/*",)) for name in names),
        sources=Sources(osquery_config=os.fsencode(file), osquery_interval_s=1),
    )
    install(config, rules_file=str(tmp_path / "40.rules"), open_kernel=FakeKernel)
    flags = ["--disable_events=false", "--enable_file_events=true", "--disable_audit=true", "--logger_event_type=true"]
    return [*flags, f"--config_path={file}"]


def test_osqueryd_takes_up_a_pack_that_is_installed_anew(tmp_path: Path) -> None:
    tree = Path(os.path.realpath(tmp_path)) / "tree"
    make(tree, "/www/index", "/later/x")
    flags = install_for_osqueryd(tmp_path, tree, "www")
    with start_osqueryd(tmp_path / "run", flags=[*flags, "--config_refresh=1"]) as running:
        assert wait_for(lambda: running.query("SELECT name FROM osquery_packs WHERE name = 'fimkit'"))
        install_for_osqueryd(tmp_path, tree, "www", "later")

        def seen() -> bool:
            (tree / "later/x").write_text("again")
            return any(path == f"{tree}/later/x" for _, path in events_of(running))

        assert wait_for(seen, every_s=0.5)


def test_osqueryd_tells_of_changes_by_the_installed_pack(tmp_path: Path) -> None:
    tree = Path(os.path.realpath(tmp_path)) / "tree"
    make(tree, "/www/index", "/www/cache/x", "/etc/passwd", "/100%/a[b]/x", "/plain[c]/x")
    flags = install_for_osqueryd(tmp_path, tree, "www", "etc/passwd", "100%/a[b]", "plain[c]", "missing/sub")
    with start_osqueryd(tmp_path / "run", flags=flags) as running:
        assert wait_for(lambda: any(row["name"] == "fimkit" for row in running.query("SELECT name FROM osquery_packs")))
        (tree / "www/cache/unseen").write_text("x")
        (tree / "www/new").write_text("x")
        draft = tree / "etc/passwd.tmp"
        draft.write_text("y")
        draft.rename(tree / "etc/passwd")
        (tree / "100%/a[b]/x").write_text("z")
        (tree / "plain[c]/x").write_text("z")
        (tree / "missing").mkdir()
        wanted = {
            ("CREATED", f"{tree}/www/new"),
            ("MOVED_TO", f"{tree}/etc/passwd"),
            ("UPDATED", f"{tree}/100%/a[b]/x"),
            ("UPDATED", f"{tree}/plain[c]/x"),
            ("CREATED", f"{tree}/missing"),
        }
        wait_for(lambda: wanted <= events_of(running))
        seen = events_of(running)
    assert wanted <= seen and not any("cache" in path for _, path in seen)
