"""Colours of a terminal: for severities and headings, where they are wanted. Pure.

Colour only ever repeats what a word says. What is painted is text whose names are escaped already: nothing of a host's reaches the
terminal as a control sequence.

Source: no-color.org; ECMA-48, SGR.
"""

from collections.abc import Mapping

from fimkit.model.findings import Severity

__all__ = ["Palette", "wants_color"]

_SEVERITIES = {
    Severity.CRITICAL: "1;31", Severity.HIGH: "31", Severity.MEDIUM: "33", Severity.LOW: "36", Severity.INFO: "2",
}  # fmt: skip


def wants_color(environment: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Tell whether to colour: on a terminal that can, unless ``NO_COLOR`` is set to anything.

    >>> wants_color({}, is_terminal=True), wants_color({"NO_COLOR": "1"}, is_terminal=True), wants_color({}, is_terminal=False)
    (True, False, False)
    >>> wants_color({"NO_COLOR": ""}, is_terminal=True), wants_color({"TERM": "dumb"}, is_terminal=True)
    (True, False)
    """
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "") != "dumb"


class Palette:
    """Paints text, or leaves it as it is."""

    def __init__(self, *, colored: bool) -> None:
        """Take whether to paint."""
        self.colored = colored

    def severity(self, severity: Severity, text: str) -> str:
        """Paint what is of a severity."""
        return self._paint(text, _SEVERITIES[severity])

    def bold(self, text: str) -> str:
        """Paint a heading."""
        return self._paint(text, "1")

    def dim(self, text: str) -> str:
        """Paint what matters less."""
        return self._paint(text, "2")

    def old(self, text: str) -> str:
        """Paint what was before."""
        return self._paint(text, "31")

    def new(self, text: str) -> str:
        """Paint what is now."""
        return self._paint(text, "32")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colored and text else text
