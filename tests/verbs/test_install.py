"""Install and uninstall: on a folder, and on this kernel for real."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimkit.audit.kernel import AuditKernel, AuditStatus
from fimkit.audit.rule_codec import FilterList, Rule, decode_rule, encode_rule
from fimkit.audit.rule_text import parse_rule, parse_rules
from fimkit.cli import main
from fimkit.model.config import Config, Host, Sources, Watch
from fimkit.model.errors import HostError, UsageError
from fimkit.testing.kernel import FakeKernel
from fimkit.verbs.install import RULES_FILE, InstallReport, install, uninstall
from fimkit.verbs.kernel_rules import apply_kernel_plan, plan_kernel
from tests.live import kept_kernel, live_audit

MACHINE = os.uname().machine
NO_OSQUERY = Sources(osquery_config=b"")  # its part has tests of its own, in test_install_osquery


def tree_of(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def config_of(state_dir: str | Path, *paths: Path | str) -> Config:
    watches = tuple(Watch(path=os.fsencode(path)) for path in paths)
    return Config(host=Host(name="test", state_dir=os.fsencode(state_dir)), paths=watches, sources=NO_OSQUERY)


# On a folder: no right is needed, and this kernel is left alone.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/srv/www").mkdir(parents=True)
    (tmp_path / "root/etc/audit/rules.d").mkdir(parents=True)
    (tmp_path / "root/etc/audit/rules.d/audit.rules").write_text("-D\n-b 8192\n")
    return tmp_path / "root"


CONFIG = config_of("/var/lib/fimkit", "/srv/www", "/srv/none/at/all")


def test_root_gets_the_file_and_uninstall_leaves_what_was_there(root: Path) -> None:
    before = tree_of(root)
    report = install(CONFIG, root=str(root))
    text = (root / RULES_FILE[1:]).read_text()
    assert {rule.text_of("dir") for rule in parse_rules(text, machine=MACHINE)} == {b"/srv/www"}
    assert any("/srv/none/at/all" in words for words in report.words)
    uninstall(CONFIG, root=str(root))
    assert tree_of(root) == before


def test_second_install_changes_nothing_and_says_so(root: Path) -> None:
    install(CONFIG, root=str(root))
    first = {path: os.stat(root / path).st_mtime_ns for path in tree_of(root)}
    report = install(CONFIG, root=str(root))
    assert report.diff == "" and "nothing to change" in report.words[0]
    assert {path: os.stat(root / path).st_mtime_ns for path in tree_of(root)} == first


def test_dry_run_gives_the_diff_and_changes_nothing(root: Path) -> None:
    before = tree_of(root)
    report = install(CONFIG, root=str(root), dry_run=True)
    assert tree_of(root) == before
    assert "+-a always,exit -F arch=b64 -F dir=/srv/www -F perm=wa -F key=fimkit" in report.diff.split("\n")
    install(CONFIG, root=str(root))
    assert "\n--a always,exit" in uninstall(CONFIG, root=str(root), dry_run=True).diff
    assert (root / RULES_FILE[1:]).exists()


def test_folders_made_for_the_file_go_with_it(tmp_path: Path) -> None:
    (tmp_path / "srv/www").mkdir(parents=True)
    install(CONFIG, root=str(tmp_path))
    uninstall(CONFIG, root=str(tmp_path))
    assert set(tree_of(tmp_path)) == {"srv", "srv/www"}


def test_folder_that_others_use_stays_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "srv/www").mkdir(parents=True)
    install(CONFIG, root=str(tmp_path))
    (tmp_path / "var/lib/fimkit/fimkit.db").write_text("evidence")
    report = uninstall(CONFIG, root=str(tmp_path))
    assert (tmp_path / "var/lib/fimkit/fimkit.db").exists() and "stay" in report.words[-1]


def test_file_of_that_name_that_was_anothers_is_put_back_with_its_mode(root: Path) -> None:
    file = root / RULES_FILE[1:]
    file.write_text("-a always,exit -F dir=/opt\n")
    file.chmod(0o604)
    install(CONFIG, root=str(root))
    install(config_of("/var/lib/fimkit", "/srv"), root=str(root))
    uninstall(CONFIG, root=str(root))
    assert file.read_text() == "-a always,exit -F dir=/opt\n" and file.stat().st_mode & 0o777 == 0o604


def test_text_changed_by_hand_is_kept_aside(root: Path) -> None:
    install(CONFIG, root=str(root))
    file = root / RULES_FILE[1:]
    file.write_text(file.read_text() + "# mine\n")
    report = uninstall(CONFIG, root=str(root))
    assert not file.exists() and (root / (RULES_FILE[1:] + ".changed")).read_text().endswith("# mine\n")
    assert any("changed by hand" in words for words in report.words)


def test_uninstall_without_a_memory_goes_by_the_first_line(root: Path) -> None:
    install(CONFIG, root=str(root))
    (root / "var/lib/fimkit/install.json").unlink()
    uninstall(CONFIG, root=str(root))
    assert not (root / RULES_FILE[1:]).exists()


def test_uninstall_of_nothing_says_so_and_leaves_anothers_file(root: Path) -> None:
    (root / RULES_FILE[1:]).write_text("# another tool\n")
    before = tree_of(root)
    assert "nothing to remove" in uninstall(CONFIG, root=str(root)).words[0]
    assert tree_of(root) == before


def test_damaged_memory_is_refused_with_a_remedy(root: Path) -> None:
    install(CONFIG, root=str(root))
    memory = root / "var/lib/fimkit/install.json"
    for text in ("{", "[]", '{"version": 9}', json.dumps({**json.loads(memory.read_text()), "rules": ["00"]})):
        memory.write_text(text)
        with pytest.raises(HostError, match="install"):
            uninstall(CONFIG, root=str(root))


def test_root_that_is_no_folder_or_leads_out_is_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        install(CONFIG, root=str(tmp_path / "none"))
    (root / "var").symlink_to("/tmp")
    with pytest.raises(UsageError, match="out of it"):
        install(CONFIG, root=str(root))


# The comparison with the kernel.

_RULES = st.frozensets(st.integers(0, 12)).map(
    lambda numbers: [parse_rule(f"-a always,exit -F dir=/{number} -F key=fimkit", machine="x86_64") for number in sorted(numbers)]
)


@given(_RULES, _RULES, _RULES)
def test_plan_for_the_kernel_touches_only_what_is_ours(wanted: list[Rule], present: list[Rule], remembered: list[Rule]) -> None:
    owned = [rule for rule in present if rule in remembered]
    plan = plan_kernel(wanted, [(rule, encode_rule(rule)) for rule in present], owned)
    after = (set(present) - {rule for rule, _ in plan.delete}) | set(plan.add)
    assert set(wanted) <= after and after - set(wanted) == set(present) - set(wanted) - set(owned)
    assert {*plan.add, *plan.kept, *plan.foreign} == set(wanted)


# On this kernel.


class Site:
    """This kernel, with the rule file and the memory in a folder of the test."""

    def __init__(self, folder: Path, kernel: AuditKernel) -> None:
        self.kernel = kernel
        self.rules_file = folder / "etc/rules.d/40-fimkit.rules"
        self.state_dir = folder / "state"
        self.watched = folder / "watched"
        self.watched.mkdir()
        self.config = config_of(self.state_dir, self.watched)

    def install(self, config: Config | None = None, *, dry_run: bool = False) -> InstallReport:
        return install(config or self.config, dry_run=dry_run, rules_file=str(self.rules_file))

    def uninstall(self, *, dry_run: bool = False) -> InstallReport:
        return uninstall(self.config, dry_run=dry_run, rules_file=str(self.rules_file))

    def rules(self) -> list[Rule]:
        return [decode_rule(raw) for raw in self.kernel.rules()]

    def add(self, line: str) -> Rule:
        rule = parse_rule(line, machine=MACHINE)
        self.kernel.add(encode_rule(rule))
        return rule


@contextmanager
def live_site(tmp_path: Path) -> Iterator[Site]:
    with kept_kernel() as kernel:
        yield Site(tmp_path, kernel)


def test_install_loads_what_the_file_says_and_uninstall_takes_it_away(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        foreign = site.add(f"-a always,exit -F arch=b64 -F dir={tmp_path} -F perm=wa -F key=another")
        before, files = site.kernel.rules(), tree_of(tmp_path)
        report = site.install()
        in_file = parse_rules(site.rules_file.read_text(), machine=MACHINE)
        ours = [rule for rule in site.rules() if rule != foreign]
        assert [rule for rule in ours if rule.filter_list is FilterList.EXIT] == list(in_file)
        assert [rule.filter_list for rule in ours if rule not in in_file] == [FilterList.IO_URING]
        assert f"{len(ours)} rules added" in "\n".join(report.words)
        site.uninstall()
        assert site.kernel.rules() == before and tree_of(tmp_path) == files


def test_second_live_install_changes_nothing(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        site.install()
        rules = site.kernel.rules()
        assert site.install(dry_run=True).diff == ""
        report = site.install()
        assert report.diff == "" and "nothing to change" in report.words[0] and site.kernel.rules() == rules


def test_rules_that_went_away_come_back(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        site.install()
        wanted = site.rules()
        site.kernel.delete(site.kernel.rules()[0])
        assert site.install(dry_run=True).diff.startswith("--- kernel")
        site.install()
        assert set(site.rules()) == set(wanted)


def test_changed_configuration_swaps_its_own_rules_only(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        by_hand = site.add(f"-a always,exit -F arch=b64 -F dir={tmp_path} -F perm=wa -F key=fimkit")
        site.install()
        other = tmp_path / "other"
        other.mkdir()
        report = site.install(config_of(site.state_dir, other))
        places = {rule.text_of("dir") for rule in site.rules() if rule != by_hand}
        assert places == {os.fsencode(other)} and by_hand in site.rules()
        assert f"--a always,exit -F arch=b64 -F dir={site.watched} " in report.diff
        site.uninstall()
        assert site.rules() == [by_hand]


def test_equal_rule_of_another_is_neither_added_nor_deleted(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        same = site.add(f"-a always,exit -F arch=b64 -F dir={site.watched} -F perm=wa -F key=fimkit")
        site.install()
        site.install()
        site.uninstall()
        assert site.rules() == [same]


def test_uninstall_without_a_memory_goes_by_the_key(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        foreign = site.add(f"-a always,exit -F arch=b64 -F dir={tmp_path} -F perm=wa -F key=fimkit_other")
        site.install()
        (site.state_dir / "install.json").unlink()
        site.uninstall()
        assert site.rules() == [foreign] and not site.rules_file.exists()


def test_dry_run_leaves_the_kernel_alone(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        files = tree_of(tmp_path)
        diff = site.install(dry_run=True).diff
        assert f"+++ kernel\n+-a always,exit -F arch=b64 -F dir={site.watched} -F perm=wa -F key=fimkit\n" in diff
        assert site.rules() == [] and tree_of(tmp_path) == files


def test_rule_that_the_kernel_refuses_undoes_the_others(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        old = site.add(f"-a always,exit -F arch=b64 -F dir={tmp_path} -F perm=wa -F key=fimkit")
        good, bad = (parse_rule(f"-a always,exit -F dir={site.watched}{more}", machine=MACHINE) for more in ("", " -F dir=/etc"))
        listed = [(decode_rule(raw), raw) for raw in site.kernel.rules()]
        with pytest.raises(HostError, match="Invalid argument"):
            apply_kernel_plan(site.kernel, plan_kernel([good, bad], listed, [old]))
        assert site.rules() == [old]


def test_files_are_put_back_when_the_kernel_refuses(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        site.install()
        files, rules = tree_of(tmp_path), site.kernel.rules()
        broken = config_of(site.state_dir, "/" + "x" * 300)  # longer than a name may be
        with pytest.raises(HostError):
            site.install(broken)
        assert tree_of(tmp_path) == files and site.kernel.rules() == rules


def test_never_task_and_auditing_off_are_said(tmp_path: Path) -> None:
    with live_site(tmp_path) as site:
        site.add("-a never,task")
        site.kernel.disable()
        words = "\n".join(site.install().words)
        assert "-a never,task" in words and "auditing is off" in words and "no process owns the audit socket" in words


def test_another_owner_of_the_socket_is_named(tmp_path: Path) -> None:
    owner = (
        "import socket,struct,sys,os\n"
        "s=socket.socket(16,socket.SOCK_RAW,9); s.bind((0,0))\n"
        "s.sendto(struct.pack('=IHHII',60,1001,5,1,0)+struct.pack('=11I',4,0,0,os.getpid(),0,0,0,0,0,0,0),(0,0))\n"
        "s.recv(9999); print('ok',flush=True); sys.stdin.read()\n"
    )
    with live_site(tmp_path) as site:
        child = subprocess.Popen([sys.executable, "-c", owner], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None and child.stdout.readline() == b"ok\n"
            words = "\n".join(site.install().words)
        finally:
            child.communicate()
        assert f"process {child.pid} (python" in words and "owns the audit socket" in words


def test_file_system_mounted_after_the_rules_is_recorded_after_the_next_install(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    mount = tree / "mnt"
    mount.mkdir(parents=True)
    config = Config(
        host=Host(name="test", state_dir=os.fsencode(tmp_path / "state")),
        paths=(Watch(path=os.fsencode(tree), cross_mounts=True),),
        sources=NO_OSQUERY,
    )
    rules_file = str(tmp_path / "40-fimkit.rules")
    with live_audit(tmp_path / "log") as live:
        install(config, rules_file=rules_file)
        if subprocess.run(["mount", "-t", "tmpfs", "none", mount], capture_output=True, check=False).returncode:
            pytest.skip("no right to mount here")
        try:
            live.run(["touch", tree / "here", mount / "unseen"])
            report = install(config, rules_file=rules_file)
            live.run(["touch", mount / "seen"])
            live.sync()
        finally:
            subprocess.run(["umount", mount], check=True)
        paths = [line for line in live.log.read_text().split("\n") if line.startswith("type=PATH")]
        uninstall(config, rules_file=rules_file)
    assert report.diff == ""
    assert [any(f"/{name}" in line for line in paths) for name in ("here", "unseen", "seen")] == [True, False, True]


# On a kernel that only a double can be.


def install_on(kernel: FakeKernel, tmp_path: Path, *, dry_run: bool = False) -> InstallReport:
    (tmp_path / "watched").mkdir(exist_ok=True)
    config = config_of(tmp_path / "state", tmp_path / "watched")
    return install(config, dry_run=dry_run, rules_file=str(tmp_path / "40-fimkit.rules"), open_kernel=lambda: kernel)


LOCKED = AuditStatus(enabled=2, failure=1, pid=1, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)


def test_locked_rules_are_written_to_the_file_and_refused(tmp_path: Path) -> None:
    kernel = FakeKernel(status=LOCKED)
    report = install_on(kernel, tmp_path)
    assert report.refused is not None and "boot" in report.refused and kernel.rules() == []
    assert parse_rules((tmp_path / "40-fimkit.rules").read_text(), machine=MACHINE)


def test_locked_rules_that_are_right_already_are_no_refusal(tmp_path: Path) -> None:
    kernel = FakeKernel()
    install_on(kernel, tmp_path)
    assert install_on(FakeKernel(status=LOCKED, rules=kernel.rules()), tmp_path).refused is None


def test_uninstall_of_locked_rules_removes_the_file_and_is_refused(tmp_path: Path) -> None:
    kernel = FakeKernel()
    install_on(kernel, tmp_path)
    config = config_of(tmp_path / "state", tmp_path / "watched")
    locked = FakeKernel(status=LOCKED, rules=kernel.rules())
    report = uninstall(config, rules_file=str(tmp_path / "40-fimkit.rules"), open_kernel=lambda: locked)
    assert report.refused is not None and not (tmp_path / "40-fimkit.rules").exists()


def test_without_the_right_nothing_is_written(tmp_path: Path) -> None:
    kernel = FakeKernel(deny=HostError("no right to read the audit status"))
    with pytest.raises(HostError, match="no right"):
        install_on(kernel, tmp_path)
    assert set(tree_of(tmp_path)) == {"watched"}


def test_dry_run_without_the_right_shows_the_file_and_says_what_is_unknown(tmp_path: Path) -> None:
    report = install_on(FakeKernel(deny=HostError("no right to read the audit status")), tmp_path, dry_run=True)
    assert "+-a always,exit" in report.diff and "kernel" not in report.diff.split("@@")[0]
    assert any("not known: no right" in words for words in report.words)


def test_kernel_without_the_io_uring_list_gets_the_rest(tmp_path: Path) -> None:
    kernel = FakeKernel(io_uring=False)
    report = install_on(kernel, tmp_path)
    assert {decode_rule(raw).filter_list for raw in kernel.rules()} == {FilterList.EXIT}
    assert any("no io_uring list" in words for words in report.words)


# The door.


def configuration(tmp_path: Path) -> Path:
    (tmp_path / "watched").mkdir(exist_ok=True)
    file = tmp_path / "fimkit.toml"
    file.write_text(f'[host]\nstate_dir = "/var/lib/fimkit"\n[[paths]]\npath = "{tmp_path}/watched"\n')
    return file


def test_dry_run_prints_the_diff_on_standard_output_alone(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", str(configuration(tmp_path)), "install", "--dry-run", "--root", str(root)]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("--- /dev/null\n+++ ") and "fimkit: " not in printed.out
    assert "fimkit: " in printed.err  # the watched path is not below this root


def test_install_and_uninstall_by_command(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(configuration(tmp_path))
    before = tree_of(root)
    assert main(["--config", config, "install", "--root", str(root)]) == 0
    assert main(["--config", config, "uninstall", "--root", str(root)]) == 0
    assert tree_of(root) == before
    printed = capsys.readouterr()
    assert printed.out == "" and "wrote" in printed.err and "removed" in printed.err


def test_root_that_is_missing_is_usage(tmp_path: Path) -> None:
    assert main(["--config", str(configuration(tmp_path)), "install", "--root", str(tmp_path / "none")]) == 2


def test_install_without_the_right_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up in a user namespace")
    code = "import sys; from fimkit.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["unshare", "-Ur", sys.executable, "-c", code, "--config", str(configuration(tmp_path)), "install"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 3 and "user namespace" in done.stderr
    assert not Path(RULES_FILE).exists() or "fimkit" in Path(RULES_FILE).read_text()
