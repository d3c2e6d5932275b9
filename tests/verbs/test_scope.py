"""Which changes are kept: by name, by inode, and by what came into the watched paths in between."""

from fimkit.model.changes import Action, Change, Source
from fimkit.model.config import Watch
from fimkit.model.states import FileState, FileType
from fimkit.model.watches import WatchSet
from fimkit.verbs.scope import Scope

ROOT = FileState(path=b"/w", type=FileType.DIRECTORY, dev=1, inode=2)


def change(action: Action, path: bytes | None, inode: int | None, parent: int | None, *, sure: bool = True) -> Change:
    return Change(
        source=Source.AUDIT, action=action, time_ns=1, path=path, path_sure=sure, dev=1, inode=inode, parent_dev=1,
        parent_inode=parent,
    )  # fmt: skip


def test_a_file_in_a_folder_that_came_and_went_is_followed_behind_a_dirfd() -> None:
    scope = Scope(WatchSet([Watch(path=b"/w")]), {b"/w": ROOT})
    away = change(Action.UNLINKED, b"/f", 11, 10, sure=False)
    assert not scope.concerns(away)
    assert scope.concerns(change(Action.BORN, b"/w/d", 10, 2))
    assert scope.concerns(change(Action.BORN, b"/deep", 12, 10, sure=False))
    assert scope.concerns(change(Action.BORN, b"/deeper", 13, 12, sure=False))
    assert scope.concerns(away)
    assert not scope.concerns(change(Action.BORN, b"/elsewhere", 99, 98))


def test_a_call_that_says_nothing_of_its_file_may_have_been_for_any() -> None:
    scope = Scope(WatchSet([Watch(path=b"/w")]), {b"/w": ROOT})
    nameless = Change(source=Source.AUDIT, action=Action.LOST, time_ns=1)
    assert scope.concerns(nameless)
