"""Records that this kernel writes now, read back: what was run, and that the log holds no line that is not understood."""

import os
from pathlib import Path

import pytest

from fimkit.audit.logfile import load_events
from fimkit.audit.rule_codec import Field, FilterList, Rule, RuleAction, encode_rule
from fimkit.audit.syscalls import X86_64, syscall_name
from fimkit.model.records import AuditEvent
from tests.live import live_audit

EXECVE = 59


def recorded(folder: Path, command: list[str | bytes]) -> list[AuditEvent]:
    """Run a command under a rule on execve; the events that the rule gave."""
    if os.uname().machine != "x86_64":
        pytest.skip("the rule of this test names a system call of x86_64")
    assert syscall_name(X86_64, EXECVE) == "execve"
    fields = (Field("arch", "=", X86_64), Field("auid", "=", 1000), Field("key", "=", b"ran"))
    rule = Rule(filter_list=FilterList.EXIT, action=RuleAction.ALWAYS, fields=fields, calls=frozenset({EXECVE}))
    with live_audit(folder, rules=[encode_rule(rule)]) as live:
        live.run(command, auid=1000)
        live.sync()
        load = load_events([live.log])
        events = list(load)
    assert (load.bad, load.problems, load.counters.incomplete) == ([], [], 0)
    return [event for event in events if event.key == b"ran" and event.success]


def test_arguments_come_back_as_they_were_given(tmp_path: Path) -> None:
    arguments = [b"/bin/echo", b"a b", b"", b'"', b"\xff\xfe", b"new\nline", b"(null)", b"ABCD", b"x" * 200]
    (event,) = recorded(tmp_path, list(arguments))
    assert event.process is not None
    assert event.process.argv == tuple(arguments)
    assert (event.syscall, event.process.auid) == ("execve", 1000)
    assert (event.process.exe or b"").endswith(b"/echo")


@pytest.mark.parametrize("letter", [b"l", b" "], ids=["plain", "in hex"])
def test_arguments_longer_than_a_record_come_back_whole(tmp_path: Path, letter: bytes) -> None:
    arguments = [b"/bin/echo", letter * 30_000, b"short", letter * 9_000, *(b"%d" % number for number in range(3000))]
    (event,) = recorded(tmp_path, list(arguments))
    assert event.process is not None
    assert event.types.count("EXECVE") > 3
    assert event.process.argv == tuple(arguments)
