"""`fimkit scan`: content rules on the files of existing trees; hits with line and text."""

import argparse
import os
from typing import Any

from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.commands.progress import Progress
from fimkit.content.answers import Scanned
from fimkit.content.hit import SEVERITIES, ContentHit
from fimkit.content.pool import FILE_S
from fimkit.content.reader import DEFAULT_MOST_BYTES
from fimkit.model.errors import UsageError
from fimkit.model.paths import render_path, render_terminal
from fimkit.verbs.scan import ScanTotals, ScanWishes, make_pool, prepare_rules, scan_trees

__all__ = ["add_arguments", "run"]

_MIB = 1 << 20
_MOST_MIB = 256


def _whole(least: int, most: int) -> Any:
    def parse(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text}: expected {least} to {most}")
        return number

    parse.__name__ = "number"  # argparse names it where the text is none
    return parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("paths", metavar="PATH", nargs="+", help="files and folders; links below them are not followed")
    parser.add_argument(
        "--rules", metavar="DIR", action="append", default=[], help="a folder of your own rules: *.yar, *.yara, *.toml; repeatable"
    )
    parser.add_argument("--only", action="store_true", help="use the rules of --rules alone, and none that fimkit brings")
    parser.add_argument("--severity", choices=SEVERITIES, default=SEVERITIES[0], help="hits of at least this; default: info")
    parser.add_argument(
        "--size", metavar="MIB", type=_whole(1, _MOST_MIB), default=DEFAULT_MOST_BYTES // _MIB,
        help=f"of a larger file the first and the last half of this are read; default: {DEFAULT_MOST_BYTES // _MIB}",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", metavar="S", type=_whole(1, 3600), default=round(FILE_S), help=f"what one file may take; default: {FILE_S:g}"
    )
    parser.add_argument("--jobs", metavar="N", type=_whole(1, 64), help="processes that read; default: one a core, at most 8")
    parser.add_argument("--one-file-system", action="store_true", help="do not enter file systems that are mounted below")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Scan and print.

    Returns:
        1 if anything was found, else 0.

    Raises:
        UsageError: If there is no rule to search with, or a path is not there (exit 2).
        HostError: If no process can be started to read (exit 3).
    """
    if missing := [path for path in arguments.paths if not os.path.lexists(path)]:  # a misspelt path is not a clean one
        raise UsageError(f"{_shown(os.fsencode(missing[0]))}: no such file or folder")
    wishes = ScanWishes(
        paths=tuple(map(os.fsencode, arguments.paths)), workers=arguments.jobs, most_bytes=arguments.size * _MIB,
        file_s=arguments.seconds, cross_mounts=not arguments.one_file_system,
    )  # fmt: skip
    totals = ScanTotals()
    shown = 0
    told: list[str] = []
    with make_pool(wishes) as pool, Progress("Scanning") as progress:
        rules, words = prepare_rules(tuple(map(os.fsencode, arguments.rules)), built_in=not arguments.only)
        print_words(words)
        pool.set_rules(rules)
        for scanned in scan_trees(wishes, pool, totals, on_progress=progress.show):
            hits = [hit for hit in scanned.hits if SEVERITIES.index(hit.severity) >= SEVERITIES.index(arguments.severity)]
            shown += len(hits)
            progress.wipe()
            if arguments.json:
                print_json(_objects(scanned, hits))
            else:
                for hit in hits:
                    print(_line(hit))
                told += _words_of(scanned)
    if arguments.json:
        print_json([{"summary": _summary(totals, rules.count)}])
    else:
        print_words(told)
        print_words(_summary_words(totals, rules.count))
    return 1 if shown else 0


def _shown(path: bytes) -> str:
    return render_terminal(render_path(path))


def _line(hit: ContentHit) -> str:
    """Give `path:line: RULE: text`; where the line is not known, the offset as `path:+offset`."""
    place = str(hit.line) if hit.line else f"+{hit.offset}"
    return f"{_shown(hit.path)}:{place}: {hit.rule}: {hit.text or hit.description or 'the file as a whole'}"


def _words_of(scanned: Scanned) -> list[str]:
    words = [f"{_shown(scanned.path)}: {note}" for note in scanned.notes]
    return [f"{_shown(scanned.path)}: not scanned: {scanned.problem}", *words] if scanned.problem else words


def _objects(scanned: Scanned, hits: list[ContentHit]) -> list[dict[str, Any]]:
    path = render_path(scanned.path)
    rows: list[dict[str, Any]] = [{**hit._asdict(), "path": path} for hit in hits]
    if scanned.problem is not None:
        rows.append({"path": path, "not_scanned": scanned.problem})
    return rows + [{"path": path, "note": note} for note in scanned.notes]


def _summary(totals: ScanTotals, rules: int) -> dict[str, Any]:
    confinement = totals.confinement
    return {
        "files": totals.files,
        "size_bytes": totals.size_bytes,
        "read_bytes": totals.read_bytes,
        "hits": totals.hits,
        "files_with_hits": totals.files_with_hits,
        "not_scanned": dict(totals.not_scanned.most_common()),
        "rules": rules,
        "read_as": None if confinement is None else {
            "user": confinement.user, "filtered": confinement.filtered, "no_network": confinement.no_network,
            "lacks": list(confinement.lacks),
        },
    }  # fmt: skip


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"


def _summary_words(totals: ScanTotals, rules: int) -> list[str]:
    words = [
        f"{_count(totals.files, 'file')}, {totals.read_bytes / 1e6:.1f} MB read, {_count(rules, 'rule')}: "
        f"{_count(totals.hits, 'hit')} in {_count(totals.files_with_hits, 'file')}; {totals.not_scanned.total()} not scanned"
    ]
    words += [f"  {count} not scanned: {reason}" for reason, count in totals.not_scanned.most_common(10)]
    if totals.confinement is not None:
        words += [f"the process that read ({totals.confinement.user}): {lack}" for lack in totals.confinement.lacks]
    return words
