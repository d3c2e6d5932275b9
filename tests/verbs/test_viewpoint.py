"""Below ``--root``: an image of another host, or a folder that a packager fills; and an install that is repeated there."""

import json
from pathlib import Path
from typing import Any

from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.verbs.install import install, uninstall
from fimkit.verbs.osquery_files import print_pack
from fimkit.verbs.viewpoint import find_viewpoint

PACK = "etc/osquery/packs/fimkit.conf"
RULES = "etc/audit/rules.d/40-fimkit.rules"


def config_of(*paths: Path | str) -> Config:
    sources = Sources(osquery_config=b"/etc/osquery/osquery.conf")
    watches = tuple(Watch(path=str(path).encode()) for path in paths)
    return Config(host=Host(name="web01", state_dir=b"/var/lib/fimkit"), paths=watches, sources=sources)


def patterns_of(root: Path) -> list[str]:
    pack: dict[str, Any] = json.loads((root / PACK).read_bytes())
    return sorted(pattern for patterns in pack["file_paths"].values() for pattern in patterns)


def tree_of(root: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def test_a_second_install_below_root_changes_nothing(tmp_path: Path) -> None:
    config = config_of("/etc/missing/deep", "/var/lib/nowhere/at/all")
    install(config, root=str(tmp_path))
    first = tree_of(tmp_path)
    assert install(config, root=str(tmp_path), dry_run=True).diff == ""
    assert install(config, root=str(tmp_path)).diff == ""
    assert tree_of(tmp_path) == first
    pack, _ = print_pack(config, root=str(tmp_path))
    assert pack == (tmp_path / PACK).read_bytes()
    uninstall(config, root=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_root_takes_what_the_paths_are_from_this_host(tmp_path: Path) -> None:
    tree, root = tmp_path / "tree", tmp_path / "root"
    (tree / "etc").mkdir(parents=True)
    (tree / "passwd").write_text("x")
    root.mkdir()
    config = config_of(tree / "etc", tree / "passwd")
    for _ in range(2):
        report = install(config, root=str(root))
        assert patterns_of(root) == [f"{tree}/%", f"{tree}/etc/%%"]
        rules = (root / RULES).read_text().splitlines()
        assert f"-a always,exit -F arch=b64 -F dir={tree}/etc -F perm=wa -F key=fimkit" in rules
        assert f"-a always,exit -F arch=b64 -F path={tree}/passwd -F perm=wa -F key=fimkit" in rules
    assert any("none of the watched paths is there" in words for words in report.words)
    assert report.diff == ""


def test_an_image_is_looked_at_itself(tmp_path: Path) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    (here / "only").mkdir(parents=True)
    (root / str(here)[1:] / "other").mkdir(parents=True)
    (root / str(here)[1:] / "other" / "file").write_text("x")
    config = config_of(here / "only", here / "other", here / "other" / "file")
    view = find_viewpoint(config, str(root), None)
    assert view.words == ()
    assert [view.look(watch.path).exists for watch in config.paths] == [False, True, True]
    assert view.place(config.paths[0].path).nearest == str(here).encode()


def test_a_folder_of_the_images_own_counts_though_an_install_wrote_into_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    config = config_of("/etc/osquery", "/etc")
    install(config, root=str(tmp_path))
    assert patterns_of(tmp_path) == ["/etc/%%"]
    assert install(config, root=str(tmp_path)).diff == ""


def test_a_folder_that_got_somebody_elses_file_is_there(tmp_path: Path) -> None:
    config = config_of("/etc/missing/deep")
    install(config, root=str(tmp_path))
    assert patterns_of(tmp_path) == ["/etc/%", "/etc/missing/deep/%%"]
    (tmp_path / "etc/hosts").write_text("x")
    assert find_viewpoint(config, str(tmp_path), None).words == ()
    install(config, root=str(tmp_path))
    assert patterns_of(tmp_path) == ["/etc/%", "/etc/missing/deep/%%"]


def test_what_is_missing_here_too_is_watched_from_the_nearest_folder_of_this_host(tmp_path: Path) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    here.mkdir()
    root.mkdir()
    for _ in range(2):
        install(config_of(here / "not/there"), root=str(root))
        assert patterns_of(root) == [f"{here}/%", f"{here}/not/there/%%"]
