"""`fimkit evidence`: the head of the chain that all evidence is in, whether the store agrees with it, and signed bundles."""

import argparse
import getpass
import os
from collections.abc import Iterator
from pathlib import Path

from fimkit.commands.actions import add_action
from fimkit.commands.printing import add_json, print_json, print_words
from fimkit.evidence.chain_verify import ChainVerdict
from fimkit.model.chain import render_head
from fimkit.model.config_text import load_config
from fimkit.model.paths import render_path, render_terminal

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, each with its own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    head = add_action(actions, "head", "the last link, and the key that this host signs bundles with")
    verify = add_action(actions, "verify", "hold the whole store against its chain, reading only")
    verify.add_argument("--head", metavar="SEQ:HASH", action="append", default=[], help="one that was seen elsewhere; repeatable")
    for action in (head, verify):
        action.add_argument("--state-dir", metavar="DIR", type=os.fsencode, help="a copied state folder, not this host's")
        add_json(action)
    bundle = add_action(actions, "bundle", "all about a finding or an incident in one signed archive")
    bundle.add_argument("id", metavar="ID", help="a finding's id, or its beginning; or an incident's")
    bundle.add_argument("--output", metavar="FILE", type=Path, help="default: fimkit-ID.zip here; a name that is there is refused")
    bundle.add_argument("--key", metavar="FILE", type=Path, help="sign with this Ed25519 key in place of the host's own")
    check = add_action(actions, "verify-bundle", "verify one on any host: names every altered part")
    check.add_argument("file", metavar="FILE", type=Path)
    check.add_argument("--key", metavar="PUB", type=Path, help="the public key, in PEM, that must have signed it")
    add_json(check)
    add_action(actions, "set-aside", "move a damaged store out of the way, whole, for a new one")


def run(arguments: argparse.Namespace) -> int:
    """Do one action.

    Returns:
        0; of the verifying ones, 1 where anything is not as it was.
    """
    actions = {"head": _head, "verify": _verify, "bundle": _bundle, "verify-bundle": _verify_bundle, "set-aside": _set_aside}
    return actions[arguments.action](arguments)


def _state_dir(arguments: argparse.Namespace) -> bytes:
    given: bytes | None = arguments.state_dir
    return load_config(arguments.config).host.state_dir if given is None else given


def _head(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.evidence import load_head
    from fimkit.verbs.evidence_key import load_own_public

    state_dir = _state_dir(arguments)
    head, key = load_head(state_dir), load_own_public(state_dir)
    said = None if head is None else render_head(head)
    if arguments.json:
        print_json([{"head": said, "key": None if key is None else key.fingerprint, "public_key": key and key.pem}])
        return 0
    print(said or "no chain yet: the next check begins one")
    print(f"key {key.fingerprint}\n{key.pem}" if key else "no key yet: the first bundle makes one", end="" if key else "\n")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.evidence import render_verdict, verify_evidence
    from fimkit.verbs.evidence_incidents import verify_incidents

    state_dir = _state_dir(arguments)
    verdict, folders = verify_evidence(state_dir, arguments.head), verify_incidents(state_dir)
    if arguments.json:
        said = render_verdict(verdict)
        print_json([said | {"whole": said["whole"] and not folders.broken, "incidents": list(folders.broken)}])
    else:
        for line in _lines(verdict):
            print(render_terminal(line))
        for line in folders.broken:
            print(render_terminal(f"BROKEN  {line}"))
        if folders.files:
            print(f"{folders.files} files of incidents were hashed")
    print_words((*verdict.notes, *folders.notes))
    return 1 if verdict.broken or folders.broken else 0


def _lines(verdict: ChainVerdict) -> Iterator[str]:
    for number, one in enumerate(verdict.broken):
        yield f"{'BROKEN' if number == 0 else 'also  '}  {one.words}"
    if verdict.unsure:
        yield f"unsure  links {verdict.unsure[0]} to {verdict.unsure[1]}: they came later, and prove nothing of what was before"
    if verdict.head is not None:
        state = "not whole" if verdict.broken else "whole"
        yield f"{state}: links {verdict.first} to {verdict.head.seq}, {verdict.rows} rows; head {render_head(verdict.head)}"


def _ask() -> bytes:
    return getpass.getpass("passphrase of the key: ").encode()


def _bundle(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config)
    from fimkit.verbs.evidence_bundle import make_bundle

    made = make_bundle(config, arguments.id, output=arguments.output, key=arguments.key, ask=_ask)
    print(render_terminal(f"{made.parts} parts in {render_path(os.fsencode(made.file))}, signed by key {made.fingerprint}"))
    print_words(made.words)
    return 0


def _set_aside(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.evidence_aside import set_aside

    done = set_aside(load_config(arguments.config))
    print(render_terminal(f"{len(done.names)} files are in {render_path(done.folder)}: {done.damage}"))
    words = [
        "with them went findings, history, tickets and the chain, and heads that were seen elsewhere are of that store;"
        " `sqlite3 FILE .recover` gives what can still be read",
        "next: put a backup in its place; or look at what may have changed, then `fimkit baseline create`, and where it was sealed,"
        " `fimkit baseline seal --anyway`",
    ]
    print_words([*words, *([f"this host is armed: {done.notice}"] if done.notice else [])])
    return 0


def _verify_bundle(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.evidence_unbundle import render_unbundled, verify_bundle

    seen = verify_bundle(arguments.file, key=arguments.key)
    if arguments.json:
        print_json([render_unbundled(seen)])
        return 0 if seen.whole else 1
    for one in seen.altered:
        print(render_terminal(f"BROKEN  {one}"))
    if seen.manifest:
        about = seen.manifest
        count = len(about["parts"])
        print(render_terminal(f"{about['what']} {about['id']} of {about['host']}, made {about['time']}; {count} parts"))
    print(render_terminal(f"{'whole' if seen.whole else 'not whole'}; {seen.signed}"))
    return 0 if seen.whole else 1
