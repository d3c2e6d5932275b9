"""Whether a watch knows that nothing is recorded: auditing off, rules gone, nobody who writes the log, nobody who may be asked."""

import os
from pathlib import Path
from types import TracebackType

from fimkit.audit.kernel import AuditStatus
from fimkit.audit.rule_codec import encode_rule
from fimkit.audit.rules import plan_rules
from fimkit.model.changes import Note, NoteKind, Source
from fimkit.model.config import Config
from fimkit.model.config_text import load_config
from fimkit.model.errors import HostError
from fimkit.verbs.place import list_mounts, look_at
from fimkit.verbs.watch_hearing import Hearing


class Kernel:
    """The two answers of a kernel's audit that are asked for."""

    def __init__(self, rules: list[bytes]) -> None:
        self.enabled, self.pid, self.listed, self.refuses = 1, os.getpid(), rules, ""

    def __call__(self) -> "Kernel":
        return self

    def __enter__(self) -> "Kernel":
        if self.refuses:
            raise HostError(self.refuses)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def status(self) -> AuditStatus:
        return AuditStatus(enabled=self.enabled, failure=1, pid=self.pid, rate_limit=0, backlog_limit=8192, lost=0, backlog=0)

    def rules(self) -> list[bytes]:
        return self.listed


def host(tmp_path: Path, *, needs_log: bool = False) -> tuple[Hearing, Kernel, Config]:
    (tmp_path / "tree").mkdir()
    file = tmp_path / "fimkit.toml"
    file.write_text(f'[host]\nstate_dir = "{tmp_path}/state"\n[[paths]]\npath = "{tmp_path}/tree"\ntier = "watch"\n')
    config = load_config(file)
    kernel = Kernel([])
    plan = plan_rules(config.paths, look_at, mounts=list_mounts(), machine=os.uname().machine)
    kernel.listed = [encode_rule(rule) for rule in plan.rules]
    return Hearing(config, needs_log=needs_log, open_kernel=kernel), kernel, config  # type: ignore[arg-type]


RULES_CHANGED = Note(source=Source.AUDIT, kind=NoteKind.RULES_CHANGED, time_ns=1, text="an audit rule was removed")


def test_a_kernel_that_records_gives_nothing_to_say(tmp_path: Path) -> None:
    hearing, _, _ = host(tmp_path)
    assert [hearing.ask() for _ in range(3)] == [((), None, False)] * 3
    assert hearing.problem == ""


def test_auditing_switched_off_is_said_once_looked_after_and_its_end_is_said(tmp_path: Path) -> None:
    hearing, kernel, _ = host(tmp_path)
    hearing.ask()
    kernel.enabled = 0
    first = hearing.ask()
    assert first.rescan
    assert first.blind is not None
    assert (first.blind.lost, first.blind.source) == (0, "auditing is off, and nothing is recorded")
    assert "auditctl -e 1" in first.words[0]
    assert first.blind.words.startswith("nothing was recorded between")
    assert hearing.ask() == ((), None, False)
    assert hearing.problem == "auditing is off, and nothing is recorded"
    kernel.enabled = 1
    last = hearing.ask()
    assert last.rescan
    assert last.blind is not None
    assert (last.blind.from_ns, hearing.problem) == (first.blind.from_ns, "")
    assert last.blind.to_ns >= first.blind.to_ns
    assert hearing.ask() == ((), None, False)


def test_rules_that_are_gone_are_noticed_when_a_record_says_so(tmp_path: Path) -> None:
    hearing, kernel, _ = host(tmp_path)
    hearing.ask()
    rules, kernel.listed = kernel.listed, []
    hearing.note([RULES_CHANGED])
    told = hearing.ask()
    assert told.rescan
    count = len(rules)
    assert told.words[0].startswith(f"{count} of fimkit's {count} audit rules are not in the kernel, as for {tmp_path}/tree;")
    assert told.words[0].endswith("fimkit install")
    kernel.listed = rules[:1]  # they are put in one by one: that is not told one by one
    hearing.note([RULES_CHANGED])
    assert hearing.ask() == ((), None, False)
    kernel.listed = rules
    hearing.note([RULES_CHANGED])
    assert hearing.ask().blind is not None


def test_a_rule_of_a_path_that_is_watched_anew_is_missed(tmp_path: Path) -> None:
    hearing, _, config = host(tmp_path)
    hearing.ask()
    (tmp_path / "other").mkdir()
    file = tmp_path / "fimkit.toml"
    file.write_text(file.read_text() + f'[[paths]]\npath = "{tmp_path}/other"\n')
    hearing.reconfigure(load_config(file))
    assert f"as for {tmp_path}/other" in hearing.ask().words[0]
    hearing.reconfigure(config)
    assert hearing.ask().blind is not None


def test_a_log_that_nobody_writes_matters_to_the_one_that_reads_it(tmp_path: Path) -> None:
    hearing, kernel, config = host(tmp_path, needs_log=True)
    kernel.pid = 0
    assert "no process owns the audit socket" in hearing.ask().words[0]
    assert Hearing(config, needs_log=False, open_kernel=kernel).ask().words == ()  # type: ignore[arg-type]


def test_a_kernel_that_may_not_be_asked_is_said_once_and_concluded_nothing_from(tmp_path: Path) -> None:
    hearing, kernel, _ = host(tmp_path)
    kernel.refuses = "the kernel refuses"
    first = hearing.ask()
    assert first.words == ("whether auditing is on cannot be asked: the kernel refuses",)
    assert (first.blind, first.rescan, hearing.problem) == (None, False, "")
    assert hearing.ask() == ((), None, False)
