"""The ATT&CK techniques that content rules stand for; a sub-technique below its technique, as other schemas want it. Pure."""

import re
from typing import NamedTuple

from fimkit.model.findings import Finding

__all__ = ["Technique", "find_techniques", "render_reference"]

_NUMBER = re.compile(r"(T\d{4})(\.\d{3})?")


class Technique(NamedTuple):
    """A technique's number, and its sub-technique's whole one where that is known."""

    technique: str
    sub: str | None


def find_techniques(finding: Finding) -> list[Technique]:
    """Give the techniques of a finding's content marks, each once, sorted; what is no ATT&CK number is none."""
    numbers = {mark.attack for mark in finding.content or ()}
    hits = (hit for number in sorted(numbers) if (hit := _NUMBER.fullmatch(number)) is not None)
    return [Technique(hit[1], hit[0] if hit[2] else None) for hit in hits]


def render_reference(number: str | None) -> str | None:
    """Give the public page of a technique or a sub-technique.

    >>> render_reference("T1105"), render_reference("T1505.003")
    ('https://attack.mitre.org/techniques/T1105/', 'https://attack.mitre.org/techniques/T1505/003/')
    """
    return None if number is None else f"https://attack.mitre.org/techniques/{number.replace('.', '/')}/"
