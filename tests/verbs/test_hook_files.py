"""What has package managers call fimkit: written where they are, taken away exactly, and harmless to an upgrade."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fimkit.verbs.hook_files import hook_command, known_hook_files, plan_hook_files

CONFIG = "/etc/fimkit/fimkit.toml"
TOML = '[host]\nname = "x"\n[sources]\nosquery_config = ""\n[packages]\nhook = true\n[[paths]]\npath = "/etc"\n'


def make_root(root: Path, *folders: str) -> Path:
    for folder in ("etc/fimkit", *folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/fimkit/fimkit.toml").write_text(TOML)
    return root


def fimkit(root: Path, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fimkit", "--config", str(root / "etc/fimkit/fimkit.toml"), verb, "--root", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_install_puts_each_managers_hook_where_it_is_and_uninstall_takes_exactly_those_away(tmp_path: Path) -> None:
    plugins = "usr/lib/python3.12/site-packages/dnf-plugins"
    root = make_root(tmp_path / "root", "etc/apt/apt.conf.d", "etc/dnf/libdnf5-plugins/actions.d", plugins)
    (root / "etc/apt/apt.conf.d/01other").write_text("// other\n")
    before = files(root)
    plan = fimkit(root, "install", "--dry-run")
    assert files(root) == before and "DPkg::Post-Invoke" in plan.stdout and "post_transaction::::" in plan.stdout
    assert fimkit(root, "install").returncode == 0
    made = files(root)
    for path in ("etc/apt/apt.conf.d/90fimkit", "etc/dnf/libdnf5-plugins/actions.d/fimkit.actions", f"{plugins}/fimkit_hook.py"):
        assert "--expected --hook" in made[path].decode() or "'--expected', '--hook'" in made[path].decode()
        assert CONFIG in made[path].decode()
    again = fimkit(root, "install")
    assert again.returncode == 0 and files(root) == made and "nothing to change" in again.stderr
    assert fimkit(root, "uninstall").returncode == 0
    assert files(root) == before


def test_hook_that_is_switched_off_is_taken_away_by_the_next_install(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", "etc/apt/apt.conf.d")
    fimkit(root, "install")
    config = root / "etc/fimkit/fimkit.toml"
    assert (root / "etc/apt/apt.conf.d/90fimkit").exists()
    config.write_text(TOML.replace("hook = true", "hook = false"))
    fimkit(root, "install")
    assert not (root / "etc/apt/apt.conf.d/90fimkit").exists()


def test_without_a_memory_the_files_are_known_by_their_mark(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", "etc/apt/apt.conf.d")
    fimkit(root, "install")
    shutil.rmtree(root / "var/lib/fimkit")
    assert "/etc/apt/apt.conf.d/90fimkit" in [one.path for one in known_hook_files(str(root))]
    fimkit(root, "uninstall")
    assert not (root / "etc/apt/apt.conf.d/90fimkit").exists()


def test_host_without_a_manager_is_told_so_and_gets_no_file(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    planned = plan_hook_files(CONFIG, str(root))
    assert planned.files == () and "neither apt nor dnf" in planned.words[0]
    assert plan_hook_files(None, str(root)).words == ()


def test_dnf5_without_its_actions_plugin_is_told_what_to_install(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", "usr/bin")
    (root / "usr/bin/dnf5").write_text("")
    assert "libdnf5-plugin-actions" in plan_hook_files(CONFIG, str(root)).words[0]


@pytest.mark.parametrize("path", ["/etc/a b.toml", '/etc/a";reboot;"', "/etc/$(reboot)", "/etc/a:b", "/etc/a\nb", "/etc/ä.toml"])
def test_name_that_the_files_cannot_hold_makes_no_hook(tmp_path: Path, path: str) -> None:
    root = make_root(tmp_path / "root", "etc/apt/apt.conf.d", "etc/dnf/libdnf5-plugins/actions.d")
    planned = plan_hook_files(path, str(root))
    assert planned.files == () and "cannot hold the name" in planned.words[0]


def test_dnf4_plugin_is_python_that_any_python3_reads(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", "usr/lib/python3.6/site-packages/dnf-plugins")
    (planned,) = plan_hook_files(CONFIG, str(root)).files
    tree = ast.parse(planned.content, feature_version=(3, 6))
    command = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(command) == list(hook_command(CONFIG, "dnf"))


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="no apt here to read its file")
def test_apt_reads_its_file_and_what_it_calls_never_fails_an_upgrade(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", "etc/apt/apt.conf.d")
    (planned,) = plan_hook_files("/no/such/fimkit.toml", str(root)).files
    file = tmp_path / "90fimkit"
    file.write_bytes(planned.content)
    done = subprocess.run(
        ["apt-config", "-c", str(file), "dump", "--format", "%v%n", "DPkg::Post-Invoke"], capture_output=True, text=True, check=True
    )
    (called,) = [line for line in done.stdout.splitlines() if "fimkit" in line]
    assert called == " ".join(hook_command("/no/such/fimkit.toml", "apt")) + " || true"
    ran = subprocess.run(["/bin/sh", "-c", called], capture_output=True, text=True, check=False, timeout=60)  # as apt does
    assert ran.returncode == 0 and "no such file" in ran.stderr
