"""Changes and actors made by the hundred thousand: filled in while they are open, and then what they are. Pure.

A frozen dataclass sets each of its fields by a call: most of what making a change takes. An open twin has the same slots in the
same order, so it may become the frozen class: Python allows that assignment for equal slots, and for nothing else.

Source: The Python Language Reference, data model, notes on using ``__slots__``.
"""

from dataclasses import fields, make_dataclass

from fimkit.correlate.lives import Step
from fimkit.model.changes import Actor, Change

__all__ = ["OpenActor", "OpenChange", "OpenStep"]

OpenChange = make_dataclass("OpenChange", [one.name for one in fields(Change)], slots=True)
"""Takes the fields of :class:`Change` by position; is one after ``made.__class__ = Change``."""
OpenActor = make_dataclass("OpenActor", [one.name for one in fields(Actor)], slots=True)
"""The same of :class:`Actor`."""
OpenStep = make_dataclass("OpenStep", [one.name for one in fields(Step)], slots=True)
"""The same of :class:`Step`."""
