"""`fimkit baseline keygen`, `seal` and `verify`: the baseline under a signature whose key is kept elsewhere."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fimkit.commands.actions import add_action
from fimkit.model.config_text import load_config
from fimkit.model.errors import HostError, UsageError
from fimkit.model.paths import render_path, render_terminal
from fimkit.model.time import render_time

if TYPE_CHECKING:
    from fimkit.verbs.seal import Sealed
    from fimkit.verbs.seal_view import SealReport

__all__ = ["SEAL_ACTIONS", "add_seal_actions"]

_MOST_BYTES = 4 << 20


def add_seal_actions(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the three actions."""
    keygen = add_action(actions, "keygen", "make the key that seals; keep it on another machine")
    keygen.add_argument("--output", metavar="FILE", required=True, help="the private key; FILE.pub is for the host")
    with_words = keygen.add_mutually_exclusive_group()
    with_words.add_argument("--passphrase", action="store_true", help="ask for a passphrase on the terminal")
    with_words.add_argument("--passphrase-file", metavar="FILE", help="the first line of FILE is the passphrase")
    seal = add_action(actions, "seal", "sign the baseline as it is now")
    seal.add_argument("--key", metavar="FILE", help="the private key, needed for this moment only; - reads it from standard input")
    seal.add_argument("--passphrase-file", metavar="FILE", help="of the key; without it, the terminal is asked")
    way = seal.add_mutually_exclusive_group()
    way.add_argument("--request", metavar="FILE", help="write what is to be signed, for a key that stays elsewhere")
    way.add_argument("--sign", metavar="REQUEST", help="elsewhere: sign a request; needs --key and --output, and no configuration")
    way.add_argument("--take", metavar="SEAL", help="take the seal that --sign made")
    seal.add_argument("--output", metavar="FILE", help="with --sign: where the seal goes")
    seal.add_argument("--anyway", action="store_true", help="though the present seal does not verify")
    verify = add_action(actions, "verify", "hold the baseline against its seal")
    verify.add_argument("--key", metavar="PUB", help="the public key that counts, in place of the configured one")
    verify.add_argument("--at-least", metavar="N", type=int, default=0, help="a seal of a lower number is an older one put back")
    verify.add_argument("--require-seal", action="store_true", help="what was accepted since the seal is a finding, too")
    verify.add_argument("--json", action="store_true", help="one object a line: the seal, then each fault and each row")


def _say(words: str) -> None:
    print(f"fimkit: {render_terminal(words)}", file=sys.stderr)


def _read(path: str) -> bytes:
    """Read a small file that the user names; ``-`` is standard input."""
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {render_path(os.fsencode(path))}: {error.strerror}") from error
    if len(raw) > _MOST_BYTES:
        raise UsageError(f"{render_path(os.fsencode(path))} is too long to be a key, a request or a seal")
    return raw


def _write(path: str, text: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{render_path(os.fsencode(path))} is there already, and is not overwritten") from None
    except OSError as error:
        raise HostError(f"cannot write {render_path(os.fsencode(path))}: {error.strerror}") from error


def _passphrase_of(path: str) -> bytes:
    words = _read(path).split(b"\n")[0].rstrip(b"\r")
    if not words:
        raise UsageError(f"{render_path(os.fsencode(path))} has no passphrase in its first line")
    return words


def _ask_terminal(question: str) -> bytes:
    try:
        with open("/dev/tty", "rb"):  # without one getpass would read standard input, which may be the key
            pass
        words = getpass.getpass(question)
    except (OSError, EOFError):
        raise UsageError("there is no terminal to ask for the passphrase on; name its file by --passphrase-file") from None
    return words.encode()


def _asker(arguments: argparse.Namespace) -> Callable[[], bytes]:
    path: str | None = arguments.passphrase_file
    return (lambda: _ask_terminal("Passphrase: ")) if path is None else (lambda: _passphrase_of(path))


def _keygen(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.seal import make_key

    passphrase = None
    if arguments.passphrase_file is not None:
        passphrase = _passphrase_of(arguments.passphrase_file)
    elif arguments.passphrase:
        passphrase = _ask_terminal("Passphrase: ")
        if not passphrase or passphrase != _ask_terminal("Again: "):
            raise UsageError("the passphrase is empty, or was not the same twice: nothing was made")
    made = make_key(arguments.output, passphrase)
    public, private = (render_terminal(render_path(os.fsencode(name))) for name in (made.public, made.private))
    print(f"fingerprint  {made.fingerprint}")
    print(f"private key  {private}: keep it on another machine, or on a stick" + ("" if passphrase else "; it has no passphrase"))
    print(f"public key   {public}: it goes to the host, as /etc/fimkit/seal.pub")
    return 0


def _seal(arguments: argparse.Namespace) -> int:
    if arguments.sign is not None:
        return _sign(arguments)
    if arguments.output is not None:
        raise UsageError("--output is where --sign writes the seal; it has no meaning without")
    if (arguments.request or arguments.take) and arguments.key:
        raise UsageError("--request and --take need no private key: it stays where --sign is run")
    from fimkit.verbs.caller import load_caller
    from fimkit.verbs.seal import request_seal, seal_baseline, take_seal

    config, who = load_config(arguments.config), load_caller()
    if arguments.request is not None:
        _write(arguments.request, request_seal(config, who=who, anyway=arguments.anyway))
        print("requested; where the private key is: fimkit baseline seal --sign REQUEST --key FILE --output SEAL")
        return 0
    if arguments.take is not None:
        text = _read(arguments.take).decode("utf-8", "replace")
        _tell_sealed(take_seal(config, text, who=who, anyway=arguments.anyway))
        return 0
    if arguments.key is None:
        raise UsageError("expected --key FILE, or --request FILE for a key that stays elsewhere")
    pem = _read(arguments.key)
    _tell_sealed(seal_baseline(config, pem, _asker(arguments), who=who, anyway=arguments.anyway))
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    if arguments.key is None or arguments.output is None:
        raise UsageError("--sign needs --key FILE and --output SEAL")
    from fimkit.verbs.seal import sign_request

    request = _read(arguments.sign).decode("utf-8", "replace")
    text, statement = sign_request(request, _read(arguments.key), _asker(arguments))
    _write(arguments.output, text)
    print(render_terminal(f"signed: host {statement.host}, seal {statement.number}, {statement.rows} rows, asked for by"
                          f" {statement.who} at {render_time(statement.time_ns)}"))  # fmt: skip
    print(f"digest  {statement.digest}")
    return 0


def _tell_sealed(done: "Sealed") -> None:
    from fimkit.verbs.seal_view import FaultKind

    statement = done.statement
    for fault in done.before.faults:
        if fault.kind not in (FaultKind.UNSEALED, FaultKind.KEY_FILE):
            _say(f"until now: {fault.words}")
    print(f"sealed: number {statement.number}, {statement.rows} rows, digest {statement.digest}")
    if done.first_key:
        _say("this key is trusted from now on, as the first that sealed; to pin it by hand, put its .pub at /etc/fimkit/seal.pub")
    print(f"note the number elsewhere: `fimkit baseline verify --at-least {statement.number}` knows an older one by it")
    if done.notice is not None:
        _say(f"this host is armed: {done.notice}")


def _verify(arguments: argparse.Namespace) -> int:
    from fimkit.verbs.seal import verify_baseline
    from fimkit.verbs.seal_view import FaultKind

    config = load_config(arguments.config)
    public_key = None if arguments.key is None else os.path.abspath(os.fsencode(arguments.key))
    report = verify_baseline(config, at_least=arguments.at_least, public_key=public_key)
    require = arguments.require_seal or config.seal.require
    if arguments.key is not None and report.key.problem:
        raise UsageError(f"no public key: {report.key.problem}")
    if not report.has_trace and not require:
        if report.key.problem:
            raise UsageError(f"no public key, and no seal: {report.key.problem}")
        raise UsageError("the baseline bears no seal: `fimkit baseline keygen`, then `fimkit baseline seal`, make one")
    harmless = set() if require else {FaultKind.ACCEPTED}
    bad = [fault for fault in report.faults if fault.kind not in harmless]
    if arguments.json:
        for row in _json_rows(report, intact=not bad):
            print(json.dumps(row))
    else:
        for line in _text_lines(report, intact=not bad):
            print(render_terminal(line))
    return 1 if bad else 0


def _json_rows(report: "SealReport", *, intact: bool) -> Iterator[dict[str, Any]]:
    from fimkit.evidence.seal_keys import fingerprint

    statement, key = report.statement, report.key
    yield {
        "type": "seal", "intact": intact, "number": None if statement is None else statement.number,
        "time": None if statement is None else render_time(statement.time_ns),
        "who": None if statement is None else statement.who, "rows": None if statement is None else statement.rows,
        "digest": None if statement is None else statement.digest,
        "key": None if key.raw is None else fingerprint(key.raw), "key_from": key.where or None,
        "differing": report.row_count, "accepted": sum(count for _, count in report.accepted),
    }  # fmt: skip
    for fault in report.faults:
        yield {"type": "fault", "kind": fault.kind.value, "words": fault.words}
    for row in report.rows:
        yield {
            "type": "row", "path": render_path(row.path), "fault": row.fault.value,
            "fields": [{"name": name, "sealed": was, "now": now} for name, was, now in row.fields],
            "sealed_digest": row.sealed_digest, "now_digest": row.now_digest,
        }  # fmt: skip
    for acceptance, count in report.accepted:
        yield {
            "type": "acceptance", "id": acceptance.id, "time": render_time(acceptance.time_ns), "who": acceptance.who,
            "why": acceptance.why, "rows": count,
        }  # fmt: skip


def _text_lines(report: "SealReport", *, intact: bool) -> Iterator[str]:
    from fimkit.evidence.seal_keys import fingerprint
    from fimkit.verbs.seal_findings import render_row

    statement = report.statement
    if statement is not None:
        when = f"{render_time(statement.time_ns)} by {statement.who}"
        yield f"seal {statement.number}, {when}: {statement.rows} rows, digest {statement.digest}"
    if report.key.raw is not None:
        trusted = ", which was trusted as the first" if report.key.is_first else ""
        yield f"key {fingerprint(report.key.raw)}, from {report.key.where}{trusted}"
    for fault in report.faults:
        yield f"{fault.kind.value}: {fault.words}"
    for row in report.rows:
        yield f"  {render_row(row)}"
    if report.row_count > len(report.rows):
        yield f"  and {report.row_count - len(report.rows)} more"
    yield "intact" if intact else "NOT intact"


SEAL_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {"keygen": _keygen, "seal": _seal, "verify": _verify}
"""What each action does."""
