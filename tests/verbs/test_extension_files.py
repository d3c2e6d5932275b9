"""The extension's files: started by osqueryd, kept by an install without the option, undone exactly; what stops them is told."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.cli import main
from fimkit.osquery.queries import load_queries
from tests.osqueryd import start_osqueryd, wait_for
from tests.verbs.test_install_osquery import CONFIG, PACK, PART, WWW, fimkit, make, root, tree_of

__all__ = ["root"]  # a fixture

SCRIPT = "usr/lib/osquery/extensions/fimkit.ext"
LOAD = "etc/osquery/extensions.load"
FINDINGS = "etc/osquery/packs/fimkit-findings.conf"


def flags(root: Path, *lines: str) -> None:
    make(root, "/etc/osquery/osquery.flags")
    (root / "etc/osquery/osquery.flags").write_text("".join(f"{line}\n" for line in lines))


def test_script_line_and_pack_come_and_go(tmp_path: Path, root: Path) -> None:
    before = tree_of(root)
    assert fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW) == 0
    after = tree_of(root)
    assert after[SCRIPT][0] == 0o755 and all(after[str(folder)][0] == 0o755 for folder in list(Path(SCRIPT).parents)[:-1])
    assert (root / LOAD).read_text() == f"/{SCRIPT}\n"
    assert json.loads((root / PART).read_text())["packs"] == {"fimkit": f"/{PACK}", "fimkit_findings": f"/{FINDINGS}"}
    queries = json.loads((root / FINDINGS).read_text())["queries"]
    assert set(queries) == {query.name for query in load_queries("findings")}
    assert all("fimkit_" in query["query"] for query in queries.values())
    assert fimkit(tmp_path, "install", "--extension", "--root", str(root)) == 0 and tree_of(root) == after
    assert fimkit(tmp_path, "uninstall", "--root", str(root)) == 0 and tree_of(root) == before


def test_an_install_without_the_option_leaves_it_as_it_is(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    after = tree_of(root)
    assert fimkit(tmp_path, "install", "--root", str(root)) == 0 and tree_of(root) == after
    assert "the extension stays as it is" in capsys.readouterr().err


def test_lines_of_others_stay(tmp_path: Path, root: Path) -> None:
    make(root, f"/{LOAD}")
    (root / LOAD).write_text("/opt/theirs.ext")
    before = tree_of(root)
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    assert (root / LOAD).read_text() == f"/opt/theirs.ext\n/{SCRIPT}\n"
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert tree_of(root) == before


def test_uninstall_without_a_memory_knows_them(tmp_path: Path, root: Path) -> None:
    make(root, f"/{LOAD}")
    (root / LOAD).write_text("/opt/theirs.ext\n")
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    (root / "var/lib/fimkit/install.json").unlink()
    fimkit(tmp_path, "uninstall", "--root", str(root))
    assert not (root / SCRIPT).exists() and not (root / FINDINGS).exists()
    assert (root / LOAD).read_text() == "/opt/theirs.ext\n" and (root / CONFIG).exists()


def test_a_script_that_others_could_write_is_mended(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    (root / SCRIPT).chmod(0o777)
    fimkit(tmp_path, "install", "--extension", "--root", str(root))
    assert (root / SCRIPT).stat().st_mode & 0o7777 == 0o755


def test_a_fleet_manager_s_osqueryd_can_start_it_too(tmp_path: Path, root: Path) -> None:
    flags(root, "--config_plugin=tls", "--extensions_autoload=/etc/osquery/more.load")
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    assert (root / SCRIPT).exists() and (root / "etc/osquery/more.load").read_text() == f"/{SCRIPT}\n"
    assert not (root / PACK).exists() and not (root / FINDINGS).exists()


def test_flags_that_keep_it_from_starting_are_told(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags(root, "--disable_extensions=true", "--extensions_require=fimkit")
    make(root, "/usr/lib/osquery/extensions/theirs.ext")
    (root / "usr/lib/osquery").chmod(0o777)
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    words = capsys.readouterr().err
    assert "--disable_extensions=true (/etc/osquery/osquery.flags:1)" in words and "out of --extensions_require" in words
    assert f"chmod go-w {root}/usr/lib/osquery" in words


def test_no_osquery_here_means_no_extension_and_says_so(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW, osquery="")
    assert not (root / SCRIPT).exists() and "no extension" in capsys.readouterr().err


def test_a_configuration_below_the_root_is_named_as_the_host_does(root: Path) -> None:
    make(root, "/etc/fimkit/fimkit.toml")
    config = root / "etc/fimkit/fimkit.toml"
    config.write_text('[host]\nname = "h"\n' + WWW[0])
    assert main(["--config", str(config), "install", "--extension", "--root", str(root)]) == 0
    assert "'/etc/fimkit/fimkit.toml'" in (root / SCRIPT).read_text()


def test_the_script_starts_the_verb_with_what_osqueryd_gives(tmp_path: Path, root: Path) -> None:
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    words = [root / SCRIPT, "--socket", str(tmp_path / "none.em"), "--timeout", "1", "--interval", "1"]
    env = {**os.environ, "PYTHONPATH": "/nowhere"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=60)
    assert done.returncode == 3 and "none.em" in done.stderr, (sys.executable, done.stderr)


def test_osqueryd_starts_it_and_has_its_tables(tmp_path: Path, root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("osqueryd starts only what belongs to root")
    fimkit(tmp_path, "install", "--extension", "--root", str(root), entries=WWW)
    load = tmp_path / "extensions.load"
    load.write_text(f"{root}/{SCRIPT}\n")
    with start_osqueryd(tmp_path / "run", flags=[f"--extensions_autoload={load}", "--disable_extensions=false"]) as running:
        tables = "SELECT name FROM osquery_registry WHERE registry = 'table' AND name LIKE 'fimkit_%'"
        names = wait_for(lambda: {row["name"] for row in running.query(tables)}, timeout_s=30)
        assert names == {"fimkit_baseline", "fimkit_changes", "fimkit_findings", "fimkit_status"}
        assert len(running.query("SELECT * FROM fimkit_status")) == 1
        for query in json.loads((root / FINDINGS).read_text())["queries"].values():
            running.query(query["query"])
