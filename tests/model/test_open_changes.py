"""Open twins become what they are twins of, field by field, and then differ from it in nothing."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from fimkit.model.changes import Action, Actor, Change, Source
from fimkit.model.open_changes import OpenActor, OpenChange

ACTOR = dict(zip([one.name for one in fields(Actor)], range(100), strict=False))
CHANGE = {one.name: number for number, one in enumerate(fields(Change))} | {"source": Source.AUDIT, "action": Action.BORN}


@pytest.mark.parametrize(("twin", "kind", "values"), [(OpenActor, Actor, ACTOR), (OpenChange, Change, CHANGE)])
def test_a_twin_becomes_the_frozen_class(twin: type, kind: type, values: dict[str, object]) -> None:
    made, meant = twin(*values.values()), kind(**values)
    made.__class__ = kind
    assert type(made) is kind
    assert made == meant
    assert (hash(made), repr(made), pickle.dumps(made)) == (hash(meant), repr(meant), pickle.dumps(meant))
    assert replace(made) == meant
    with pytest.raises(FrozenInstanceError):
        setattr(made, next(iter(values)), None)
