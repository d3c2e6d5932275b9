"""Changes and actors that are made by the million: filled in while they are open, and then what they are. Pure.

A frozen dataclass sets each of its fields by a call of its own: most of what making a change takes. An open twin has the same slots
in the same order, so it may become the frozen class: Python allows that assignment where the slots are equal, and else refuses it.

Source: The Python Language Reference, data model, notes on using ``__slots__``.

>>> made = OpenActor(*range(15))
>>> made.__class__ = Actor
>>> made.pid, made == Actor(**dict(zip(Actor.__slots__, range(15))))
(4, True)
"""

from dataclasses import fields, make_dataclass
from typing import Any

from fimkit.model.changes import Actor, Change

__all__ = ["OpenActor", "OpenChange"]

OpenChange: Any = make_dataclass("OpenChange", [one.name for one in fields(Change)], slots=True, eq=False, repr=False)
"""Takes the fields of :class:`Change` by position; is one after ``made.__class__ = Change``."""
OpenActor: Any = make_dataclass("OpenActor", [one.name for one in fields(Actor)], slots=True, eq=False, repr=False)
"""The same of :class:`Actor`."""
