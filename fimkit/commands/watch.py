"""`fimkit watch`: what changes is found and told as it happens, until it is stopped; `--status` says how it is doing."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fimkit.commands.panic_options import add_panic_options
from fimkit.commands.printing import add_json, print_json, print_words, terminal_width
from fimkit.model.config_text import load_config
from fimkit.model.errors import UsageError
from fimkit.model.findings import Finding
from fimkit.model.json_form import render_finding
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time

if TYPE_CHECKING:  # at run time only when it is needed: pandas comes with it
    from fimkit.verbs.watch_telling import Told

__all__ = ["add_arguments", "run"]

_RECORDS = ("auto", "kernel", "log", "files")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_json(parser)
    parser.add_argument("--status", action="store_true", help="say how the running watch is doing, or how the last one ended")
    parser.add_argument(
        "--records",
        choices=_RECORDS,
        default="auto",
        help="who did it, from: the kernel's live records, auditd's log as it grows, or not at all, by inotify alone (default: the"
        " first that this host gives)",
    )
    add_panic_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or Ctrl-C; or print the status.

    Returns:
        1 while anything is open, as of a check, else 0; of the status, 0 for a watch that runs and 1 for none.
    """
    if arguments.status:
        return _print_status(arguments)
    from fimkit.verbs.watch import WatchOptions, watch
    from fimkit.verbs.watch_sources import Records

    shown = _Shown(as_json=arguments.json)
    options = WatchOptions(records=Records(arguments.records), nomail=arguments.nomail, nokill=arguments.nokill)
    status = watch(lambda: load_config(arguments.config), options, shown.show)
    code = 1 if status.open else 0
    if status.stuck:
        # All is stored and closed. Whoever holds the output up would hold up its last flush, and so this process, too.
        os._exit(code)
    return code


class _Shown:
    """Prints what a watch tells: findings as they come, on standard output; words on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        from fimkit.report.text import render_findings
        from fimkit.verbs.watch_groups import render_group
        from fimkit.verbs.watch_records import render_blind

        self._as_json = as_json
        self._headed = False
        self._render, self._render_group, self._render_blind = render_findings, render_group, render_blind

    def show(self, told: "Told") -> None:
        """Print it, and see it off."""
        if self._as_json:
            print_json(map(self._render_blind, told.blind))
            print_json(map(render_finding, told.findings))
            print_json(map(self._render_group, told.groups))
        else:
            self._print_text(told)
        sys.stdout.flush()
        print_words(told.words)

    def _print_text(self, told: "Told") -> None:
        for blind in told.blind:
            print(f"blind: {blind.words}; what is watched is looked at anew")
        self._print_findings(told.findings)
        for group in told.groups:
            self._print_findings((group.worst,))
            names = ", ".join(render_terminal(render_path(path)) for path in group.sample[1:4])
            if group.count > 1:
                print(f"  and {group.count - 1} more like it: {names}, …")
        if told.gone:
            print(f"no longer there: {told.gone}")

    def _print_findings(self, findings: Sequence[Finding]) -> None:
        for number, line in enumerate(self._render(findings, width=terminal_width())):
            if number or not self._headed:
                print(line)
            self._headed = True


def _print_status(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.watch_status import load_watch_status, refuse_stranger

    state_dir = load_config(arguments.config).host.state_dir
    status = load_watch_status(state_dir)
    if status is None:
        refuse_stranger(state_dir)
        raise UsageError("no watch was ever at work on this state folder: `fimkit watch` starts one")
    if arguments.json:
        row = asdict(status)
        times = {name: row.pop(name) for name in list(row) if name.endswith("_ns")}
        shown = {name.removesuffix("_ns"): render_time(value) if value else None for name, value in times.items()}
        print_json([{**row, **shown, "uptime_s": status.uptime_s}])
        return 0 if status.running else 1
    state = "runs" if status.running else "does not run"
    print(f"watch {state}; pid {status.pid}, started {render_time(status.started_ns)}, up {status.uptime_s:.0f} s")
    print(f"records  {status.records}: {status.events} events, {status.events_per_s:g}/s, lag {status.lag_s:.1f} s")
    if status.unshown or status.held_up_s >= 1:
        print(f"output   {status.unshown} findings not shown; nobody has read it for {status.held_up_s:.0f} s")
    if status.running and status.problem:
        print(f"problem  {status.problem}")
    if status.panic:
        print(f"panic    {status.panic}" + (f"; {render_terminal(status.panic_problem)}" if status.panic_problem else ""))
    if status.content_problem or status.unsearched:
        words = f"; {render_terminal(status.content_problem)}" if status.content_problem else ""
        print(f"content  {status.unsearched} findings wait for their file to be searched{words}")
    if status.running and status.mail_problem:
        print(f"mail     {render_terminal(status.mail_problem)}")
    looked = f"{status.looks} looks, {status.waiting} waiting"
    print(f"changes  {status.changes} on watched paths, {status.osquery_rows} by osquery; {looked}")
    print(f"findings {status.findings} told or held ({status.held} held), {status.findings_per_s:g}/s; {status.open} open")
    lost = ", ".join(f"{count} by {source}" for source, count in status.lost.items()) or "none"
    last = f", last {render_time(status.last_blind_ns)}" if status.last_blind_ns else ""
    print(f"losses   {lost}; {status.blind_intervals} blind intervals{last}")
    last = render_time(status.last_rescan_ns) if status.last_rescan_ns else "none yet"
    print(f"rescans  {status.rescans}, last {last}" + (", one under way" if status.rescanning else ""))
    print(f"memory   {status.memory_bytes >> 20} MiB, backlog {status.backlog_bytes >> 10} KiB, processor {status.cpu_s:.1f} s")
    return 0 if status.running else 1
