"""A channel by the package apprise (extra ``[notify]``): each message in a process of its own, ended at the deadline."""

import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote

from fimkit.model.channels import Channel, Gets
from fimkit.model.errors import HostError
from fimkit.model.own_process import own_command
from fimkit.notify.chat import ChatText
from fimkit.notify.message import render_word
from fimkit.notify.race import Line, Task
from fimkit.notify.secrets import load_secret

__all__ = ["AppriseTarget", "has_apprise", "load_targets", "plan_apprise", "plan_probe", "prepare_targets"]

_WORDS_CHARS = 300
_LEAST_SECRET = 4  # shorter parts of a URL are words like "/x/", which errors are full of
# No more of this process's environment than finding the way out needs.
_ENVIRONMENT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "TZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseTarget:
    """One channel, ready. The URL is a secret, and never shown; ``problem`` is why it is not ready after all."""

    name: str
    gets: frozenset[Gets]
    url: str = field(repr=False)
    problem: str = ""


def has_apprise() -> bool:
    """Tell whether the package is here; it is not loaded."""
    return importlib.util.find_spec("apprise") is not None


def load_targets(channels: Sequence[Channel]) -> tuple[AppriseTarget, ...]:
    """Read the channels' URLs, each from its own file.

    Raises:
        HostError: If the package is missing, or a file is not as a secret's must be.
    """
    if channels and not has_apprise():
        raise HostError("channels are configured, and the package apprise is not here; remedy: pip install 'fimkit[notify]'")
    return tuple(AppriseTarget(name=one.name, gets=frozenset(one.gets), url=load_secret(one.url_file)) for one in channels)


def prepare_targets(channels: Sequence[Channel]) -> tuple[AppriseTarget, ...]:
    """Read the channels' URLs; one that cannot be told keeps no other from it, and says why when it is its turn."""
    targets: list[AppriseTarget] = []
    for one in channels:
        try:
            targets += load_targets((one,))
        except HostError as error:
            targets.append(AppriseTarget(name=one.name, gets=frozenset(one.gets), url="", problem=str(error)))
    return tuple(targets)


def plan_apprise(target: AppriseTarget, text: ChatText) -> Task:
    """Make the task of telling a channel something."""
    request = {"title": text.title, "body": text.body, "kind": text.kind, "probe": False}
    return Task(name=f"channel {target.name}", work=partial(_run, target, request))


def plan_probe(target: AppriseTarget) -> Task:
    """Make the task of asking apprise whether it knows the channel's URL; nothing is sent."""
    return Task(name=f"channel {target.name}", work=partial(_run, target, {"title": "", "body": "", "kind": "info", "probe": True}))


def _mask(words: str, url: str) -> str:
    """Take every part of the URL out of words that a service or a library chose."""
    parts = {url, unquote(url), *re.split(r"[/:@?&=,+#]+", url), *map(unquote, re.split(r"[/:@?&=,+#]+", url))}
    secrets = [re.escape(part) for part in sorted(parts, key=len, reverse=True) if len(part) >= _LEAST_SECRET]
    return re.sub("|".join(secrets), "***", words) if secrets else words


def _run(target: AppriseTarget, request: dict[str, object], line: Line) -> str:
    if target.problem:
        raise HostError(target.problem)
    left_s = line.left_s()
    row = json.dumps({**request, "url": target.url, "deadline_s": left_s}).encode("ascii")
    command = own_command("fimkit.notify.apprise_child")
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"LC_ALL": "C.UTF-8"}
    line.stage = "asking apprise" if request["probe"] else "sending: it may have been taken"
    try:
        done = subprocess.run(
            command, input=row, capture_output=True, timeout=left_s, check=False, env=environment, cwd="/"
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"no answer within {left_s:.0f} s; it may have been taken") from None
    return _judge(target, done, line)


def _judge(target: AppriseTarget, done: "subprocess.CompletedProcess[bytes]", line: Line) -> str:
    try:
        answer = json.loads(done.stdout)
        sent, words = bool(answer["sent"]), str(answer["words"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        sent, words = False, f"its process ended with {done.returncode} and no answer: {last}"
    shown = render_word(_mask(words, target.url))[:_WORDS_CHARS]
    if not sent:
        raise HostError(shown)
    line.stage = "done"
    return shown or "taken"
